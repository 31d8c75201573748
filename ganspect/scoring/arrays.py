"""Operators that numpy arrays and torch tensors share, and the few that must be chosen by the kind of array.

rows = per_row(abs(image - reconstruction), "mean")
"""

import sys
from typing import Any, Literal, TypeAlias

Array: TypeAlias = Any
"""A numpy array or a torch tensor; every function returns the kind that it was given."""

Reduction: TypeAlias = Literal["mean", "sum"]

LEAST_DISTANCE = 1e-6
"""Added before a logarithm, so that images that are reconstructed to the last digit have a level too."""


def to_unit_range(image: Array) -> Array:
    """Turn uint8 values (as floats, 0 to 255) into [-1, 1]."""
    return image * (1.0 / 127.5) - 1.0


def residual_map(image: Array, reconstruction: Array) -> Array:
    """Return |x - G(z)| / 2 averaged over channels: (N,H,W) in [0, 1]."""
    return abs(image - reconstruction).mean(1) * 0.5


def per_row(values: Array, reduction: Reduction) -> Array:
    """Return the mean or sum of each row's values, (N,...) to (N,)."""
    rows = values.reshape((values.shape[0], -1))
    return rows.mean(1) if reduction == "mean" else rows.sum(1)


def largest_mean(values: Array, share: float) -> Array:
    """Return the mean of the largest `share` of each row's values, at least one, (N,...) to (N,)."""
    rows = values.reshape((values.shape[0], -1))
    count = number_of_largest(rows.shape[1], share)
    if hasattr(rows, "topk"):
        return rows.topk(count, 1).values.mean(1)
    return namespace(rows).partition(rows, rows.shape[1] - count, 1)[:, -count:].mean(1)


def relative_to_level(distances: Array, share: float) -> Array:
    """Return distances (N,...) with a share of each row's own level taken out: d / level^share.

    The level is the geometric mean of a row's distances, which a defect that covers a few places hardly moves. A part
    that is a little unlike the others everywhere, by its grain or its light, then looks less anomalous than one with a
    defect at one place.

    Args:
        distances: not negative, (N,...).
        share: share of the level that is taken out, in [0, 1]; 0 leaves distances as they are.
    """
    if share == 0:
        return distances
    numeric = namespace(distances)
    rows = distances.reshape((distances.shape[0], -1))
    level = numeric.exp(numeric.log(rows + LEAST_DISTANCE).mean(1) * share)
    return distances / level.reshape((-1,) + (1,) * (distances.ndim - 1))


def all_but_largest(values: Array, share: float) -> Array:
    """Return which values are not among the largest `share` of their row, at least one, (N,...) bool.

    Values equal to the largest that stays all stay. No gradient passes through a comparison.

    Args:
        values: (N,...), at least two to a row.
        share: share of each row's values, in (0, 1).
    """
    rows = values.reshape((values.shape[0], -1))
    count = number_of_largest(rows.shape[1], share)
    if hasattr(rows, "topk"):
        limit = rows.topk(count + 1, 1).values[:, count:]
    else:
        limit = namespace(rows).partition(rows, rows.shape[1] - count - 1, 1)[:, rows.shape[1] - count - 1, None]
    return (rows <= limit).reshape(values.shape)


def number_of_largest(count: int, share: float) -> int:
    """Return how many values make up a share of `count`, at least one."""
    return max(1, int(count * share))


def box3(images: Array) -> Array:
    """Return means over 3x3 pixels, (N,C,H-2,W-2)."""
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) * (1.0 / 9.0)


def not_real(logit: Array) -> Array:
    """Return the sigmoid cross-entropy with the target 'real', log(1 + exp(-logit)), (N,)."""
    numeric = namespace(logit)
    return numeric.clip(-logit, 0.0, None) + numeric.log(1.0 + numeric.exp(-abs(logit)))


def to_float(counts: Array) -> Array:
    """Return integers as float32."""
    return counts.float() if hasattr(counts, "float") else counts.astype("float32")


def namespace(array: Array) -> Any:
    """Return the module, numpy or torch, that made the array; torch is never imported here."""
    return sys.modules[type(array).__module__.partition(".")[0]]
