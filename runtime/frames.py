"""Scores of whole frames without early exit, many at a time: what thresholds and metrics are made of.

scores = [frame.search_score for frame in score_frames(search, frames, steps=20)]
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ganspect.preprocess import Frame, Tiles, to_tiles
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.rows import Array
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.searched import SearchedTiles

_TILES_AT_ONCE = 64


@dataclass(frozen=True)
class ScoredFrame:
    """One frame, searched in full.

    Attributes:
        tiles: of the frame.
        search_score: largest of its tiles' search scores, +inf where one could not be computed.
        encoder_score: likewise of the encoder's; None without an encoder.
        start_score: likewise of the search's at the encoder's start; None without an encoder.
        residual: (T,h,w) float32 in [0, 1], of the best reconstructions.
        reconstruction: (T,h,w,C) uint8, the best ones.
        latent: (T,D) float32, the best ones.
    """

    tiles: Tiles
    search_score: float
    encoder_score: float | None
    start_score: float | None
    residual: Array
    reconstruction: Array
    latent: Array


def score_frames(search: LatentSearch, frames: Iterable[Frame], *, steps: int) -> Iterator[ScoredFrame]:
    """Search frames as deployed but with the exit off, several in one batch; yields them in order.

    Args:
        search: of the bundle.
        frames: as `ganspect.preprocess.to_tiles` takes them.
        steps: K.

    Raises:
        ImageError: the model cannot take a frame.
    """
    grid = tile_grid(search.bundle)
    waiting: list[Tiles] = []
    for frame in frames:
        waiting.append(to_tiles(frame, grid))
        if sum(len(tiles.images) for tiles in waiting) >= _TILES_AT_ONCE:
            yield from _score(search, waiting, steps)
            waiting = []
    yield from _score(search, waiting, steps)


def largest(scores: Array) -> float:
    """Return the largest of a frame's tile scores; NaN counts as +inf, so that it can never pass for normal."""
    return float(np.where(np.isnan(scores), np.inf, scores).max())


def _score(search: LatentSearch, waiting: list[Tiles], steps: int) -> Iterator[ScoredFrame]:
    if not waiting:
        return
    images = np.concatenate([tiles.images for tiles in waiting])
    found = search.full(images, steps=steps)
    first = 0
    for tiles in waiting:
        part = slice(first, first + len(tiles.images))
        yield _frame(tiles, part, found)
        first = part.stop


def _frame(tiles: Tiles, part: slice, found: SearchedTiles) -> ScoredFrame:
    start = found.start
    return ScoredFrame(
        tiles=tiles,
        search_score=largest(found.score[part]),
        encoder_score=None if start is None else largest(start.encoder_score[part]),
        start_score=None if start is None else largest(start.start_score[part]),
        residual=found.residual[part],
        reconstruction=found.reconstruction[part],
        latent=found.latent[part],
    )
