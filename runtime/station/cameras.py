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

from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.buffers import (
    Arrival,
    Bell,
    Buffer,
    EveryBuffer,
    LatestBuffer,
    take_next,
)
from ganspect.runtime.capture.feed import Feed, FeedStatus
from ganspect.runtime.capture.source import Shot, Source
from ganspect.runtime.capture.watch import Ledger, WatchSource
from ganspect.runtime.station.settings import CameraSettings

_log = logging.getLogger("ganspect.station")


class Cameras:
    """All cameras of a station.

    Attributes:
        feeds: by the camera's name.
        settings: by the camera's name.
    """

    def __init__(
        self, cameras: tuple[CameraSettings, ...], folder: Path, on_change: Callable[[FeedStatus], None]
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            cameras: of the station file.
            folder: that relative paths start at.
            on_change: called when a camera's state changes, from its thread.

        Raises:
            SourceError: a file or folder that a camera names is not there.
        """
        self._bell = Bell()
        self._last = -1
        self._stopped = False
        self._ledgers: dict[str, Ledger] = {}
        self.settings = {camera.name: camera for camera in cameras}
        self.feeds: dict[str, Feed] = {}
        for camera in cameras:
            address = camera.address(folder)
            if address.kind == "absent" or (
                address.kind == "watch" and address.path and not os.path.isdir(address.path)
            ):
                open_source(address, camera.source_settings()).close()  # says what is wrong with it
            opening = self._opening(camera, address)
            buffer = _buffer(camera, address, self._bell)
            self.feeds[camera.name] = Feed(
                camera.name, opening, buffer, camera.feed_settings(address), on_change=on_change
            )

    def start(self) -> None:
        """Open the cameras."""
        for feed in self.feeds.values():
            feed.start()

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next frame to inspect, the cameras by turns, or None when none came in time."""
        buffers = [feed.buffer for feed in self.feeds.values()]
        found = take_next(self._bell, buffers, after=self._last, timeout_s=timeout_s)
        if found is None:
            return None
        self._last, arrival = found
        return arrival

    def check(self) -> None:
        """Look after the cameras' threads."""
        for feed in self.feeds.values():
            feed.check()

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

    def stop(self, timeout_s: float = 3.0) -> None:
        """Stop capturing, all cameras at once; frames that were captured can still be taken."""
        if self._stopped:
            return
        self._stopped = True
        for feed in self.feeds.values():
            feed.ask_to_stop()
        end_s = time.monotonic() + timeout_s
        for feed in self.feeds.values():
            feed.stop(max(0.0, end_s - time.monotonic()))

    def _opening(self, camera: CameraSettings, address: Address) -> Callable[[], Source]:
        if address.kind != "watch":
            return partial(open_source, address, camera.source_settings())
        # What was taken and has to move is known longer than a source lives that fails and is opened anew.
        ledger = self._ledgers.setdefault(camera.name, Ledger())
        return partial(WatchSource, address, camera.source_settings(), ledger)


def _buffer(camera: CameraSettings, address: Address, bell: Bell) -> Buffer:
    policy = camera.policy or ("latest" if address.is_live and address.kind != "watch" else "every")
    return EveryBuffer(bell) if policy == "every" else LatestBuffer(bell)
