"""Images as sources: one file, or those right in a folder in the order of their names."""

import time
from collections.abc import Iterator
from pathlib import Path

from ganspect.datasets import Skipped
from ganspect.datasets.images import image_paths, read_image
from ganspect.errors import ImageError, SourceError
from ganspect.runtime.capture.source import Shot, Source


class ImageSource(Source):
    """One image file."""

    def __init__(self, name: str, path: Path) -> None:
        """Remember the file; it is read when iterated."""
        super().__init__(name, length=1)
        self._path = path

    def __iter__(self) -> Iterator[Shot]:
        """Yield the image.

        Raises:
            ImageError: it cannot be read.
        """
        yield _read(self._path, 0)


class FolderSource(Source):
    """The images right in a folder; those that cannot be read are skipped and named."""

    def __init__(self, name: str, folder: Path) -> None:
        """List the folder.

        Raises:
            SourceError: it holds no images.
        """
        self._paths = image_paths(folder)
        super().__init__(name, length=len(self._paths), many=True)
        if not self._paths:
            raise SourceError(
                f"{name} holds no images (PNG, JPEG, BMP, TIFF); give a folder with some right in it, not below it"
            )

    def __iter__(self) -> Iterator[Shot]:
        """Yield the readable images by name; a skipped one keeps its frame index to itself."""
        for index, path in enumerate(self._paths):
            try:
                shot = _read(path, index)
            except ImageError as error:
                self.skip(Skipped(str(path), str(error)))
                continue
            yield shot


def _read(path: Path, index: int) -> Shot:
    begin_ns = time.perf_counter_ns()
    frame = read_image(path)
    capture_ms = (time.perf_counter_ns() - begin_ns) / 1e6
    return Shot(str(path), index, path.stat().st_mtime_ns, frame, capture_ms)
