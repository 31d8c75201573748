"""Frames on their way to a verdict: cut into tiles, which of them are searched together, and what was found.

for chosen in groups([0, 1, 2], lambda frames: len(frames) < 3):
    print(chosen)                      # [0, 1], then [2]
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ganspect.preprocess import Tiles
from ganspect.runtime.rows import Array
from ganspect.runtime.searched import Outcome, SearchedTiles, StartScores, slices


@dataclass(frozen=True)
class Prepared:
    """A frame that is ready to be judged.

    Attributes:
        tiles: of the frame.
        begin_ns: `time.perf_counter_ns()` when its preprocessing began.
        preprocess_ms: that it took.
    """

    tiles: Tiles
    begin_ns: int
    preprocess_ms: float


@dataclass(frozen=True)
class Finding:
    """A frame's tiles as judged in one mode.

    Attributes:
        outcome: of the frame.
        score: (T,) float32 of each tile.
        residual: (T,h,w) float32 in [0, 1].
        steps: iterations, the most that a tile took.
        start_score: largest of the search's scores at the encoder's start; None where there is none.
        score_ms: of the score graph's calls that the frame took part in.
        search_ms: from the beginning of the search that it took part in until its own tiles were through.
    """

    outcome: Outcome
    score: Array
    residual: Array
    steps: int
    start_score: float | None
    score_ms: float
    search_ms: float


def encoder_findings(
    start: StartScores, lengths: Sequence[int], threshold: float, score_ms: float
) -> Iterator[tuple[int, Finding]]:
    """Yield what the encoder's score says of each frame, by its index; what is no number is +inf."""
    for index, part in enumerate(slices(lengths)):
        score = start.encoder_score[part]
        score = np.where(np.isnan(score), np.float32(np.inf), score)
        outcome: Outcome = "cleared" if bool(np.all(score <= np.float32(threshold))) else "complete"
        yield index, Finding(outcome, score, start.residual[part], 0, None, score_ms, 0.0)


def search_finding(found: SearchedTiles, score_ms: float, search_ms: float) -> Finding:
    """Return what the search of one frame's tiles says of the frame."""
    if "budget" in found.outcome:
        outcome: Outcome = "budget"
    else:
        outcome = "complete" if "complete" in found.outcome else "cleared"
    start_score = None if found.start is None else float(found.start.start_score.max())
    return Finding(outcome, found.score, found.residual, int(found.steps.max()), start_score, score_ms, search_ms)


def groups(frames: Sequence[int], fits: Callable[[Sequence[int]], bool]) -> Iterator[list[int]]:
    """Part frames into groups that fit, in their order and as large as may be; one alone is always a group."""
    chosen: list[int] = []
    for frame in frames:
        if chosen and not fits([*chosen, frame]):
            yield chosen
            chosen = []
        chosen.append(frame)
    if chosen:
        yield chosen


def lengths_of(frames: Sequence[Prepared]) -> list[int]:
    """Return how many tiles each frame has."""
    return [len(frame.tiles.images) for frame in frames]


def since_ms(begin_ns: int) -> float:
    """Return the time since a moment of `time.perf_counter_ns()`."""
    return (time.perf_counter_ns() - begin_ns) / 1e6
