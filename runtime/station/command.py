"""`ganspect run`: a station from its file until Ctrl-C, SIGTERM, or the end of all its files.

run_station(Path("station.yaml"))       # SIGHUP loads its bundle anew
"""

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from ganspect.errors import OutputError, SourceError
from ganspect.extras import extra
from ganspect.files import require_writable
from ganspect.runtime.station.logs import set_up_logs
from ganspect.runtime.station.settings import StationSettings, read_station
from ganspect.runtime.station.station import Station
from ganspect.runtime.station.summary import show_summary

if TYPE_CHECKING:  # its packages are in an extra
    from ganspect.runtime.page.server import Page

_log = logging.getLogger("ganspect.station")
_LOCK = ".station.lock"


def run_station(path: Path) -> None:
    """Run a station until it is told to stop; prints what happened.

    Args:
        path: the station file.

    Raises:
        ConfigError: the file cannot be used.
        GanspectError: the bundle, the data folder or a file that a camera names cannot be used.
        ConfigError: the page's port is in use, or its token or certificate cannot be used.
        SourceError: all cameras are files, and none could be read.
        OutputError: another station has the data folder, or at the end verdicts could not be put on disk.
    """
    settings, folder = read_station(path), path.absolute().parent
    opened: list[Station] = []
    with (
        _only_one(settings),
        set_up_logs(as_json=settings.log == "json"),
        _page(settings, folder) as page,
        _until_told() as stopping,
        _on_hang_up(opened, stopping),
    ):
        with Station.open(settings, folder) as station:
            opened.append(station)
            with nullcontext() if page is None else page.serving(station):
                _greet(station, page)
                station.run(stopping)
            left = station.close()
            show_summary(station, Console())
        if not stopping.is_set() and (why := _nothing_seen(station)):
            raise SourceError(f"no camera gave a frame: {why}")
        if left:
            raise OutputError(
                f"{left} verdicts were not on disk when the station stopped "
                f"({station.recorder.alarm or 'the disk hangs'}), and had not been acknowledged; look after the disk"
            )


def _nothing_seen(station: Station) -> str:
    """Return why a station whose files are through has judged nothing at all, empty where it has."""
    statuses = ((name, feed.status()) for name, feed in station.cameras.feeds.items())
    errors = [f"{name}: {status.error}" for name, status in statuses if status.error]
    return "" if station.recorder.kept else "; ".join(errors)


@contextmanager
def _only_one(settings: StationSettings) -> Iterator[None]:
    fresh = not settings.data.exists()
    folder = require_writable(settings.data)
    try:
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise OutputError(f"cannot write {folder / _LOCK}: {error.strerror}; choose another data folder") from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(
                f"another station is running with the data folder {folder}; stop it, or give this one its own"
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # the disk may be gone, and that is said elsewhere
                if fresh and os.listdir(folder) == [_LOCK]:  # it was refused: leave nothing behind
                    shutil.rmtree(folder)


@contextmanager
def _page(settings: StationSettings, folder: Path) -> Iterator["Page | None"]:
    """Yield the page, if there is to be one; its port is taken at once, so that one in use is found out first."""
    if settings.page is None:
        yield None
        return
    with extra("station"):
        from ganspect.runtime.page.server import Page

    with Page.bound(settings.page, folder) as page:
        yield page


def _greet(station: Station, page: "Page | None") -> None:
    backend = station.inspector.backend
    _log.info("station %s runs with %s in %s; Ctrl-C stops it", station.settings.name, backend.name, backend.precision)
    if page is not None:
        Console().print(f"page: {page.address}", highlight=False, soft_wrap=True)


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; a second one ends the process at once."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        with contextlib.suppress(OSError):  # nobody reads it any more, and the drain must go on
            os.write(2, b"stopping: frames that were captured are still judged; once more ends at once\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _on_hang_up(opened: Sequence[Station], stopping: threading.Event) -> Iterator[None]:
    """Load the bundle anew on SIGHUP, or stop where it means what it says: that the terminal is gone.

    While a station is being opened it is loaded anyway.
    """
    had_terminal = _has_terminal()

    def hang_up(number: int, frame: FrameType | None) -> None:
        if had_terminal and not _has_terminal():
            stopping.set()
        for station in opened if not stopping.is_set() else ():
            station.reload()

    before = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
