"""What the score and search graphs say of a set of tiles.

found = search.screen(images, start, threshold=0.04, steps=20)
print(found.outcome, found.score, found.steps)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

import numpy as np

from ganspect.runtime.rows import Array, Rows

Outcome: TypeAlias = Literal["cleared", "complete", "budget"]


@dataclass(frozen=True)
class StartScores:
    """What the score graph says of T tiles at the encoder's latent, forward only.

    Attributes:
        latent: (T,D) float32, E(x).
        encoder_score: (T,) float32, the encoder mode's score.
        start_score: (T,) float32, the search's score at its start.
        reconstruction: (T,h,w,C) uint8, G(E(x)).
        residual: (T,h,w) float32 in [0, 1].
    """

    latent: Array
    encoder_score: Array
    start_score: Array
    reconstruction: Array
    residual: Array

    def part(self, tiles: slice | Array) -> "StartScores":
        """Return what is said of some tiles, by a slice or by their indices."""
        return StartScores(**{field.name: getattr(self, field.name)[tiles] for field in fields(self)})


@dataclass(frozen=True)
class SearchedTiles:
    """What the search found for T tiles.

    Attributes:
        score: (T,) float32, the best over iterations and restarts; a bound where the outcome is `cleared`.
        latent: (T,D) float32, the point that had it.
        reconstruction: (T,h,w,C) uint8, G of that point.
        residual: (T,h,w) float32 in [0, 1].
        steps: (T,) int64, iterations taken; 1 where the encoder's start cleared the tile.
        outcome: of each tile: `cleared` the threshold, `complete` without clearing, or stopped by the `budget`.
        start: the score graph's answer, which the search began with; None from random starts.
        scores_at: `score` after so many iterations, where asked for.
        points: (T,D) float32, the latent that a tile's first restart would score next.
    """

    score: Array
    latent: Array
    reconstruction: Array
    residual: Array
    steps: Array
    outcome: tuple[Outcome, ...]
    start: StartScores | None
    points: Array
    scores_at: dict[int, Array] = field(default_factory=dict)


def result_of(
    rows: Rows,
    start: StartScores | None,
    part: slice,
    *,
    threshold: np.float32,
    steps: int,
    scores_at: dict[int, Array],
) -> SearchedTiles:
    """Return what a search has found so far for some of its tiles, as views.

    Args:
        rows: of the search.
        start: the score graph's answer for all its tiles; None without one.
        part: the tiles, which follow one another.
        threshold: at or under which a tile is cleared.
        steps: K.
        scores_at: see `SearchedTiles`.
    """

    def outcome(score: np.float32, searched: int) -> Outcome:
        if score <= threshold:
            return "cleared"
        return "complete" if searched >= steps else "budget"

    score, searched = rows.score[part], rows.searched[part]
    return SearchedTiles(
        score=score,
        latent=rows.latent[part],
        reconstruction=rows.reconstruction[part],
        residual=rows.residual[part],
        # The encoder's start is a scored point even where the search graph never ran.
        steps=np.maximum(searched, int(start is not None)),
        outcome=tuple(outcome(*tile) for tile in zip(score, searched, strict=True)),
        start=None if start is None else start.part(part),
        points=rows.state.latent[:: rows.restarts][part].copy(),
        scores_at=scores_at,
    )


def slices(lengths: Sequence[int]) -> list[slice]:
    """Return where each frame's tiles lie when all follow one another."""
    ends = np.cumsum(lengths)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
