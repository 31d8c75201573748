"""What is timed: a mode at a batch, and what one repetition of it gives.

Measurement("search", batch=16, steps=20)
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

Mode: TypeAlias = Literal[
    "encoder", "search_step", "search", "search_exit", "search_exit_anomalous", "frame", "frame_anomalous"
]

MODES: tuple[Mode, ...] = get_args(Mode)

MEANINGS: Mapping[Mode, str] = {
    "encoder": "the score graph: E(x), both scores, reconstruction and residual; one call",
    "search_step": "one iteration inside the search graph: forward, gradient, Adam, best score",
    "search": "the search graph, K iterations, exit off; one call",
    "search_exit": "as deployed: the encoder's start, then the search up to the threshold",
    "search_exit_anomalous": "the same, on anomalous images",
    "frame": "one raw frame to its verdict: resizing, scores, search with exit, heat map",
    "frame_anomalous": "the same, on anomalous frames, with their regions",
}
"""What each mode times, for readers of the page."""

STEP_SPAN = 8
"""A step is the difference of two calls that are so many iterations apart, over their number."""


class Measurement(NamedTuple):
    """One thing to time.

    Attributes:
        mode: what is run.
        batch: images in one call; each has as many rows in the search as the bundle has restarts.
        steps: K.
    """

    mode: Mode
    batch: int
    steps: int


class Sample(NamedTuple):
    """One repetition.

    Attributes:
        duration_ms: of a call, or of one iteration where that is what is timed.
        iterations: taken by an image, mean over the batch.
    """

    duration_ms: float
    iterations: float


Repetition: TypeAlias = Callable[[], Sample]
"""Runs a measurement once; inputs are ready before it begins."""
