"""Video files and cameras through OpenCV.

A container may promise more frames than can be decoded: a file that was cut off is processed as far as it goes, and a
warning says so. Promises are compared in time too, because of files with gaps, whose count is that of time slots.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganspect.errors import SourceError
from ganspect.opencv import cv2, silenced
from ganspect.preprocess import Frame
from ganspect.runtime.capture.source import Shot, Source

_SLACK = 0.02
"""Share of a video that may be missing at its end without a warning: containers round."""


class VideoSource(Source):
    """A video file, frame by frame."""

    def __init__(self, name: str, path: Path) -> None:
        """Open the file and decode its first frame.

        Raises:
            SourceError: it is no video that OpenCV can read, or has no frames.
        """
        self._capture = _open(str(path))
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        super().__init__(
            name,
            length=count if count > 0 else None,
            frames_per_s=frames_per_s if 0 < frames_per_s < 1000 else None,
        )
        if not self._capture.isOpened():
            raise SourceError(f"{name} is neither an image nor a video that OpenCV can read, or is damaged; convert it")
        self._first = _decode(self._capture)
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
            shot = _decode(self._capture)
        self._compare(decoded, position_ms)

    def close(self) -> None:
        """Free the file."""
        self._capture.release()

    def _position_ms(self, index: int) -> float:
        position_ms = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
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


class CameraSource(Source):
    """A camera by its number; frames go on until the run is stopped."""

    def __init__(self, number: int) -> None:
        """Open the camera.

        Raises:
            SourceError: it is not there.
        """
        self._capture = _open(number)
        frames_per_s = self._capture.get(cv2.CAP_PROP_FPS)
        super().__init__(f"camera:{number}", length=None, frames_per_s=frames_per_s if frames_per_s > 0 else None)
        if not self._capture.isOpened():
            raise SourceError(
                f"camera {number} is not there or in use; see 'ls /dev/video*' for the numbers of this machine"
            )

    def __iter__(self) -> Iterator[Shot]:
        """Yield frames as the camera gives them.

        Raises:
            SourceError: it stopped giving frames.
        """
        index = 0
        while (shot := _decode(self._capture)) is not None:
            frame, capture_ms = shot
            yield Shot(self.name, index, time.time_ns(), frame, capture_ms)
            index += 1
        raise SourceError(f"{self.name} stopped giving frames after {index}; check its cable, then start again")

    def close(self) -> None:
        """Free the camera."""
        self._capture.release()


def _open(target: str | int) -> Any:
    """Open silently: the decoder's own complaints say nothing that a user could act on."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with silenced():
        return cv2.VideoCapture(target)


def _decode(capture: Any) -> tuple[Frame, float] | None:
    begin_ns = time.perf_counter_ns()
    found, frame = capture.read()
    return (frame, (time.perf_counter_ns() - begin_ns) / 1e6) if found else None
