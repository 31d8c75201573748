"""OpenCV, or one sentence on how to get it; every module takes `cv2` from here.

It is not in the base install: pip's wheel has no GStreamer and would hide the build that JetPack brings.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

from ganspect.errors import MissingDependencyError

LARGEST_PIXELS = 100_000_000
"""Images and frames with more pixels than this are refused before they are decoded."""

# OpenCV reads it once, when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST_PIXELS))

try:
    import cv2
except ImportError as error:
    raise MissingDependencyError(
        "OpenCV is not installed; run: pip install 'ganspect[cpu]' "
        "(on a Jetson use the system's: python3 -m venv --system-site-packages)"
    ) from error

__all__ = ["LARGEST_PIXELS", "cv2", "silenced"]


_lock = threading.Lock()
_silent: list[int] = []
"""The level to go back to, once for each block that is entered: cameras open in threads side by side."""


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep OpenCV's own log quiet inside the block: its complaints say nothing that a user could act on."""
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 5; OpenCV 4, as on JetPack, has the functions in cv2 itself
    with _lock:
        _silent.append(_silent[0] if _silent else log.getLogLevel())
        log.setLogLevel(0)
    try:
        yield
    finally:
        with _lock:
            level = _silent.pop()
            if not _silent:
                log.setLogLevel(level)
