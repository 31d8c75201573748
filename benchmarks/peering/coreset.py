"""PatchCore's selection of patches as anomalib makes it, in a small part of the time; needs PyTorch.

    rows = farthest_first(features, count, first=17)

Greedy k-center selection takes, again and again, the row that lies farthest from all rows taken so far. anomalib
compares the newest row with all others one at a time, so that every step reads all features from memory. Here the rows
that lie farthest are set aside, and the next ones are taken from them alone for as long as the farthest of them lies
no nearer than any row outside did when they were set aside: distances only shrink, so it is the farthest of all. Then
all rows are compared with those taken meanwhile in one matrix product. The rows are the same, in the same order, up
to ties and rounding.
"""

import torch
from torch import Tensor

_ASIDE = 8192
_ROWS_AT_ONCE = 16384


def farthest_first(features: Tensor, count: int, first: int, *, aside: int = _ASIDE) -> list[int]:
    """Select rows.

    Args:
        features: (n,C) float32.
        count: number of rows to select, n or fewer.
        first: the row to begin with.
        aside: rows that are set aside at once.

    Returns:
        Indices of the rows in the order in which they were taken.
    """
    taken = [first]
    nearest = torch.full((len(features),), torch.inf)
    new = [first]
    while True:
        _update(nearest, features, new)
        nearest[new] = -1.0  # rounding may leave a row a little from itself
        if len(taken) >= count:
            return taken
        new = _taken_from_farthest(features, nearest, min(aside, len(features)), count - len(taken))
        taken += new


def _taken_from_farthest(features: Tensor, nearest: Tensor, aside: int, count: int) -> list[int]:
    """Return the next rows, at most `count`, as far as those that lie farthest now tell which they are."""
    distances, rows = nearest.topk(aside)
    outside = float(distances[-1]) if aside < len(features) else -torch.inf
    chosen, own = features[rows], distances.clone()
    taken: list[int] = []
    while len(taken) < count:
        place = int(own.argmax())
        if taken and float(own[place]) < outside:
            break
        taken.append(int(rows[place]))
        own = torch.minimum(own, torch.linalg.vector_norm(chosen - chosen[place], dim=1))
        own[place] = -1.0
    return taken


def _update(nearest: Tensor, features: Tensor, new: list[int]) -> None:
    """Let `nearest` (n,) know of rows that were taken."""
    for start in range(0, len(features), _ROWS_AT_ONCE):
        rows = features[start : start + _ROWS_AT_ONCE]
        part = nearest[start : start + _ROWS_AT_ONCE]
        torch.minimum(part, torch.cdist(rows, features[new]).amin(1), out=part)
