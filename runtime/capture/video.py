"""Video files and cameras through OpenCV.

A container may promise more frames than can be decoded: a file that was cut off is processed as far as it goes, and a
warning says so. Promises are compared in time too, because of files with gaps, whose count is that of time slots.
"""

import math
import os
import re
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ganspect.errors import SourceError
from ganspect.opencv import LARGEST_PIXELS, cv2, silenced
from ganspect.preprocess import Frame
from ganspect.runtime.capture.source import AS_IT_COMES, Shot, Source, SourceSettings

_GREY_FORMATS = ("GREY", "Y10 ", "Y12 ", "Y16 ")
"""V4L2's grey formats; OpenCV gives them as they are, the deeper ones as uint16, once its conversion is off."""

_SLACK = 0.02
"""Share of a video that may be missing at its end without a warning: containers round."""


class VideoSource(Source):
    """A video file, frame by frame."""

    def __init__(self, name: str, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            SourceError: it is no video that OpenCV can read, or has no frames.
        """
        self._capture = opened_capture(str(path))
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        super().__init__(
            name,
            length=count if count > 0 else None,
            frames_per_s=frames_per_s if 0 < frames_per_s < 1000 else None,
        )
        if not self._capture.isOpened():
            raise SourceError(f"{name} is neither an image nor a video that OpenCV can read, or is damaged; convert it")
        require_size(self._capture, name)
        self._first = decode(self._capture)
        if self._first is None:
            self.close()
            raise SourceError(f"{name} is a video without a frame that can be decoded; record or convert it again")

    def __iter__(self) -> Iterator[Shot]:
        """Yield every frame that can be decoded."""
        decoded, position_ms, shot = 0, 0.0, self._first
        while shot is not None:
            frame, capture_ms = shot
            position_ms = max(position_ms, self._position_ms(decoded))
            yield Shot(self.name, decoded, round(position_ms * 1e6), frame, capture_ms)
            decoded += 1
            shot = decode(self._capture)
        self._compare(decoded, position_ms)

    def close(self) -> None:
        """Free the file."""
        self._capture.release()

    def _position_ms(self, index: int) -> float:
        position_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
        if not math.isfinite(position_ms):
            position_ms = 0.0  # a damaged file's clock
        if position_ms > 0 or index == 0 or self.frames_per_s is None:
            return max(0.0, position_ms)
        return index * 1000 / self.frames_per_s

    def _compare(self, decoded: int, position_ms: float) -> None:
        promised = self.length
        if promised is None or self.frames_per_s is None or decoded >= promised - max(1, _SLACK * promised):
            return
        if position_ms * self.frames_per_s / 1000 < promised - max(2, _SLACK * promised):
            self.warnings.append(
                f"{self.name} ends early: {decoded} of the {promised} frames that it promises could be decoded"
            )


class LiveCapture(Source):
    """What cameras, streams and pipelines have in common: frames as they come, until they fail."""

    _capture: Any

    def __iter__(self) -> Iterator[Shot]:
        """Yield frames as they come.

        Raises:
            SourceError: there are no more.
        """
        index = 0
        while (shot := decode(self._capture)) is not None:
            frame, capture_ms = shot
            yield Shot(self.name, index, time.time_ns(), frame, capture_ms)
            index += 1
        raise SourceError(self.how_it_ended(index))

    @abstractmethod
    def how_it_ended(self, count: int) -> str:
        """Return the sentence for an end after so many frames."""

    def close(self) -> None:
        """Free the camera, hang up, stop the pipeline."""
        self._capture.release()


class CameraSource(LiveCapture):
    """A camera by its number or device; frames go on until the run is stopped.

    Names such as /dev/v4l/by-id/… stay with a camera, wherever it is plugged in; which number that is now is looked up
    whenever it is opened. OpenCV would take such a name for that of a file.
    """

    def __init__(self, device: int | str, settings: SourceSettings = AS_IT_COMES) -> None:
        """Open the camera and ask it for size, rate and format; it gives what it can.

        Raises:
            SourceError: it is not there.
        """
        self._capture = opened_capture(_number(device))
        _ask(self._capture, settings)
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        name = str(device) if isinstance(device, str) else f"camera:{device}"
        super().__init__(name, length=None, frames_per_s=frames_per_s if frames_per_s > 0 else None)
        if not self._capture.isOpened():
            where = "ls -l /dev/v4l/by-id" if isinstance(device, str) else "ls /dev/video*"
            raise SourceError(f"camera {device} is not there or in use; see '{where}' for the cameras of this machine")

    def how_it_ended(self, count: int) -> str:
        """Return the sentence for an end after so many frames."""
        return f"{self.name} stopped giving frames after {count}; check its cable, then start again"


def _number(device: int | str) -> int | str:
    """Return the number of a device of V4L2."""
    found = re.fullmatch("/dev/video([0-9]+)", os.path.realpath(device)) if isinstance(device, str) else None
    return int(found[1]) if found else device


def opened_capture(target: str | int, api: int = cv2.CAP_ANY, options: Mapping[int, int] = MappingProxyType({})) -> Any:
    """Return OpenCV's capture of a target, which may not have opened.

    Silent: the decoder's own complaints say nothing that a user could act on, and show addresses with passwords.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with silenced():
        return cv2.VideoCapture(target, api, [number for pair in options.items() for number in pair])


def require_size(capture: Any, name: str) -> None:
    """Refuse what would take all memory, before its first frame is decoded; frees the capture then.

    Raises:
        SourceError: its frames are larger than `LARGEST_PIXELS`.
    """
    width, height = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > LARGEST_PIXELS:
        capture.release()
        raise SourceError(
            f"{name} has frames of {width:.0f}x{height:.0f} pixels, at most {LARGEST_PIXELS // 10**6} megapixels are "
            "read; is it damaged?"
        )


def _ask(capture: Any, settings: SourceSettings) -> None:
    # The format comes first: a camera offers sizes and rates by format.
    if settings.pixel_format is not None:
        letters = settings.pixel_format.ljust(4)
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*letters))
        if letters in _GREY_FORMATS:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    if settings.size_hw is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size_hw[1])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size_hw[0])
    if settings.frames_per_s is not None:
        capture.set(cv2.CAP_PROP_FPS, settings.frames_per_s)


def decode(capture: Any) -> tuple[Frame, float] | None:
    """Return the next frame and the ms that it took, or None at the end."""
    begin_ns = time.perf_counter_ns()
    found, frame = capture.read()
    return (frame, (time.perf_counter_ns() - begin_ns) / 1e6) if found else None
