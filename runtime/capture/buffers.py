"""What waits between a camera and the inspection, by policy.

    latest    a live line: the freshest frame; one that comes before the last was taken replaces it and is counted
    every     files and watch folders: nothing is dropped, a full buffer makes the source wait
    trigger   one frame for each signal of the line: the first that arrives after it

bell = Bell()
buffer = LatestBuffer(bell)
buffer.put(arrival); arrival = buffer.take()
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from ganspect.runtime.capture.source import Shot

Policy = Literal["latest", "every", "trigger"]
Bell = threading.Condition
"""Rung when a frame arrives or is taken; the buffers of a station share one."""


@dataclass(frozen=True)
class Arrival:
    """A frame of a camera, when it came.

    Attributes:
        camera: its name.
        sequence: of the camera's frames since the station began, from 0; gaps are frames that were dropped.
        shot: the frame and where it came from.
        arrived_ns: `time.perf_counter_ns()` when it was there, for latencies: the time of day may jump.
        timestamp_ns: the time of day then.
        signal: the trigger that it was taken for, else None.
    """

    camera: str
    sequence: int
    shot: Shot
    arrived_ns: int
    timestamp_ns: int
    signal: "Signal | None" = None


@dataclass(frozen=True)
class Signal:
    """A line's signal that a part is in front of the camera.

    Attributes:
        name: of the part, as the line calls it; may be empty.
        given_ns: `time.perf_counter_ns()` when it came.
    """

    name: str
    given_ns: int


class Buffer(ABC):
    """Frames between one camera's thread and the inspection.

    Attributes:
        policy: as the station file names it.
        dropped: frames that were not taken in time.
    """

    policy: ClassVar[Policy]

    def __init__(self, bell: Bell) -> None:
        """Begin empty; `bell` is shared with the other buffers."""
        self.dropped = 0
        self._bell = bell
        self._closed = False

    @abstractmethod
    def put(self, arrival: Arrival) -> None:
        """Take in a frame; may wait until there is room."""

    @abstractmethod
    def take(self) -> Arrival | None:
        """Return the next frame to inspect, or None; never waits. The bell must be held."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many frames wait."""

    def pass_over(self) -> None:
        """Drop the frames that wait, and count them."""
        with self._bell:
            while self.take() is not None:
                self.dropped += 1

    def close(self) -> None:
        """Let whoever waits for room go on; frames that come later are dropped and counted."""
        with self._bell:
            self._closed = True
            self._bell.notify_all()


class LatestBuffer(Buffer):
    """Holds the freshest frame."""

    policy = "latest"

    def __init__(self, bell: Bell) -> None:
        """Begin empty."""
        super().__init__(bell)
        self._newest: Arrival | None = None

    def put(self, arrival: Arrival) -> None:
        """Replace the frame that waits."""
        with self._bell:
            if self._closed:
                self.dropped += 1
                return
            self.dropped += self._newest is not None
            self._newest = arrival
            self._bell.notify_all()

    def take(self) -> Arrival | None:
        """Return the freshest frame, once."""
        arrival, self._newest = self._newest, None
        return arrival

    def __len__(self) -> int:
        """Return 1 or 0."""
        return int(self._newest is not None)


class EveryBuffer(Buffer):
    """Holds all frames in order; when it is full, the source waits."""

    policy = "every"

    def __init__(self, bell: Bell, capacity: int = 8) -> None:
        """Begin empty, with room for `capacity` frames."""
        super().__init__(bell)
        self._waiting: deque[Arrival] = deque()
        self._capacity = capacity

    def put(self, arrival: Arrival) -> None:
        """Append a frame once there is room."""
        with self._bell:
            self._bell.wait_for(lambda: self._closed or len(self._waiting) < self._capacity)
            if self._closed:
                self.dropped += 1
                return
            self._waiting.append(arrival)
            self._bell.notify_all()

    def take(self) -> Arrival | None:
        """Return the oldest frame."""
        if not self._waiting:
            return None
        self._bell.notify_all()
        return self._waiting.popleft()

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._waiting)


class TriggerBuffer(Buffer):
    """Gives one frame for each signal: the first that arrives after it, each to one signal only.

    Attributes:
        missed: signals whose part nobody has seen: no frame came in time, or too many waited.
    """

    policy = "trigger"

    def __init__(
        self,
        bell: Bell,
        wait_s: float = 2.0,
        *,
        capacity: int = 64,
        on_missed: Callable[[Signal], None] = lambda signal: None,
    ) -> None:
        """Begin empty.

        Args:
            bell: shared with the other buffers.
            wait_s: how long a signal waits for its frame.
            capacity: signals, and frames, that may wait; what comes beyond that is missed.
            on_missed: called with each signal that is missed, while the bell is held; must not wait.
        """
        super().__init__(bell)
        self.missed = 0
        self._wait_ns = round(wait_s * 1e9)
        self._capacity = capacity
        self._on_missed = on_missed
        self._signals: deque[Signal] = deque()
        self._taken: deque[Arrival] = deque()

    def signal(self, name: str = "", given_ns: int | None = None) -> Signal:
        """Take in a signal of the line; call it as soon as the signal is there.

        Args:
            name: of the part.
            given_ns: `time.perf_counter_ns()` when it came; None: now.
        """
        given = Signal(name, time.perf_counter_ns() if given_ns is None else given_ns)
        with self._bell:
            if len(self._signals) < self._capacity:
                self._signals.append(given)
            else:
                self._miss(given)
        return given

    def put(self, arrival: Arrival) -> None:
        """Keep the frame if a signal waits for one."""
        with self._bell:
            self._forget_missed(arrival.arrived_ns)
            if not self._signals or self._signals[0].given_ns > arrival.arrived_ns:
                return
            if self._closed:
                self.dropped += 1
                return
            signal = self._signals.popleft()
            if len(self._taken) >= self._capacity:
                self._miss(signal)
                return
            self._taken.append(replace(arrival, signal=signal))
            self._bell.notify_all()

    def take(self) -> Arrival | None:
        """Return the frame of the oldest signal."""
        self._forget_missed(time.perf_counter_ns())
        return self._taken.popleft() if self._taken else None

    def pass_over(self) -> None:
        """Miss every signal that waits, with or without a frame: nobody is going to inspect these parts."""
        with self._bell:
            for signal in [*(one.signal for one in self._taken if one.signal is not None), *self._signals]:
                self._miss(signal)
            self._taken.clear()
            self._signals.clear()

    def __len__(self) -> int:
        """Return how many frames wait."""
        return len(self._taken)

    def _forget_missed(self, now_ns: int) -> None:
        while self._signals and now_ns - self._signals[0].given_ns > self._wait_ns:
            self._miss(self._signals.popleft())

    def _miss(self, signal: Signal) -> None:
        self.missed += 1
        self._on_missed(signal)


def take_next(bell: Bell, buffers: Sequence[Buffer], *, after: int, timeout_s: float) -> tuple[int, Arrival] | None:
    """Wait for a frame in any buffer and take it; cameras take turns.

    Args:
        bell: that the buffers share.
        buffers: of the cameras.
        after: index of the buffer that was served last, so that a fast camera does not starve the others.
        timeout_s: how long to wait.

    Returns:
        The buffer's index and the frame, or None.
    """
    end_s = time.monotonic() + timeout_s
    with bell:
        while True:
            for turn in range(1, len(buffers) + 1):
                index = (after + turn) % len(buffers)
                if (arrival := buffers[index].take()) is not None:
                    return index, arrival
            remaining_s = end_s - time.monotonic()
            if remaining_s <= 0 or not buffers:
                return None
            bell.wait(remaining_s)
