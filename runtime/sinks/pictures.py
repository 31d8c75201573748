"""Pictures of anomalies: the frame as it came and its heat map, under a quota, beside the history.

pictures.offer(entry, frame, verdict)      # never waits; pictures are encoded in a thread of their own

    station/pictures/2026-11-24/061502.123_left_3f2a….png
    station/pictures/2026-11-24/061502.123_left_3f2a…_heat.jpg
"""

import contextlib
import logging
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ganspect.errors import OutputError, one_line
from ganspect.files import require_writable, write_atomically
from ganspect.opencv import cv2
from ganspect.preprocess import Frame, TileGrid
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.overlay import side_by_side, to_picture
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.verdict import Verdict

_log = logging.getLogger("ganspect.station")
_WAITING = 32
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_FREED = 0.9
"""Share of the quota that is left after old pictures were removed, so that it is not done for each new one."""


@dataclass(frozen=True)
class _Picture:
    entry: Entry
    frame: Frame
    verdict: Verdict
    grid: TileGrid
    heat_scale: float


class Pictures:
    """Writes pictures in a thread.

    Attributes:
        saved: pairs of pictures that were written.
        dropped: that were not, since too many waited or the disk was full.
        name: of the sink.
    """

    def __init__(
        self,
        folder: Path,
        grid: TileGrid,
        *,
        heat_scale: float,
        quota_bytes: int,
        verdicts: tuple[str, ...],
        name: str = "pictures",
    ) -> None:
        """Begin.

        Args:
            folder: for the pictures; only what was written by this class is ever removed from it.
            grid: how frames become tiles, for the picture of what the model sees.
            heat_scale: residual that is drawn in the hottest colour.
            quota_bytes: that all pictures may take; the oldest go first.
            verdicts: kinds of which pictures are kept.
            name: of the sink.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.name = name
        self.saved = self.dropped = 0
        self._why = ""
        self._folder = require_writable(folder)
        self._grid = grid
        self._heat_scale = heat_scale
        self._quota = quota_bytes
        self._verdicts = frozenset(verdicts)
        self._rarely = Rarely()
        self._waiting: queue.Queue[_Picture | None] = queue.Queue(_WAITING)
        self._used = sum(path.stat().st_size for path in self._pictures())
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def follow(self, grid: TileGrid, heat_scale: float) -> None:
        """Take frames from now on as another bundle sees them; those that wait are drawn as the one before saw them.

        Args:
            grid: how frames become tiles.
            heat_scale: residual that is drawn in the hottest colour.
        """
        self._grid, self._heat_scale = grid, heat_scale

    def offer(self, entry: Entry, frame: Frame, verdict: Verdict) -> None:
        """Take a frame if pictures of its verdict are wanted; dropped and counted where too many wait."""
        if entry.verdict not in self._verdicts:
            return
        try:
            self._waiting.put_nowait(_Picture(entry, frame, verdict, self._grid, self._heat_scale))
        except queue.Full:
            self.dropped, self._why = self.dropped + 1, "the disk cannot keep up"

    @property
    def waiting(self) -> int:
        """Return how many are to be written."""
        return self._waiting.qsize()

    @property
    def lost(self) -> str:
        """Return how many were dropped and why the last one was; empty when none was."""
        return f"{self.dropped:,} dropped, {self._why}" if self.dropped else ""

    def heat_path(self, camera: str, timestamp_ns: int, uid: str) -> Path:
        """Return where a verdict's picture with its heat map lies, if it was kept and is not gone."""
        folder, stem = _place(camera, timestamp_ns, uid)
        return self._folder / folder / f"{stem}_heat.jpg"

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, and end."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (picture := self._waiting.get()) is not None:
            try:
                self._save(picture)
                self.saved += 1
            except Exception as error:  # a picture that cannot be written costs no verdict
                self.dropped, self._why = self.dropped + 1, one_line(error)
                self._rarely.log(logging.ERROR, self.name, self._why, before="a picture is lost: ")

    def _save(self, picture: _Picture) -> None:
        shown = to_picture(picture.frame, picture.grid)
        heat = side_by_side(shown, picture.verdict, full_scale=picture.heat_scale)
        files = {".png": _encoded(".png", picture.frame), "_heat.jpg": _encoded(".jpg", heat)}
        self._make_room(sum(map(len, files.values())))
        entry = picture.entry
        folder, stem = _place(entry.camera, entry.timestamp_ns, entry.uid)
        require_writable(self._folder / folder, free_mb=1)
        for suffix, content in files.items():
            write_atomically(self._folder / folder / f"{stem}{suffix}", content)
            self._used += len(content)

    def _make_room(self, needed: int) -> None:
        if self._used + needed <= self._quota:
            return
        found = sorted(self._pictures())
        self._used = sum(path.stat().st_size for path in found)  # somebody may have tidied up
        for path in found:
            if self._used + needed <= self._quota * _FREED:
                break
            size = path.stat().st_size
            path.unlink(missing_ok=True)
            self._used -= size
        for folder in self._folder.glob(_DAY):
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()

    def _pictures(self) -> list[Path]:
        return [*self._folder.glob(f"{_DAY}/*_*.png"), *self._folder.glob(f"{_DAY}/*_*_heat.jpg")]


def _place(camera: str, timestamp_ns: int, uid: str) -> tuple[str, str]:
    """Return the folder of a verdict's pictures and how their names begin."""
    at = time.localtime(timestamp_ns // 1_000_000_000)
    clock = f"{time.strftime('%H%M%S', at)}.{timestamp_ns // 1_000_000 % 1000:03d}"
    return time.strftime("%Y-%m-%d", at), f"{clock}_{camera}_{uid}"


def _encoded(suffix: str, image: Frame) -> bytes:
    done, content = cv2.imencode(suffix, image)
    if not done:
        raise OutputError(f"a picture cannot be encoded as {suffix}")
    return bytes(content)
