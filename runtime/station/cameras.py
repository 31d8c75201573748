"""The station's cameras: a feed and a buffer each, and the bell that they share.

cameras = Cameras(settings, folder)
cameras.start()
arrival = cameras.take(timeout_s=0.5)
"""

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ganspect.errors import SignalError, SourceError
from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.buffers import (
    Arrival,
    Bell,
    Buffer,
    EveryBuffer,
    LatestBuffer,
    Signal,
    TriggerBuffer,
    take_next,
)
from ganspect.runtime.capture.feed import Feed, FeedStatus
from ganspect.runtime.capture.feed_status import AWAY
from ganspect.runtime.capture.source import Shot, Source
from ganspect.runtime.capture.triggers.selection import open_trigger
from ganspect.runtime.capture.triggers.trigger import MOST_SIGNS, Trigger, TriggerStatus, shown_name
from ganspect.runtime.capture.watch import Ledger, WatchSource
from ganspect.runtime.station.settings import CameraSettings

_log = logging.getLogger("ganspect.station")
_TELL_MISSED_S = 10.0


class Cameras:
    """All cameras of a station.

    Attributes:
        feeds: by the camera's name.
        settings: by the camera's name.
        triggers: by the name of a camera that has one.
    """

    def __init__(
        self,
        cameras: tuple[CameraSettings, ...],
        folder: Path,
        on_change: Callable[[FeedStatus], None],
        *,
        station: str = "station",
        on_missed: Callable[[str, Signal], None] = lambda camera, signal: None,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            cameras: of the station file.
            folder: that relative paths start at.
            on_change: called when a camera's state changes, from its thread.
            station: its name, for the triggers.
            on_missed: called with a camera and a signal whose part nobody has seen; must not wait.

        Raises:
            SourceError: a file, folder or pin that a camera names is not there.
            ConfigError: an environment variable with a password is not set.
            MissingDependencyError: the package for a trigger is not installed.
        """
        self._bell = Bell()
        self._last = -1
        self._stopped = False
        self._ledgers: dict[str, Ledger] = {}
        self.settings = {camera.name: camera for camera in cameras}
        self.feeds: dict[str, Feed] = {}
        self.triggers: dict[str, Trigger] = {}
        self._quiet: set[str] = set()
        self._told_missed: dict[str, tuple[int, float]] = {}
        for camera in cameras:
            address = camera.address(folder)
            _require_there(camera, address)
            opening = self._opening(camera, address)
            buffer = _buffer(camera, address, self._bell, partial(on_missed, camera.name))
            if camera.trigger is not None and isinstance(buffer, TriggerBuffer):
                self.triggers[camera.name] = open_trigger(
                    camera.trigger, camera=camera.name, station=station, give=buffer.signal
                )
            if not address.is_stream:
                self._quiet.add(camera.name)
            self.feeds[camera.name] = Feed(
                camera.name, opening, buffer, camera.feed_settings(address), on_change=on_change
            )

    def start(self) -> None:
        """Open the cameras."""
        for feed in self.feeds.values():
            feed.start()
        for trigger in self.triggers.values():
            trigger.start()

    def signal(self, camera: str, name: str = "") -> Signal:
        """Give a signal to a camera with an http trigger: a part is in front of it.

        Args:
            camera: its name.
            name: of the part, 128 printable characters at most.

        Raises:
            SignalError: there is no such camera, it has no http trigger, or the name is impossible.
        """
        trigger = self.triggers.get(camera)
        if self._stopped:
            raise SignalError("the station stops, and inspects no part any more; reject it")
        if camera not in self.feeds:
            raise SignalError(f"there is no camera {shown_name(camera)!r}; give one of {', '.join(self.feeds)}")
        if trigger is None or trigger.kind != "http":
            raise SignalError(f"camera {camera} takes no signals by HTTP; give it trigger: {{kind: http}}")
        if name != shown_name(name):
            raise SignalError(f"the name of a part has {MOST_SIGNS} printable characters at most; shorten it")
        return trigger.signal(name)

    def pass_over(self) -> None:
        """Let go of what waits, of live cameras: nobody inspects, and later these parts are elsewhere."""
        for name, feed in self.feeds.items():
            if isinstance(feed.buffer, TriggerBuffer | LatestBuffer) or name not in self._quiet:
                feed.buffer.pass_over()
        if self._stopped:
            for name in self.triggers:
                self._tell_missed(name, at_once=True)

    def unwell(self) -> dict[str, str]:
        """Return the cameras that see nothing, or whose trigger is away, and why."""
        found = {}
        for name, feed in self.feeds.items():
            status, trigger = feed.status(), self.triggers.get(name)
            opening = status.state == "opening" and name not in self._quiet
            if opening or status.error or status.state in AWAY:
                found[name] = status.error if status.state == "live" else f"it is {status.state}"
            elif trigger is not None and not trigger.status().connected:
                found[name] = "its trigger is away"
        return found

    def trigger_status(self) -> list[TriggerStatus]:
        """Return how the triggers are."""
        return [trigger.status(self._missed(name)) for name, trigger in self.triggers.items()]

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next frame to inspect, the cameras by turns, or None when none came in time."""
        buffers = [feed.buffer for feed in self.feeds.values()]
        found = take_next(self._bell, buffers, after=self._last, timeout_s=timeout_s)
        if found is None:
            return None
        self._last, arrival = found
        return arrival

    def take_together(self, most: int, timeout_s: float) -> list[Arrival]:
        """Return the next frame and, of other cameras, those that wait beside it: one of each camera, by turns.

        Args:
            most: frames at most.
            timeout_s: to wait for the first one; no other is waited for.
        """
        first = self.take(timeout_s)
        if first is None:
            return []
        taken, served = [first], self._last
        buffers = [feed.buffer for feed in self.feeds.values()]
        with self._bell:
            for turn in range(1, len(buffers)):
                index = (served + turn) % len(buffers)
                if len(taken) < most and (arrival := buffers[index].take()) is not None:
                    self._last = index
                    taken.append(arrival)
        return taken

    def check(self) -> None:
        """Look after the cameras' threads."""
        for feed in self.feeds.values():
            feed.check()
        for name in self.triggers:
            self._tell_missed(name)

    def done(self, camera: str, shot: Shot) -> None:
        """Tell a camera's source that a frame's verdict is safe; never waits."""
        source = self.feeds[camera].source
        if source is not None:
            source.done(shot)

    def failed(self, camera: str, shot: Shot) -> None:
        """Tell a camera's source that a frame cannot be judged; never waits."""
        source = self.feeds[camera].source
        if source is not None:
            source.failed(shot)

    def settle(self) -> None:
        """Let watched files move whose verdicts became safe after their camera was stopped."""
        for name, ledger in self._ledgers.items():
            if left := ledger.settle():
                _log.warning("camera %s: %d files could not be moved and will be judged again", name, left)

    @property
    def ended(self) -> bool:
        """Return whether every camera was a file that is through, and all its frames were taken."""
        return all(feed.through for feed in self.feeds.values())

    def ask_to_stop(self) -> None:
        """Say that capturing shall stop, without waiting for a driver."""
        for feed in self.feeds.values():
            feed.ask_to_stop()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Stop capturing, all cameras at once; frames that were captured can still be taken."""
        if self._stopped:
            return
        self._stopped = True
        for trigger in self.triggers.values():
            trigger.stop()
        for name in self.triggers:
            self._tell_missed(name, at_once=True)
        for feed in self.feeds.values():
            feed.ask_to_stop()
        end_s = time.monotonic() + timeout_s
        for feed in self.feeds.values():
            feed.stop(max(0.0, end_s - time.monotonic()))

    def _missed(self, camera: str) -> int:
        buffer = self.feeds[camera].buffer
        return buffer.missed if isinstance(buffer, TriggerBuffer) else 0

    def _tell_missed(self, camera: str, *, at_once: bool = False) -> None:
        told, told_s = self._told_missed.get(camera, (0, float("-inf")))
        missed = self._missed(camera)
        if missed > told and (at_once or time.monotonic() - told_s > _TELL_MISSED_S):
            _log.error("camera %s: %d parts were not inspected, no frame came for their signals", camera, missed - told)
            self._told_missed[camera] = (missed, time.monotonic())

    def _opening(self, camera: CameraSettings, address: Address) -> Callable[[], Source]:
        if address.kind != "watch":
            return partial(open_source, address, camera.source_settings())
        # What was taken and has to move is known longer than a source lives that fails and is opened anew.
        ledger = self._ledgers.setdefault(camera.name, Ledger())
        return partial(WatchSource, address, camera.source_settings(), ledger)


def _require_there(camera: CameraSettings, address: Address) -> None:
    """Refuse what can never be opened; what is away, such as a device or a stream, may come."""
    unwatched = address.kind == "watch" and address.path is not None and not os.path.isdir(address.path)
    if address.kind == "absent" or unwatched:
        try:
            open_source(address, camera.source_settings()).close()  # says what is wrong with it
        except SourceError as error:
            raise SourceError(f"camera {camera.name}: {error}") from error


def _buffer(camera: CameraSettings, address: Address, bell: Bell, on_missed: Callable[[Signal], None]) -> Buffer:
    if camera.trigger is not None:
        return TriggerBuffer(bell, camera.trigger.wait_s, on_missed=on_missed)
    policy = camera.policy or ("latest" if address.is_stream else "every")
    return EveryBuffer(bell) if policy == "every" else LatestBuffer(bell)
