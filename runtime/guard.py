"""A lower precision that changes no verdict: where its score is near the threshold, float32 decides.

A search in bfloat16 ends with another best score than one in float32, by a percent or so. Far from the threshold that
is no matter; within a guard on both sides of it, which verification measures, the tile is searched again in float32.
Few parts lie there, so what the lower precision saves is kept.

    backend = Guarded(low, exact, Guard(search=0.004, encoder=1e-5))
    LatentSearch(bundle, backend).screen(...)       # takes notice of the guard by itself
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ganspect.records import Precision, Record
from ganspect.runtime.backends import Arrays, Backend
from ganspect.runtime.rows import Array
from ganspect.runtime.searched import SearchedTiles, StartScores


class Guard(Record):
    """Distances from the thresholds within which float32 decides, in units of the scores.

    Attributes:
        search: of the search's score.
        encoder: of the encoder mode's score; 0 without an encoder.
    """

    search: float
    encoder: float


class Guarded(Backend):
    """A backend in a lower precision with the same in float32 beside it; runs graphs in the lower one.

    Attributes:
        name: of the backend.
        version: of the backend.
        precision: the lower one.
        device: of the backend.
        exact: the backend in float32.
        guard: where it decides.
    """

    def __init__(self, low: Backend, exact: Backend, guard: Guard) -> None:
        """Take two backends opened on the same bundle; both are closed with this one."""
        self.name, self.version, self.device = low.name, low.version, low.device
        self.precision: Precision = low.precision
        self.exact, self.guard = exact, guard
        self._low = low

    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph in the lower precision."""
        return self._low.run(graph, inputs)

    def close(self) -> None:
        """Free both."""
        self._low.close()
        self.exact.close()


def near(scores: Array, threshold: float, width: float) -> Array:
    """Return the indices of scores within `width` of a threshold; what is no number is far from it."""
    return np.flatnonzero(np.abs(scores - np.float32(threshold)) <= width)


def with_exact_tiles(found: SearchedTiles, tiles: Array, exact: SearchedTiles) -> SearchedTiles:
    """Return searched tiles with some of them as float32 found them; their iterations are counted in both."""
    taken = _taken(found, tiles, exact, ("score", "latent", "reconstruction", "residual", "points"))
    steps, outcome = found.steps.copy(), list(found.outcome)
    steps[tiles] += exact.steps
    for tile, decided in zip(tiles, exact.outcome, strict=True):
        outcome[tile] = decided
    return replace(found, **taken, steps=steps, outcome=tuple(outcome))


def with_exact_starts(start: StartScores, tiles: Array, exact: StartScores) -> StartScores:
    """Return what the score graph said, with some tiles as float32 says it."""
    return replace(start, **_taken(start, tiles, exact, [field.name for field in fields(start)]))


def _taken(found: object, tiles: Array, exact: object, names: Sequence[str]) -> dict[str, Any]:
    """Return arrays of `found` by name, with the rows of some tiles from `exact`."""
    taken = {name: getattr(found, name).copy() for name in names}
    for name, values in taken.items():
        values[tiles] = getattr(exact, name)
    return taken
