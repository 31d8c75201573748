"""A folder into which a camera's own software drops images: each is taken once, when it is complete.

for shot in WatchSource(read_address("watch:/data/line3"), SourceSettings()):
    source.done(shot)        # its verdict is safe: the file moves to /data/line3/done

A file is complete when its size and time of change stay the same for a while and it can be decoded; one that still
cannot after that is moved to `failed`. Files are looked for, not waited for: a network share tells nobody of changes.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganspect.datasets import Skipped
from ganspect.datasets.images import SUFFIXES, read_image
from ganspect.errors import ImageError, OutputError, SourceError
from ganspect.files import require_writable
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.source import Shot, Source, SourceSettings

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class _Seen:
    """A file as it was last looked at."""

    size: int
    changed_ns: int
    since_s: float


class WatchSource(Source):
    """Images as they appear in a folder, in the order of their times; goes on until it is closed."""

    def __init__(self, address: Address, settings: SourceSettings) -> None:
        """Look at the folder.

        Raises:
            SourceError: it is not there, or files cannot be moved out of it.
        """
        folder = address.path
        if folder is None or not folder.is_dir():
            raise SourceError(f"{address.shown}: there is no such folder; create it, or correct the path")
        super().__init__(address.shown, length=None, many=True)
        self._folder = folder
        self._settings = settings
        self._seen: dict[Path, _Seen] = {}
        self._given: set[Path] = set()
        self._closed = threading.Event()
        try:
            for name in (DONE, FAILED):
                require_writable(folder / name)
        except OutputError as error:
            raise SourceError(f"{address.shown}: inspected files move to {DONE}/, but {error}") from error

    def __iter__(self) -> Iterator[Shot]:
        """Yield the images, waiting for the next ones.

        Raises:
            SourceError: the folder is gone.
        """
        index = 0
        while not self._closed.is_set():
            ready = self._ready()
            for path in ready:
                shot = self._read(path, index)
                if shot is not None:
                    self._given.add(path)
                    yield shot
                    index += 1
                if self._closed.is_set():
                    return
            if not ready:
                self._closed.wait(self._settings.poll_s)

    def done(self, shot: Shot) -> None:
        """Move an image whose verdict is safe out of the way."""
        self._move(Path(shot.source), DONE)

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()

    def _ready(self) -> list[Path]:
        """Return the images that have been the same for long enough, oldest first."""
        try:
            found = [path for path in self._folder.iterdir() if _is_image(path) and path not in self._given]
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read: {error.strerror}; is the share still mounted?") from error
        now_s, seen = time.monotonic(), {}
        for path in found:
            with contextlib.suppress(OSError):  # taken away in between
                status = path.stat()
                before = self._seen.get(path)
                same = before is not None and (before.size, before.changed_ns) == (status.st_size, status.st_mtime_ns)
                seen[path] = before if same and before else _Seen(status.st_size, status.st_mtime_ns, now_s)
        self._seen = seen
        settled = [path for path, at in seen.items() if at.size and now_s - at.since_s >= self._settings.settle_s]
        return sorted(settled, key=lambda path: (seen[path].changed_ns, path.name))

    def _read(self, path: Path, index: int) -> Shot | None:
        begin_ns = time.perf_counter_ns()
        try:
            changed_ns = path.stat().st_mtime_ns
            frame = read_image(path)
        except (ImageError, OSError) as error:
            if not path.exists():
                return None
            if time.monotonic() - self._seen[path].since_s < self._settings.give_up_s:
                return None  # its end may still be on the way
            self.skipped.append(Skipped(str(path), str(error)))
            self._move(path, FAILED)
            return None
        return Shot(str(path), index, changed_ns, frame, (time.perf_counter_ns() - begin_ns) / 1e6)

    def _move(self, path: Path, folder: str) -> None:
        target = self._folder / folder / path.name
        with contextlib.suppress(FileNotFoundError):
            if target.exists():
                target = target.with_name(f"{path.stem}.{time.time_ns()}{path.suffix}")
            path.replace(target)
        self._given.discard(path)


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES
