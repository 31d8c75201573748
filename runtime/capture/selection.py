"""Which source a text names; more kinds are added here, each with a module of its own."""

import re
from pathlib import Path

from ganspect.datasets.images import SUFFIXES
from ganspect.errors import SourceError
from ganspect.runtime.capture.images import FolderSource, ImageSource
from ganspect.runtime.capture.source import Source
from ganspect.runtime.capture.video import CameraSource, VideoSource


def open_source(text: str) -> Source:
    """Open a camera number, a folder of images, an image, or else a video file.

    Raises:
        SourceError: no such camera or path, a folder without images, a file that is no video or has no frames.
    """
    if re.fullmatch("[0-9]{1,4}", text) and not Path(text).exists():
        return CameraSource(int(text))
    path = Path(text).expanduser()
    if not (text and path.exists()):
        raise SourceError(
            f"{text!r} does not exist; give an image, a folder of images, a video file, or a camera number"
        )
    if path.is_dir():
        return FolderSource(text, path)
    if path.suffix.lower() in SUFFIXES:
        return ImageSource(text, path)
    return VideoSource(text, path)
