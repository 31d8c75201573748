"""What this machine can run: each backend with its version and devices, or the command that brings it.

ganspect doctor
"""

import importlib
import importlib.util
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganspect import __version__
from ganspect.errors import one_line
from ganspect.progress import print_warning
from ganspect.runtime.backends.selection import ENGINES

_TEGRA = Path("/etc/nv_tegra_release")


@dataclass(frozen=True)
class Finding:
    """One line of what was found.

    Attributes:
        name: of a backend or a library.
        state: `ready`, `no device`, `missing` or `broken`.
        version: of its package; empty where it is missing.
        details: devices and what they compute in, or what to do.
    """

    name: str
    state: str
    version: str
    details: str


def show_doctor(console: Console | None = None) -> None:
    """Print what this machine is and what each backend can do on it."""
    console = console or Console()
    console.print(f"ganspect {__version__}, Python {platform.python_version()}, {_machine()}", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for heading in ("", "", "version"):
        table.add_column(heading, no_wrap=True)
    table.add_column("devices, or what to do")
    for finding in findings():
        table.add_row(finding.name, finding.state, finding.version, escape(finding.details))
    console.print(table, highlight=False)
    for sentence in conflicts():
        print_warning(sentence, console)
    console.print("fastest for a bundle: ganspect verify BUNDLE, then --backend auto", highlight=False)


def findings() -> list[Finding]:
    """Return a line for each backend, and one for OpenCV."""
    return [*(_of_backend(name) for name in ENGINES), _opencv()]


def conflicts() -> list[str]:
    """Return a sentence for each pair of packages that overwrite each other's files."""
    installed = {distribution.metadata["Name"].lower() for distribution in metadata.distributions()}
    found = []
    for first, second, package in (
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime"),
        ("opencv-python", "opencv-python-headless", "cv2"),
    ):
        if {first, second} <= installed:
            found.append(
                f"{first} and {second} are both installed and overwrite each other's {package}; keep one: "
                f"pip uninstall -y {first} {second}, then install the one that you want"
            )
    return found


def _of_backend(name: str) -> Finding:
    engine = ENGINES[name]
    if importlib.util.find_spec(engine.package) is None:
        return Finding(name, "missing", "", engine.cure)
    try:
        version = str(getattr(importlib.import_module(engine.package), "__version__", "")).partition("-")[0]
        state, details = _DEVICES[name]()
    except Exception as error:  # a package that is there but does not load says so in its own ways
        return Finding(name, "broken", "", f"{one_line(error, 160)}; install it again: {engine.cure}")
    return Finding(name, state, version, details)


def _onnxruntime() -> tuple[str, str]:
    return "ready", f"CPU, {len(os.sched_getaffinity(0))} cores"


def _provider(provider: str) -> Callable[[], tuple[str, str]]:
    def look() -> tuple[str, str]:
        import onnxruntime

        if provider not in onnxruntime.get_available_providers():
            return "missing", "this onnxruntime is built without it; run: pip install 'ganspect[gpu]'"
        gpus = _gpus()
        return ("ready", ", ".join(gpus)) if gpus else ("no device", "no NVIDIA GPU or driver is seen")

    return look


def _openvino() -> tuple[str, str]:
    from openvino import Core

    core = Core()
    found = [_openvino_device(core, device) for device in core.available_devices]
    return ("ready", "; ".join(found)) if found else ("no device", "OpenVINO sees none")


def _openvino_device(core: Any, device: str) -> str:
    can = [kind.lower() for kind in core.get_property(device, "OPTIMIZATION_CAPABILITIES")]
    precisions = [kind for kind in ("fp32", "bf16", "fp16", "int8") if kind in can]
    return f"{device}: {core.get_property(device, 'FULL_DEVICE_NAME')} ({', '.join(precisions)})"


def _tensorrt() -> tuple[str, str]:
    gpus = _gpus()
    return ("ready", ", ".join(gpus)) if gpus else ("no device", "no NVIDIA GPU or driver is seen")


def _tensorrt_rtx() -> tuple[str, str]:
    state, details = _tensorrt()
    if state == "ready":
        return state, details
    return state, f"{details}; engines can be built ahead of time: ganspect build BUNDLE --target tensorrt-rtx:sm86"


_DEVICES: dict[str, Callable[[], tuple[str, str]]] = {
    "onnxruntime": _onnxruntime,
    "onnxruntime-cuda": _provider("CUDAExecutionProvider"),
    "onnxruntime-tensorrt": _provider("TensorrtExecutionProvider"),
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}


def _gpus() -> list[str]:
    """Return the names of NVIDIA GPUs that the driver shows in /proc, and a Jetson's own."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    names = [
        line.partition(":")[2].strip()
        for card in cards
        for line in card.read_text(errors="replace").splitlines()
        if line.startswith("Model")
    ]
    return names or (["Jetson's GPU"] if _TEGRA.exists() else [])


def _opencv() -> Finding:
    try:
        import cv2  # noqa: TID251 - whether it is there is the question
    except ImportError:
        return Finding(
            "OpenCV", "missing", "", "pip install 'ganspect[cpu]'; on a Jetson use the system's, with GStreamer"
        )
    gstreamer = (
        "yes" in next((line for line in cv2.getBuildInformation().splitlines() if "GStreamer" in line), "").lower()
    )
    return Finding("OpenCV", "ready", cv2.__version__, f"GStreamer: {'yes' if gstreamer else 'no'}")


def _machine() -> str:
    jetson = f", {_TEGRA.read_text(errors='replace').splitlines()[0].strip('# ')}" if _TEGRA.exists() else ""
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores{jetson}"
