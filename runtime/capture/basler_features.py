"""What a station asks of a Basler camera, by the names that GenICam gave it (SFNC 2) and those of older GigE cameras.

rate = configure("basler:40012345", camera.GetNodeMap(), SourceSettings(exposure_us=500, gain_db=3))
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pypylon import genicam

from ganspect.errors import SourceError, one_line
from ganspect.runtime.capture.source import SourceSettings


def configure(shown: str, nodes: Any, settings: SourceSettings) -> float | None:
    """Set what is asked for and return the rate that the camera says it reaches, None where it does not say.

    Args:
        shown: the camera, for messages.
        nodes: its node map.
        settings: what is not None is set.

    Raises:
        SourceError: the camera has no such feature, or not in this range.
    """
    if settings.pixel_format is not None:
        _choose(shown, nodes, "pixel_format", "PixelFormat", settings.pixel_format)
    if settings.size_hw is not None:
        _cut(shown, nodes, settings.size_hw)
    if settings.exposure_us is not None:
        _set_if_there(nodes, "ExposureAuto", "Off")
        _set_number(shown, nodes, "exposure_us", ("ExposureTime", "ExposureTimeAbs"), settings.exposure_us)
    if settings.gain_db is not None:
        _set_if_there(nodes, "GainAuto", "Off")
        _set_number(shown, nodes, "gain_db", ("Gain",), settings.gain_db)
    if settings.frames_per_s is not None:
        _set_if_there(nodes, "AcquisitionFrameRateEnable", True)
        names = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
        _set_number(shown, nodes, "frames_per_s", names, settings.frames_per_s)
    if settings.trigger_line is not None:
        _set_if_there(nodes, "TriggerSelector", "FrameStart")
        _choose(shown, nodes, "trigger_line", "TriggerSource", settings.trigger_line)
        _choose(shown, nodes, "trigger_line", "TriggerMode", "On")
        return None
    rate = _first(nodes, ("ResultingFrameRate", "BslResultingAcquisitionFrameRate", "ResultingFrameRateAbs"))
    return float(rate.GetValue()) if rate is not None else None


def _cut(shown: str, nodes: Any, size_hw: tuple[int, int]) -> None:
    """Take a part from the middle of the sensor."""
    for name in ("OffsetX", "OffsetY"):
        _set_if_there(nodes, name, 0)
    for name, offset, wanted in (("Height", "OffsetY", size_hw[0]), ("Width", "OffsetX", size_hw[1])):
        _set_number(shown, nodes, "size_hw", (name,), wanted)
        node = nodes.GetNode(offset)
        if node is not None and genicam.IsWritable(node):
            step = node.GetInc()
            node.SetValue(node.GetMin() + (node.GetMax() - node.GetMin()) // 2 // step * step)


def _set_number(shown: str, nodes: Any, key: str, names: tuple[str, ...], value: float) -> None:
    node = _first(nodes, names)
    if node is None or not genicam.IsWritable(node):
        raise SourceError(f"{shown} does not let {key} be set; leave it out, or set {names[0]} in pylon Viewer")
    with _explained(shown, key, value, lambda: f"from {node.GetMin():.8g} to {node.GetMax():.8g}{_steps(node)}"):
        node.SetValue(value)


def _choose(shown: str, nodes: Any, key: str, name: str, value: str) -> None:
    node = nodes.GetNode(name)
    if node is None or not genicam.IsWritable(node):
        raise SourceError(f"{shown} has no {name}, which {key} sets; leave it out")
    with _explained(shown, key, value, lambda: f"one of {', '.join(node.Symbolics)}"):
        node.SetValue(value)


@contextmanager
def _explained(shown: str, key: str, value: object, possible: Any) -> Iterator[None]:
    try:
        yield
    except (genicam.OutOfRangeException, genicam.InvalidArgumentException) as error:
        raise SourceError(f"{shown}: {key} is {value}, and this camera takes {possible()}; correct that key") from error
    except genicam.GenericException as error:
        raise SourceError(f"{shown} refuses {key} {value}: {one_line(error)}; correct that key") from error


def _first(nodes: Any, names: tuple[str, ...]) -> Any:
    """Return the first of the features that this camera has."""
    found = (nodes.GetNode(name) for name in names)
    return next((node for node in found if node is not None and genicam.IsReadable(node)), None)


def _set_if_there(nodes: Any, name: str, value: object) -> None:
    node = nodes.GetNode(name)
    if node is not None and genicam.IsWritable(node):
        node.SetValue(value)


def _steps(node: Any) -> str:
    try:
        step = node.GetInc()
    except genicam.GenericException:  # most that are no integers have none
        return ""
    return f" in steps of {step:g}" if step != 1 else ""
