"""A camera in a thread of its own: opened again whenever it fails, for ever, its frames put into a buffer.

feed = Feed("left", open_camera, LatestBuffer(bell), FeedSettings())
feed.start()
print(feed.status().state, feed.status().frames)

A thread that hangs inside a driver cannot be ended. `check`, called now and then by whoever supervises, leaves it
behind and begins a new one; should the old one ever come back, it finds that it is not wanted and ends.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from ganspect.datasets import Skipped
from ganspect.errors import GanspectError, one_line
from ganspect.redaction import redacted
from ganspect.runtime.capture.backoff import Backoff
from ganspect.runtime.capture.buffers import Arrival, Buffer
from ganspect.runtime.capture.feed_status import AS_A_CAMERA, FeedSettings, FeedStatus, State
from ganspect.runtime.capture.repeats import Repeats
from ganspect.runtime.capture.source import Shot, Source

__all__ = ["Feed", "FeedSettings", "FeedStatus", "State"]

_RATE_FRAMES = 60
_TRIES_OF_A_FILE = 3
_HUNG_AT_MOST = 5
"""Threads of one camera that may hang at once: each holds memory and perhaps a device, and nothing can end it."""
_log = logging.getLogger("ganspect.station")


class _UnwantedError(Exception):
    """The thread was left behind, or the feed was stopped."""


class Feed:
    """Keeps one camera's frames coming."""

    def __init__(
        self,
        camera: str,
        open_source: Callable[[], Source],
        buffer: Buffer,
        settings: FeedSettings = AS_A_CAMERA,
        *,
        on_change: Callable[[FeedStatus], None] = lambda status: None,
    ) -> None:
        """Take what is needed; nothing is opened before `start`.

        Args:
            camera: its name.
            open_source: opens it; may raise any error of ganspect's.
            buffer: where frames go.
            settings: see `FeedSettings`.
            on_change: called from the camera's thread, or from `check`, when the state changes.
        """
        self.camera = camera
        self.buffer = buffer
        self.source: Source | None = None
        self._open_source = open_source
        self._settings = settings
        self._on_change = on_change
        self._backoff = Backoff(settings.backoff_first_s, settings.backoff_most_s)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = 0
        self._state: State = "opening"
        self._since_s = time.monotonic()
        self._frames = self._opened = self._failures = self._abandoned = self._skipped = 0
        self._arrivals_s: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._size_hw: tuple[int, int] | None = None
        self._error = ""
        self._threads: list[threading.Thread] = []
        self._held = False
        self._dropped = 0
        self._repeats = Repeats()

    def start(self) -> None:
        """Begin."""
        with self._lock:
            self._thread += 1
            number = self._thread
        # By this name the command knows, when it ends, that one of them hangs.
        thread = threading.Thread(target=self._run, args=(number,), name=f"camera {self.camera}", daemon=True)
        self._threads = [*self._alive(), thread]
        thread.start()

    @property
    def through(self) -> bool:
        """Return whether no more frames will come, and all that came were taken."""
        return self._state in ("ended", "stopped") and not len(self.buffer)

    def check(self) -> None:
        """Look whether frames come, and leave a thread behind that hangs."""
        if self._held:
            if len(self._alive()) < _HUNG_AT_MOST:
                self._held = False
                self.start()
            return
        now_s, settings = time.monotonic(), self._settings
        quiet_s = now_s - max(self._since_s, self._arrivals_s[-1] if self._arrivals_s else 0.0)
        if self._state == "live" and quiet_s > settings.stalled_after_s and not len(self.buffer):
            self._change("stalled")
        hangs = self._state in ("opening", "live", "stalled", "frozen") and not len(self.buffer)
        if hangs and quiet_s > settings.abandon_after_s:
            self._abandon(quiet_s)

    def _abandon(self, quiet_s: float) -> None:
        hung = len(self._alive())
        with self._lock:
            self._thread += 1  # whatever the old one still does is not wanted
            self._abandoned += 1
            self._failures += 1
            self._error = f"the driver hung for {quiet_s:.0f} s; it is opened anew"
            self._held = hung >= _HUNG_AT_MOST
            if self._held:
                self._error = (
                    f"{hung} threads hang in the camera's driver, so it is not opened again until one of them comes "
                    "back; switch the camera off and on, or start the station anew"
                )
        self._change("lost")
        if self._held:
            _log.error("camera %s: %s", self.camera, self._error)
        else:
            self.start()

    def _alive(self) -> list[threading.Thread]:
        return [thread for thread in self._threads if thread.is_alive()]

    def status(self) -> FeedStatus:
        """Return the camera as it is now."""
        source, alive = self.source, len(self._alive())
        arrivals = list(self._arrivals_s)
        took_s = arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0.0
        return FeedStatus(
            camera=self.camera,
            state=self._state,
            frames=self._frames,
            dropped=self.buffer.dropped + self._dropped + (source.dropped if source is not None else 0),
            opened=self._opened,
            failures=self._failures,
            abandoned=self._abandoned,
            hung=alive if self._held else min(self._abandoned, max(0, alive - 1)),
            age_s=time.monotonic() - arrivals[-1] if arrivals else None,
            frames_per_s=(len(arrivals) - 1) / took_s if took_s > 0 else None,
            size_hw=self._size_hw,
            skipped=self._skipped,
            error=self._error,
        )

    def ask_to_stop(self) -> None:
        """Say that it shall stop, without waiting."""
        self._stopping.set()
        source = self.source
        if source is not None:
            source.interrupt()
        self.buffer.close()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Stop; a thread that hangs is left behind."""
        self.ask_to_stop()
        end_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end_s - time.monotonic()))
        self._change("stopped")

    def _run(self, number: int) -> None:
        with contextlib.suppress(_UnwantedError):
            self._change("opening")
            while True:
                self._require_wanted(number)
                try:
                    if self._read_through(number):
                        self._require_wanted(number)
                        self._change("ended")
                        return
                    continue
                except _UnwantedError:
                    raise
                except GanspectError as error:
                    self._fail(number, str(error))
                except Exception as error:  # a camera's library may raise anything, and the line goes on
                    self._fail(number, f"{type(error).__name__}: {one_line(error)}")
                if not self._settings.live and self._backoff.tries + 1 >= _TRIES_OF_A_FILE:
                    self._change("ended")  # a file that cannot be read will not get better
                    return
                self._stopping.wait(self._backoff.next_s())
                self._require_wanted(number)
                self._change("opening")

    def _read_through(self, number: int) -> bool:
        """Read a source to its end; return whether that was the end of all, False to begin again."""
        with self._open_source() as source:
            self._require_wanted(number)
            self._dropped += self.source.dropped if self.source is not None else 0
            self.source = source
            source.on_skip = self._note_skipped
            self._opened += 1
            begin_s = time.monotonic()
            for shot in source:
                self._require_wanted(number)
                if self._settings.paced and source.frames_per_s:
                    due_s = begin_s + shot.frame_index / source.frames_per_s
                    self._stopping.wait(max(0.0, due_s - time.monotonic()))
                self._take(number, shot)
            for sentence in source.warnings:
                _log.warning("camera %s: %s", self.camera, sentence)
            if self._settings.live:
                raise GanspectError(f"{source.name} ended; it is opened again")
        return not self._settings.loop

    def _take(self, number: int, shot: Shot) -> None:
        arrived_ns, timestamp_ns = time.perf_counter_ns(), time.time_ns()
        self._arrivals_s.append(time.monotonic())
        height, width = shot.frame.shape[:2]
        self._size_hw = (height, width)
        limit_s = self._settings.frozen_after_s
        same_s = self._repeats.seconds(shot.frame) if limit_s is not None and self._settings.live else 0.0
        if limit_s is not None and same_s > limit_s:
            self._change("frozen")
            raise GanspectError(f"{self.camera} has given the same frame for {same_s:.0f} s; it is opened again")
        if not self._repeats.count:
            # It is well again: this frame is another one than the last, also than the last before it was opened anew.
            self._error = ""
            if shot.frame_index:
                self._backoff.reset()  # one that gives a single frame each time is asked less and less often
        if self._state != "live":
            self._change("live")
        sequence, self._frames = self._frames, self._frames + 1
        self.buffer.put(Arrival(self.camera, sequence, shot, arrived_ns, timestamp_ns))
        self._require_wanted(number)

    def _note_skipped(self, entry: Skipped) -> None:
        self._skipped += 1
        _log.warning("camera %s: %s is left out: %s", self.camera, entry.name, entry.reason)

    def _fail(self, number: int, reason: str) -> None:
        self._require_wanted(number)
        self._failures += 1
        self._error = redacted(reason)
        self._change("lost")

    def _require_wanted(self, number: int) -> None:
        if self._stopping.is_set() or number != self._thread:
            raise _UnwantedError

    def _change(self, state: State) -> None:
        if state == self._state:
            return
        self._state, self._since_s = state, time.monotonic()
        self._on_change(self.status())
