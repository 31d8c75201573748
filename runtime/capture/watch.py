"""A folder into which a camera's own software drops images: each is taken once, when it is complete.

for shot in WatchSource(read_address("watch:/data/line3"), SourceSettings()):
    source.done(shot)        # its verdict is safe: the file moves to /data/line3/done

A file is complete when its size and time of change stay the same for a while and it can be decoded; one that still
cannot after that is moved to `failed`. Files are looked for, not waited for: a network share tells nobody of changes.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ganspect.datasets import Skipped
from ganspect.datasets.images import SUFFIXES, read_image
from ganspect.errors import ImageError, OutputError, SourceError
from ganspect.files import require_writable
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.source import Shot, Source, SourceSettings

DONE, FAILED = "done", "failed"


class _Identity(NamedTuple):
    """What tells a file from another one that was given its name later."""

    inode: int
    size: int
    changed_ns: int


@dataclass(frozen=True)
class _Seen:
    """A file as it was last looked at."""

    identity: _Identity
    since_s: float


class Ledger:
    """Which files of a folder were taken, and where they have to go; outlives a source that is opened anew.

    Moves are noted by whoever has a verdict and made by the thread that looks at the folder, so that a share that hangs
    holds up nobody else; one that fails is tried again.
    """

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self._lock = threading.Lock()
        self._taken: dict[Path, _Identity] = {}
        self._owed: dict[Path, str] = {}

    def take(self, path: Path, identity: _Identity) -> None:
        """Note that a file was given away."""
        with self._lock:
            self._taken[path] = identity

    def is_taken(self, path: Path, identity: _Identity) -> bool:
        """Return whether just this file was given away; one that took its name since was not."""
        with self._lock:
            return self._taken.get(path) == identity

    def owe(self, path: Path, folder: str) -> None:
        """Note that a file is to be moved."""
        with self._lock:
            self._owed[path] = folder

    def settle(self) -> int:
        """Move what is to be moved, and return how many files could not be."""
        with self._lock:
            owed = list(self._owed.items())
        for path, folder in owed:
            with contextlib.suppress(OSError):
                self._move(path, folder)
                with self._lock:
                    self._owed.pop(path, None)
                    self._taken.pop(path, None)
        return len(self._owed)

    def _move(self, path: Path, folder: str) -> None:
        try:
            identity = identity_of(path)
        except FileNotFoundError:
            return  # somebody took it away
        if identity != self._taken.get(path, identity):
            return  # another file has its name, and its turn is still to come
        target = path.parent / folder / path.name
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            target = target.with_name(f"{path.stem}.{time.time_ns()}{path.suffix}")
        path.replace(target)


class WatchSource(Source):
    """Images as they appear in a folder, in the order of their times; goes on until it is closed."""

    def __init__(self, address: Address, settings: SourceSettings, ledger: Ledger | None = None) -> None:
        """Look at the folder.

        Args:
            address: of the folder.
            settings: how often it is looked at, and when a file is complete.
            ledger: of the folder, from the source before this one; None: this is the first.

        Raises:
            SourceError: it is not there, or files cannot be moved out of it.
        """
        folder = address.path
        if folder is None or not os.path.isdir(folder):
            raise SourceError(f"{address.shown}: there is no such folder; create it, or correct the path")
        super().__init__(address.shown, length=None, many=True)
        self._folder = folder
        self._settings = settings
        self._ledger = ledger or Ledger()
        self._seen: dict[Path, _Seen] = {}
        self._failing_s: dict[Path, float] = {}
        self._closed = threading.Event()
        try:
            for name in (DONE, FAILED):
                if (folder / name).is_symlink():
                    raise SourceError(f"{address.shown}: {name}/ is a link; files move within the folder: remove it")
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
            self._ledger.settle()
            given = False
            for path in self._ready():
                shot = self._read(path, index)
                if shot is not None:
                    given = True
                    yield shot
                    index += 1
                if self._closed.is_set():
                    return
            if not given:
                self._closed.wait(self._settings.poll_s)

    def done(self, shot: Shot) -> None:
        """Note that an image's verdict is safe; it is moved out of the way at the next look."""
        self._ledger.owe(Path(shot.source), DONE)

    def failed(self, shot: Shot) -> None:
        """Note that an image cannot be judged; it is put aside at the next look."""
        self._ledger.owe(Path(shot.source), FAILED)

    def interrupt(self) -> None:
        """Stop looking."""
        self._closed.set()

    def close(self) -> None:
        """Stop looking, and move what is still to be moved."""
        self._closed.set()
        self._ledger.settle()

    def _ready(self) -> list[Path]:
        """Return the images that have been the same for long enough, oldest first."""
        try:
            found = [path for path in self._folder.iterdir() if _is_image(path)]
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read: {error.strerror}; is the share still mounted?") from error
        now_s, seen = time.monotonic(), {}
        for path in found:
            with contextlib.suppress(OSError):  # taken away in between
                identity, before = identity_of(path), self._seen.get(path)
                if not self._ledger.is_taken(path, identity):
                    same = before is not None and before.identity == identity
                    seen[path] = before if same and before else _Seen(identity, now_s)
        self._seen = seen
        self._failing_s = {path: since_s for path, since_s in self._failing_s.items() if path in seen}
        settled = [
            path for path, at in seen.items() if at.identity.size and now_s - at.since_s >= self._settings.settle_s
        ]
        return sorted(settled, key=lambda path: (seen[path].identity.changed_ns, path.name))

    def _read(self, path: Path, index: int) -> Shot | None:
        begin_ns, identity = time.perf_counter_ns(), self._seen[path].identity
        try:
            frame = read_image(path)
            # Its status changes when it is moved: one that somebody puts back from `done` is to be judged anew.
            known_as = f"{path.absolute()} {identity.size} {identity.changed_ns} {path.stat().st_ctime_ns}"
        except (ImageError, OSError) as error:
            # Its end may still be on the way, or the share is away for a moment.
            since_s = self._failing_s.setdefault(path, time.monotonic())
            if path.exists() and time.monotonic() - since_s >= self._settings.give_up_s:
                self.skip(Skipped(str(path), str(error)))
                self._ledger.take(path, identity)
                self._ledger.owe(path, FAILED)
            return None
        self._ledger.take(path, identity)
        read_ms = (time.perf_counter_ns() - begin_ns) / 1e6
        return Shot(str(path), index, identity.changed_ns, frame, read_ms, known_as)


def identity_of(path: Path) -> _Identity:
    """Return what tells a file from another of its name."""
    status = path.stat()
    return _Identity(status.st_ino, status.st_size, status.st_mtime_ns)


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES
