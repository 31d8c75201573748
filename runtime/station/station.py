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

from ganspect.errors import ImageError, one_line
from ganspect.preprocess import Frame
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.drift import Drift
from ganspect.runtime.good_period import GoodPeriod
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.history.recorder import Kept, Recorder
from ganspect.runtime.history.retention import Retention
from ganspect.runtime.history.store import HISTORY, History
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.judged import Judged, tell
from ganspect.runtime.outputs.selection import Outputs
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.sinks.selection import Sinks
from ganspect.runtime.station.cameras import Cameras
from ganspect.runtime.station.counts import Counts
from ganspect.runtime.station.judging import Found, Judging, Unusable, known_tiles
from ganspect.runtime.station.loading import swap_of
from ganspect.runtime.station.notify import Supervisor
from ganspect.runtime.station.parts import Parts
from ganspect.runtime.station.settings import StationSettings
from ganspect.runtime.station.state_log import StateLog
from ganspect.runtime.station.status_line import status_line
from ganspect.runtime.station.swap import Swap

_LOOK_S = 0.25
_STOPPING_S = 5.0
_FAILURES_IN_A_ROW = 20
_log = logging.getLogger("ganspect.station")


class Station:
    """Cameras, inspector and history, put together.

    Attributes:
        settings: of the station file.
        swap: what judges, and what will: see `Swap`.
        supervisor: told that the station is ready and alive.
        cameras: where frames come from.
        history: where verdicts go.
        recorder: puts them there.
        retention: removes old ones.
        sinks: where they go beside that.
        outputs: what rejects parts.
        observers: told of each verdict, in order, before it is on disk; they must neither wait nor raise.
        turned_s: `time.monotonic()` when the loop last turned; one that hangs is known by it.
        lost: verdicts that could neither be put on disk nor held while the station stopped; never acknowledged.
        counts: what happened since the start.
        drift: whether frames still score as when the bundle was calibrated.
        good_period: keeps the frames of a period that is declared good; begun and ended from any thread.
        parts: what of each camera's frames is inspected, and how much of it was beyond the declared range.
        judging: how waiting frames are judged, several at once where that is faster.
    """

    def __init__(
        self,
        settings: StationSettings,
        swap: Swap,
        cameras: Cameras,
        history: History,
        sinks: Sinks,
        outputs: Outputs,
        last_frames: dict[str, Frame],
    ) -> None:
        """Put the parts together; `Station.open` makes them."""
        self.settings = settings
        self.swap = swap
        self.supervisor = self.swap.supervisor = Supervisor.of_environment()
        self.cameras = cameras
        self.history = history
        self.sinks = sinks
        self.outputs = outputs
        self.drift = Drift(swap.inspector, tuple(cameras.feeds), settings.drift, settings.data)
        self.good_period = GoodPeriod(
            settings.good_period, data=settings.data, station=settings.name, bundle=swap.bundle
        )
        self.swap.followers.append(self._follow)
        # Outputs first: a part is on its way to the ejector.
        self.observers: list[Callable[[Judged], None]] = [
            outputs.judged,
            sinks.offer,
            self.drift.observe,
            self.good_period.observe,
        ]
        self.counts = Counts(tuple(cameras.feeds))
        self.parts = Parts(settings.cameras, swap.inspector.grid.bits)
        self._rarely = Rarely(at_once=1)
        self.recorder = Recorder(history, self._kept, on_rejected=self._rejected)
        self.retention = Retention(history, settings.history, sinks=[sink.name for sink in sinks.forwarders])
        self.judging = Judging(self.parts.of, asked=settings.inspection.batch, cameras=len(cameras.feeds))
        self._last_frames = last_frames
        self._opened = ExitStack()
        self._alarm, self._in_a_row, self._look_again_s = "", 0, 0.0
        self.turned_s = time.monotonic()
        self._unwell: dict[str, str] = cameras.unwell()
        self._stop_by_s = time.monotonic() + _STOPPING_S
        self.lost = 0
        self._stopping, self._paused = threading.Event(), threading.Event()

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
            names = [camera.name for camera in settings.cameras]
            outputs = Outputs(settings.outputs, station=settings.name, cameras=names)
            opened.callback(outputs.close)
            cameras = Cameras(settings.cameras, folder, StateLog(), station=settings.name, on_missed=outputs.missed)
            frames: dict[str, Frame] = {}
            swap = swap_of(settings, frames)
            opened.callback(swap.close)
            history = opened.enter_context(History.open(settings.data / HISTORY))
            history.note("station", settings.name)
            sinks = Sinks(
                settings.sinks, data=settings.data, station=settings.name, history=history, inspector=swap.inspector
            )
            opened.callback(sinks.close)
            station = cls(settings, swap, cameras, history, sinks, outputs, frames)
            station.judging.settle(swap.inspector, known_tiles(swap.inspector.grid, settings.cameras))
            station._opened = opened.pop_all()
        return station

    def run(self, stopping: threading.Event) -> None:
        """Inspect until told to stop or until every camera was a file that is through; then drain.

        Args:
            stopping: set by whoever wants the station to stop.
        """
        self._stopping = stopping
        self.cameras.start()
        self.supervisor.ready()
        while not stopping.is_set() and not self.cameras.ended:
            self.turned_s = time.monotonic()
            self.swap.between_frames()
            if self.paused:
                self.outputs.rest("inspection is paused")
                self.cameras.pass_over()
                time.sleep(_LOOK_S)  # waiting for the event, a handler that sets it would wait for this thread
            else:
                self._next(_LOOK_S)
                self.outputs.feed(self._unwell)
            self._look()
        self.supervisor.stopping()
        self.swap.end()
        if self.paused:
            self.cameras.pass_over()
        self._stop_by_s = time.monotonic() + _STOPPING_S
        # What waits is judged before a driver that hangs is waited for: parts are on their way to the ejector.
        for stop in (self.cameras.ask_to_stop, self.cameras.stop):
            stop()
            while self._next(0.0):
                self.turned_s = time.monotonic()
                self.supervisor.alive()
        self.cameras.pass_over()
        self.outputs.close()

    @property
    def inspector(self) -> Inspector:
        """Return what judges at the moment; another one after a swap."""
        return self.swap.inspector

    def reload(self) -> None:
        """Have the bundle opened anew, tried, and put in force; returns at once, see `swap.status()` for the rest."""
        self.swap.ask()

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
        self.outputs.close()
        self.retention.close()
        left = self.recorder.close() + self.lost
        self.good_period.close()
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

    def _follow(self, inspector: Inspector) -> None:
        """Let others know of another inspector; how many frames are judged together stays: it is slow to measure."""
        self.sinks.follow(inspector)
        self.drift.use(inspector)
        self.judging.renew()
        self.good_period.bundle = self.swap.bundle

    def _next(self, timeout_s: float) -> bool:
        # A bundle on trial judges one by one, so that each frame it fails on is judged by the one before.
        most = 1 if self.swap.on_trial else self.judging.most
        arrivals = self.cameras.take_together(most, timeout_s)
        for found in self.judging.judge(self.inspector, arrivals, alone=self.swap.inspect):
            if isinstance(found, Unusable):
                self._unusable(found.arrival, found.error)
            else:
                self._found(found)
        return bool(arrivals)

    def _found(self, found: Found) -> None:
        self._in_a_row = 0
        arrival, verdict = found.arrival, found.verdict
        self._last_frames[arrival.camera] = found.frame
        mode, bundle = self.inspector.mode, self.swap.bundle
        entry = Entry.of(arrival, verdict, mode=mode, bundle=bundle, waited_ms=found.waited_ms)
        self.counts.judged(entry)
        tell(self.observers, Judged(arrival, found.frame, verdict, entry))
        # Without its pixels: while the disk is full thousands of these are held.
        shot = replace(arrival.shot, frame=arrival.shot.frame[:0, :0].copy())
        self._submit(entry, (arrival.camera, shot))

    def _submit(self, entry: Entry, ticket: tuple[str, Shot]) -> None:
        """Hand a verdict over to be kept; while too many are held, look after the rest, and heed a stop."""
        while not self.recorder.submit(entry, ticket, timeout_s=_LOOK_S):
            self.turned_s = time.monotonic()
            self._look()
            self.outputs.rest("verdicts cannot be kept")  # parts pass meanwhile, and later others are in their place
            self.cameras.pass_over()
            if not self._stopping.is_set():
                self._stop_by_s = time.monotonic() + _STOPPING_S
            elif time.monotonic() > self._stop_by_s:  # one wait for all that is left, not one each
                self.lost += 1
                return

    def _unusable(self, arrival: Arrival, error: Exception) -> None:
        self.counts.unusable(arrival.camera, one_line(error))
        self.outputs.unusable(arrival)
        self.cameras.failed(arrival.camera, arrival.shot)
        if isinstance(error, ImageError):  # a camera that changed its format, say
            self._rarely.log(logging.WARNING, arrival.camera, str(error), before=f"camera {arrival.camera}: ")
            return
        before = f"camera {arrival.camera}: a frame could not be judged: "
        self._rarely.log(logging.ERROR, arrival.camera, one_line(error), before=before, error=error)
        self._in_a_row += 1
        if self._in_a_row >= _FAILURES_IN_A_ROW:
            raise error  # the backend is broken; whoever supervises the process starts it anew

    def _kept(self, batch: Sequence[Kept]) -> None:
        for kept in batch:
            self.cameras.done(*kept.ticket)
        self.sinks.notify()

    def _rejected(self, batch: Sequence[Kept]) -> None:
        for kept in batch:
            self.cameras.failed(*kept.ticket)

    def _look(self) -> None:
        """Look after cameras and disk, now and then: not for each of some hundred frames a second."""
        if time.monotonic() < self._look_again_s:
            return
        self._look_again_s = time.monotonic() + _LOOK_S
        self.cameras.check()
        self._unwell = self.cameras.unwell()
        self.supervisor.alive(status_line(self.swap, self.cameras, paused=self.paused, alarm=self.recorder.alarm))
        if self.recorder.alarm != self._alarm:
            self._alarm = self.recorder.alarm
            if self._alarm:
                _log.error("verdicts are held, and none is acknowledged: %s", self._alarm)
            else:
                _log.warning("verdicts are kept again")
