"""The loop of a station: take a frame, judge it, record it, until somebody stops it.

with Station.open(read_station(path), folder) as station:
    station.run(stopping)
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ganspect.bundle import MANIFEST
from ganspect.errors import ImageError, one_line
from ganspect.files import sha256_of
from ganspect.preprocess import Frame
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.feed import FeedStatus
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.recorder import Kept, Recorder
from ganspect.runtime.history.store import HISTORY, History
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.judged import Judged
from ganspect.runtime.sinks.selection import Sinks
from ganspect.runtime.station.cameras import Cameras
from ganspect.runtime.station.counts import Counts
from ganspect.runtime.station.judging import Found, Judging, Unusable, known_tiles
from ganspect.runtime.station.settings import StationSettings

_LOOK_S = 0.25
_STOPPING_S = 5.0
_FAILURES_IN_A_ROW = 20
_log = logging.getLogger("ganspect.station")


class Station:
    """Cameras, inspector and history, put together.

    Attributes:
        settings: of the station file.
        inspector: what judges.
        cameras: where frames come from.
        history: where verdicts go.
        recorder: puts them there.
        sinks: where they go beside that.
        observers: told of each verdict, in order, before it is on disk; they must neither wait nor raise.
        lost: verdicts that could neither be put on disk nor held while the station stopped; never acknowledged.
        counts: what happened since the start.
        judging: how waiting frames are judged, several at once where that is faster.
    """

    def __init__(
        self, settings: StationSettings, inspector: Inspector, cameras: Cameras, history: History, sinks: Sinks
    ) -> None:
        """Put the parts together; `Station.open` makes them."""
        self.settings = settings
        self.inspector = inspector
        self.cameras = cameras
        self.history = history
        self.sinks = sinks
        self.observers: list[Callable[[Judged], None]] = [sinks.offer]
        self.counts = Counts(tuple(cameras.feeds))
        self.recorder = Recorder(history, self._kept)
        self.judging = Judging(self._part, asked=settings.inspection.batch, cameras=len(cameras.feeds))
        self._bundle = sha256_of(inspector.bundle.folder / MANIFEST)[:16]
        self._opened = ExitStack()
        self._alarm = ""
        self._in_a_row = 0
        self._look_again_s = 0.0
        self.lost = 0
        self._stopping = threading.Event()
        self._paused = threading.Event()

    @classmethod
    def open(cls, settings: StationSettings, folder: Path) -> "Station":
        """Load the bundle, open the history, prepare the cameras.

        Args:
            settings: of the station file.
            folder: that the cameras' paths are relative to.

        Raises:
            GanspectError: the bundle, the data folder or a file that a camera names cannot be used.
        """
        with ExitStack() as opened:
            history = opened.enter_context(History.open(settings.data / HISTORY))
            cameras = Cameras(settings.cameras, folder, _log_state)
            asked = settings.inspection
            inspector = opened.enter_context(
                Inspector.load(
                    settings.bundle,
                    mode=asked.mode,
                    backend=asked.backend,
                    precision=asked.precision,
                    steps=asked.steps,
                    budget_ms=asked.budget_ms,
                    tuning=Tuning(threads=asked.threads),
                )
            )
            sinks = Sinks(
                settings.sinks, data=settings.data, station=settings.name, history=history, inspector=inspector
            )
            opened.callback(sinks.close)
            station = cls(settings, inspector, cameras, history, sinks)
            station.judging.settle(inspector, known_tiles(inspector.grid, settings.cameras))
            station._opened = opened.pop_all()
        return station

    def run(self, stopping: threading.Event) -> None:
        """Inspect until told to stop or until every camera was a file that is through; then drain.

        Args:
            stopping: set by whoever wants the station to stop.
        """
        self._stopping = stopping
        self.cameras.start()
        while not stopping.is_set() and not self.cameras.ended:
            if self.paused:
                stopping.wait(_LOOK_S)
            else:
                self._next(_LOOK_S)
            self._look()
        self.cameras.stop()
        while self._next(0.0):
            pass

    @property
    def paused(self) -> bool:
        """Return whether no frame is inspected at the moment; a live camera goes on and its frames are dropped."""
        return self._paused.is_set()

    def pause(self, paused: bool) -> None:
        """Stop inspecting, or go on; may be called from any thread."""
        if paused != self.paused:
            _log.warning("inspection is paused" if paused else "inspection goes on")
        (self._paused.set if paused else self._paused.clear)()

    def close(self) -> int:
        """Put on disk what is held, free everything, and return how many verdicts could not be kept."""
        self.cameras.stop()
        left = self.recorder.close() + self.lost
        self.cameras.settle()
        self._opened.close()
        return left

    def __enter__(self) -> "Station":
        """Return the station."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free everything."""
        self.close()

    def _next(self, timeout_s: float) -> bool:
        arrivals = self.cameras.take_together(self.judging.most, timeout_s)
        for found in self.judging.judge(self.inspector, arrivals):
            if isinstance(found, Unusable):
                self._unusable(found.arrival, found.error)
            else:
                self._found(found)
        return bool(arrivals)

    def _found(self, found: Found) -> None:
        self._in_a_row = 0
        arrival, verdict = found.arrival, found.verdict
        mode, waited_ms = self.inspector.mode, found.waited_ms
        entry = Entry.of(arrival, verdict, mode=mode, bundle=self._bundle, waited_ms=waited_ms)
        self.counts.judged(entry)
        judged = Judged(arrival, found.frame, verdict, entry)
        for observer in self.observers:
            observer(judged)
        # Without its pixels: while the disk is full thousands of these are held.
        shot = replace(arrival.shot, frame=arrival.shot.frame[:0, :0].copy())
        self._submit(entry, (arrival.camera, shot))

    def _submit(self, entry: Entry, ticket: tuple[str, Shot]) -> None:
        """Hand a verdict over to be kept; while too many are held, look after the rest, and heed a stop."""
        end_s = time.monotonic() + _STOPPING_S
        while not self.recorder.submit(entry, ticket, timeout_s=_LOOK_S):
            self._look()
            if not self._stopping.is_set():
                end_s = time.monotonic() + _STOPPING_S
            elif time.monotonic() > end_s:
                self.lost += 1
                return

    def _unusable(self, arrival: Arrival, error: Exception) -> None:
        self.counts.unusable(arrival.camera, one_line(error))
        self.cameras.failed(arrival.camera, arrival.shot)
        if isinstance(error, ImageError):  # a camera that changed its format, say
            _log.warning("camera %s: %s", arrival.camera, error)
            return
        _log.error("camera %s: a frame could not be judged", arrival.camera, exc_info=error)
        self._in_a_row += 1
        if self._in_a_row >= _FAILURES_IN_A_ROW:
            raise error  # the backend is broken; whoever supervises the process starts it anew

    def _part(self, arrival: Arrival) -> Frame:
        region = self.cameras.settings[arrival.camera].roi_xyxy
        if region is None:
            return arrival.shot.frame
        left, top, right, bottom = region
        height, width = arrival.shot.frame.shape[:2]
        if right > width or bottom > height:
            raise ImageError(
                f"the frame has {width}x{height} pixels and roi_xyxy ends at {right}, {bottom}; correct roi_xyxy"
            )
        return arrival.shot.frame[top:bottom, left:right]

    def _kept(self, batch: Sequence[Kept]) -> None:
        for kept in batch:
            self.cameras.done(*kept.ticket)
        self.sinks.notify()

    def _look(self) -> None:
        """Look after cameras and disk, now and then: not for each of some hundred frames a second."""
        if time.monotonic() < self._look_again_s:
            return
        self._look_again_s = time.monotonic() + _LOOK_S
        self.cameras.check()
        if self.recorder.alarm != self._alarm:
            self._alarm = self.recorder.alarm
            if self._alarm:
                _log.error("verdicts are held, and none is acknowledged: %s", self._alarm)
            else:
                _log.warning("verdicts are kept again")


def _log_state(status: FeedStatus) -> None:
    level = logging.WARNING if status.state in ("stalled", "frozen", "lost") else logging.INFO
    _log.log(level, "camera %s is %s%s", status.camera, status.state, f": {status.error}" if status.error else "")
