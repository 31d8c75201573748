"""The judge's step of a station's loop: frames that wait together are judged together, where that is faster.

A frame that cannot be judged spoils no other: frames are checked one by one before, and when a batch fails as a whole
its frames are judged one by one, so that the one that made it fail is found.

    for found in judging.judge(inspector, cameras.take_together(judging.most, 0.25)):
        print(found.arrival.camera, found)
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ganspect.errors import one_line
from ganspect.preprocess import Frame, TileGrid, to_tiles
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.finding import Prepared
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.station.settings import CameraSettings
from ganspect.runtime.station.together import sizes, time_together
from ganspect.runtime.verdict import Verdict

_MOST = 16
_FAILED_BATCHES_IN_A_ROW = 3
_log = logging.getLogger("ganspect.station")


@dataclass(frozen=True)
class Found:
    """A frame with its verdict.

    Attributes:
        arrival: the frame as it came.
        frame: the part of it that was inspected.
        verdict: on it.
        waited_ms: from its arrival until its inspection began.
    """

    arrival: Arrival
    frame: Frame
    verdict: Verdict
    waited_ms: float


@dataclass(frozen=True)
class Unusable:
    """A frame that could not be judged.

    Attributes:
        arrival: the frame as it came.
        error: why.
    """

    arrival: Arrival
    error: Exception


@dataclass(frozen=True)
class JudgingStatus:
    """How frames are judged.

    Attributes:
        asked: the setting.
        size: frames that are judged together at most; None while `auto` waits for the first frames to measure with.
        share: time together over time in turn, at that size; None where it was not measured.
        batches: of two or more frames, so far.
        frames: that were in them.
        failed: batches that failed as a whole.
    """

    asked: int | Literal["auto"]
    size: int | None
    share: float | None = None
    batches: int = 0
    frames: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Ready:
    arrival: Arrival
    frame: Frame
    prepared: Prepared


class Judging:
    """Judges the frames that a station took; `status` may be called from any thread, all else from the loop's."""

    def __init__(self, part: Callable[[Arrival], Frame], *, asked: int | Literal["auto"], cameras: int) -> None:
        """Begin.

        Args:
            part: returns what of a frame is inspected; raises ImageError where that is impossible.
            asked: frames at most, or `auto` to measure what pays.
            cameras: of the station; one frame of each can wait together with the others.
        """
        self._part = part
        self._asked = asked
        self._most = min(cameras, _MOST if asked == "auto" else asked)
        self._size: int | None = 1 if self._most == 1 else None
        self._settled = self._size
        self._share: float | None = None
        self._batches = self._frames = self._failed = self._failed_in_a_row = 0
        self._rarely = Rarely()

    @property
    def most(self) -> int:
        """Return how many frames to take at once."""
        return self._size or self._most

    def status(self) -> JudgingStatus:
        """Return how frames are judged; never waits."""
        return JudgingStatus(self._asked, self._size, self._share, self._batches, self._frames, self._failed)

    def settle(self, inspector: Inspector, tiles: int | None) -> None:
        """Find out how many frames are judged together; call it again for another inspector.

        Args:
            inspector: that will judge.
            tiles: of a frame; None: not known, so wait for the first frames.
        """
        self._share, self._size = None, 1 if self._most == 1 else None
        self._settled = self._size
        if self._size == 1 or (self._asked == "auto" and tiles is None):
            return
        try:
            size = self._most if self._asked != "auto" else self._measured(inspector, tiles or 1)
            search = inspector.mode == "search"
            inspector.search.warm_up(search=search, tiles=[count * (tiles or 1) for count in sizes(size)])
        except Exception as error:  # one frame works, or the inspector would not be there
            _log.warning("frames are judged in turn, several at once failed: %s", one_line(error))
            size = 1
        self._size = self._settled = size

    def renew(self) -> None:
        """Judge as many together as was settled, since another bundle has taken over from one that failed with them."""
        self._size, self._failed_in_a_row = self._settled, 0

    def judge(
        self, inspector: Inspector, arrivals: Sequence[Arrival], *, alone: Callable[[Frame], Verdict]
    ) -> Iterator[Found | Unusable]:
        """Judge frames of different cameras; yields each as soon as it is through.

        Args:
            inspector: that judges.
            arrivals: at most one of each camera.
            alone: judges a frame that is not judged together with others.
        """
        if len(arrivals) < 2:
            for arrival in arrivals:
                yield self._alone(alone, arrival)
            return
        ready: list[_Ready] = []
        for arrival in arrivals:
            try:
                frame = self._part(arrival)
                ready.append(_Ready(arrival, frame, inspector.prepare(frame)))
            except Exception as error:  # of this frame alone; the others are judged
                yield Unusable(arrival, error)
        if self._size is None and len(ready) > 1:
            self.settle(inspector, max(len(one.prepared.tiles.images) for one in ready))
            for one in ready:
                yield self._alone(alone, one.arrival, one.frame)
        elif len(ready) > 1:
            yield from self._together(inspector, ready, alone)
        else:
            for one in ready:
                yield self._alone(alone, one.arrival, one.frame)

    def _measured(self, inspector: Inspector, tiles: int) -> int:
        timing = time_together(inspector, tiles=tiles, most=self._most)
        size = timing.best()
        measured = ", ".join(f"{count} take {share:.2f}" for count, share in timing.shares.items())
        of = f"{timing.graph} graph, {tiles} {'tile' if tiles == 1 else 'tiles'} a frame"
        chosen = f"up to {size} frames are judged together" if size > 1 else "frames are judged in turn"
        told = f"{measured} of the time in turn" if measured else "even two take too long to measure"
        _log.info("%s: %s (%s)", chosen, told, of)
        self._share = timing.shares.get(size)
        return size

    def _together(
        self, inspector: Inspector, ready: Sequence[_Ready], alone: Callable[[Frame], Verdict]
    ) -> Iterator[Found | Unusable]:
        left = dict(enumerate(ready))
        try:
            for index, verdict in inspector.judge([one.prepared for one in ready]):
                one = left.pop(index)
                waited_ms = (one.prepared.begin_ns - one.arrival.arrived_ns) / 1e6
                yield Found(one.arrival, one.frame, verdict, waited_ms)
        except Exception as error:
            failure = error
        else:
            self._failed_in_a_row = 0
            self._batches += 1
            self._frames += len(ready)
            return
        found = []
        for one in left.values():
            found.append(self._alone(alone, one.arrival, one.frame))
            yield found[-1]
        self._heed_failure(failure, len(ready), spoilt=any(isinstance(one, Unusable) for one in found))

    def _alone(
        self, inspect: Callable[[Frame], Verdict], arrival: Arrival, part: Frame | None = None
    ) -> Found | Unusable:
        begin_ns = time.perf_counter_ns()
        try:
            frame = self._part(arrival) if part is None else part
            verdict = inspect(frame)
        except Exception as error:  # a frame that cannot be judged; the line goes on, and the count shows it
            return Unusable(arrival, error)
        return Found(arrival, frame, verdict, (begin_ns - arrival.arrived_ns) / 1e6)

    def _heed_failure(self, error: Exception, count: int, *, spoilt: bool) -> None:
        """Count a failed batch; where it is the batch and no frame that fails, again and again, make none any more."""
        self._failed += 1
        self._failed_in_a_row = 0 if spoilt else self._failed_in_a_row + 1
        said = f"{count} frames could not be judged together, and were judged in turn: {one_line(error)}"
        self._rarely.log(logging.WARNING, "batch", said)
        if self._failed_in_a_row >= _FAILED_BATCHES_IN_A_ROW:
            self._size = 1
            _log.error("frames are judged in turn from now on: %d batches in a row failed", self._failed_in_a_row)


def known_tiles(grid: TileGrid, cameras: Sequence[CameraSettings]) -> int | None:
    """Return how many tiles the largest frame of the cameras has, or None where that is not known before it comes."""
    if grid.fit == "resize":
        return 1
    counts = []
    for camera in cameras:
        size_hw = camera.size_hw
        if camera.roi_xyxy is not None:
            left, top, right, bottom = camera.roi_xyxy
            size_hw = (bottom - top, right - left)
        if size_hw is None:
            return None
        frame = np.zeros(size_hw, np.uint8 if grid.bits == 8 else np.uint16)
        counts.append(len(to_tiles(frame, grid).images))
    return max(counts)
