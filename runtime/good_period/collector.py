"""Stores the frames of one good period, without loss and in the order of inspection, in a thread of its own.

collector = Collector(folder, period, settings, room_bytes=4 << 30)
collector.offer(judged)      # neither waits nor raises
collector.end(); collector.join(10)
"""

import logging
import os
import shutil
import threading
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

from ganspect.clock import utc_now
from ganspect.errors import GanspectError, OutputError, one_line
from ganspect.opencv import cv2
from ganspect.preprocess import Frame
from ganspect.runtime.good_period.record import Period, StoredFrame, write_period
from ganspect.runtime.good_period.settings import GoodPeriodSettings
from ganspect.runtime.judged import Judged

_log = logging.getLogger("ganspect.station")
_LEAST_FREE_MB = 200
"""Of the disk, which the history needs too."""

_QUICKLY = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class _Held:
    stored: StoredFrame
    frame: Frame


class Collector:
    """Keeps the due frames of a period until it is ended, a limit is reached, or one cannot be stored."""

    def __init__(
        self,
        folder: Path,
        period: Period,
        settings: GoodPeriodSettings,
        *,
        room_bytes: int,
    ) -> None:
        """Begin.

        Args:
            folder: of the period; it is there.
            period: as written when it began.
            settings: of the section `good_period:`.
            room_bytes: that its images may take.
        """
        self._folder = folder
        self._period = period
        self._settings = settings
        self._room = room_bytes
        self._seen: Counter[str] = Counter()
        self._taken_ns: dict[str, int] = {}
        self._waiting: deque[_Held] = deque()
        self._held_bytes = self._taken = 0
        self._images: list[StoredFrame] = []
        self._closed = self._hole = False
        self._reason = ""
        self._bell = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="good period", daemon=True)
        self._thread.start()

    @property
    def collecting(self) -> bool:
        """Return whether frames are still taken."""
        return not self._closed

    @property
    def over(self) -> bool:
        """Return whether nothing is left to do."""
        return not self._thread.is_alive()

    @property
    def period(self) -> Period:
        """Return the period as it stands."""
        with self._bell:
            frames = dict(Counter(image.camera for image in self._images))
            return self._period.model_copy(update={"frames": frames, "reason": self._reason})

    @property
    def waiting(self) -> int:
        """Return how many frames wait for the disk."""
        return len(self._waiting)

    def offer(self, judged: Judged) -> None:
        """Take a frame if it is due; a frame that is due and has no room ends the period, which is then incomplete."""
        with self._bell:
            if self._closed or not self._due(judged):
                return
            # A part of a frame would keep all of it in memory.
            whole = judged.frame is judged.arrival.shot.frame
            if self._held_bytes + judged.frame.nbytes > self._settings.memory_mb << 20:
                self._close("frames came faster than the disk takes them", hole=True)
                return
            frame = judged.frame if whole else judged.frame.copy()
            self._taken += 1
            self._held_bytes += frame.nbytes
            name = f"{self._taken:06d}_{judged.entry.camera}_{judged.entry.uid}.png"
            self._waiting.append(_Held(StoredFrame(file=name, camera=judged.entry.camera, id=judged.entry.uid), frame))
            if self._taken >= self._settings.frames:
                self._close(f"its {self._taken} frames are there")
            self._bell.notify_all()

    def end(self, reason: str = "it was ended", *, hole: bool = False) -> None:
        """Take no more frames; those that wait are still stored. Returns at once.

        Args:
            reason: for the record.
            hole: frames may be missing, so that the period is incomplete.
        """
        with self._bell:
            self._close(reason, hole=hole)

    def join(self, timeout_s: float) -> None:
        """Wait until what waits is stored."""
        self._thread.join(timeout_s)

    def _due(self, judged: Judged) -> bool:
        """Return whether a frame is one to keep, by count and clock alone: never by its verdict."""
        camera, at_ns = judged.entry.camera, judged.arrival.arrived_ns
        self._seen[camera] += 1
        if (self._seen[camera] - 1) % self._settings.every_n:
            return False
        most, last_ns = self._settings.at_most_per_s, self._taken_ns.get(camera)
        if most is not None and last_ns is not None and at_ns - last_ns < 1e9 / most:
            return False
        self._taken_ns[camera] = at_ns
        return True

    def _close(self, reason: str, *, hole: bool = False) -> None:
        if self._closed and not (hole and not self._hole):
            return
        self._closed, self._hole, self._reason = True, self._hole or hole, reason
        self._bell.notify_all()

    def _run(self) -> None:
        try:
            while (held := self._next()) is not None:
                self._store(held)
        except Exception as error:  # whatever it is, a frame is missing now
            with self._bell:
                self._close(f"a frame could not be stored: {one_line(error)}", hole=True)
        self._waiting.clear()
        try:
            self._finish()
        except (GanspectError, OSError) as error:
            _log.error("good period %s stays open and cannot be used: %s", self._period.name, one_line(error))

    def _next(self) -> _Held | None:
        with self._bell:
            self._bell.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting and not self._hole else None

    def _store(self, held: _Held) -> None:
        done, content = cv2.imencode(".png", held.frame, _QUICKLY)
        if not done:
            raise OutputError("it cannot be encoded as PNG")
        (self._folder / held.stored.file).write_bytes(bytes(content))
        self._room -= len(content)
        free_bytes = shutil.disk_usage(self._folder).free
        with self._bell:
            self._images.append(held.stored)
            self._held_bytes -= held.frame.nbytes
            # Where it stops does not depend on the frames after, so what is stored has no hole.
            if self._room <= 0:
                self._stop_here("the quota of all good periods is used up")
            elif free_bytes < _LEAST_FREE_MB << 20:
                self._stop_here(f"the disk has {free_bytes >> 20} MB left")

    def _stop_here(self, reason: str) -> None:
        self._close(reason)
        self._waiting.clear()

    def _finish(self) -> None:
        """Bring the images to the disk, then say so."""
        for image in self._images:
            with (self._folder / image.file).open("rb") as file:
                os.fsync(file.fileno())
        ended = {"ended": utc_now(), "complete": not self._hole and bool(self._images), "images": self._images}
        if not self._images and not self._hole:
            self._reason = "no frame was inspected meanwhile"
        period = self.period.model_copy(update=ended)
        write_period(self._folder, period)
        self._period = period
        said = f"{sum(period.frames.values())} frames in {self._folder}: {period.reason}"
        if period.complete:
            _log.warning("good period %s is over: %s; ganspect calibrate takes it", period.name, said)
        else:
            _log.error("good period %s is incomplete and cannot be used: %s", period.name, said)
