"""How a camera is watched, and what it is at this moment.

print(feed.status().state, feed.status().error)
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["opening", "live", "stalled", "frozen", "lost", "ended", "stopped"]
"""opening: being opened; live: frames come; stalled: they stopped, without an error; frozen: they come, but always the
same one; lost: it failed and is tried again; ended: a file is through; stopped: the station stops."""

AWAY: tuple[State, ...] = ("stalled", "frozen", "lost")
"""States of a camera that should see something and does not."""


@dataclass(frozen=True)
class FeedSettings:
    """How a camera is watched.

    Attributes:
        live: whether an end is a failure (a camera) or the end (a file).
        loop: begin a file again at its end.
        paced: give a file's frames at its own rate, as a camera would.
        stalled_after_s: without a frame the camera counts as stalled.
        frozen_after_s: of the same frame, bit for bit, it counts as frozen and is opened again; None: never.
        abandon_after_s: a thread that hangs in opening or reading for so long is left behind.
        backoff_first_s: wait before it is opened again; doubles with each failure.
        backoff_most_s: longest wait.
    """

    live: bool = True
    loop: bool = False
    paced: bool = False
    stalled_after_s: float = 3.0
    frozen_after_s: float | None = 30.0
    abandon_after_s: float = 60.0
    backoff_first_s: float = 0.5
    backoff_most_s: float = 30.0


AS_A_CAMERA = FeedSettings()
"""The default: a live camera that is tried again for ever."""


@dataclass(frozen=True)
class FeedStatus:
    """A camera at this moment.

    Attributes:
        camera: its name.
        state: see `State`.
        frames: that came since the station began.
        dropped: that were not taken in time.
        opened: how often it was opened with success.
        failures: how often opening or reading failed.
        abandoned: threads that hung and were left behind.
        hung: those of them that still hang; from 5 on the camera is not opened until one comes back.
        age_s: since the last frame; None before the first.
        frames_per_s: measured over the last frames; None before the second.
        size_hw: of the last frame; None before the first.
        skipped: files that were left out.
        error: what the last failure said, without credentials; empty when there was none since it last came back.
    """

    camera: str
    state: State
    frames: int
    dropped: int
    opened: int
    failures: int
    abandoned: int
    hung: int
    age_s: float | None
    frames_per_s: float | None
    size_hw: tuple[int, int] | None
    skipped: int
    error: str
