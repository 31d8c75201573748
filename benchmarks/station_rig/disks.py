"""A small disk that can be filled, the most real one that this machine allows.

with small_disk(folder) as disk:
    print(disk.kind)      # ext4 on a loop device
    disk.fill(); disk.free()
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from station_rig.process import MAIN

_MB = 1 << 20
_SIZE_MB = 192


@dataclass(frozen=True)
class SmallDisk:
    """A disk for a station's data.

    Attributes:
        kind: in words.
        data: the station's data folder on it.
        program: what Python runs as the station, see `StationProcess`.
    """

    kind: str
    data: Path
    program: Sequence[str]
    _ballast: Path
    _mounted: bool

    def fill(self) -> None:
        """Leave no room at all."""
        self._ballast.touch()
        if self._mounted:
            with self._ballast.open("r+b") as file:
                _take_all(file.fileno())

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Yield a small disk mounted below a folder, or, where nobody may mount, a history with a limit of pages."""
    with ExitStack() as mounted:
        place = folder / "disk"
        place.mkdir()
        for kind, mount in (("ext4 on a loop device", _loop), ("a tmpfs", _tmpfs)):
            if os.geteuid() == 0 and _succeeds(mount, place):
                mounted.callback(_run, "umount", "-l", str(place))
                yield SmallDisk(kind, place / "data", MAIN, place / "ballast", True)
                return
        flag = folder / "full"
        program = (str(Path(__file__).parent / "limited.py"), str(flag))
        yield SmallDisk("SQLite's limit of pages", place / "data", program, flag, False)


def _loop(place: Path) -> None:
    image = place.with_name("disk.ext4")
    with image.open("wb") as file:
        file.truncate(_SIZE_MB * _MB)
    # No blocks held back for root, who runs this and would get them.
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(place))


def _tmpfs(place: Path) -> None:
    _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", str(place))


def _succeeds(mount: Callable[[Path], None], place: Path) -> bool:
    try:
        mount(place)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _take_all(descriptor: int) -> None:
    """Claim blocks in ever smaller pieces until there are none."""
    size, end = 16 * _MB, os.fstat(descriptor).st_size
    while size >= 4096:
        with contextlib.suppress(InterruptedError):
            try:
                os.posix_fallocate(descriptor, end, size)
                end += size
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
