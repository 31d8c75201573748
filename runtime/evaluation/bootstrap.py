"""Confidence intervals by resampling images, each class apart, all resamples at once.

A resample is a row of weights, how often each image was drawn, so that a metric of a thousand resamples is one
cumulative sum. The seed decides the draws: two systems judged with one seed are judged on the same resamples, which
is what makes the interval of their difference a paired one.

    interval = interval_of(metric, labels, Resampling())
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Metric: TypeAlias = Callable[[Floats], Floats]
"""From weights (R,n) to the metric of each resample (R,), or several metrics (R,m)."""

_DRAWN_AT_ONCE = 2_000_000
_JUDGED_AT_ONCE = 100_000
"""Weights that a metric gets at once: few enough for a processor's cache, which is three times faster."""


@dataclass(frozen=True)
class Resampling:
    """How many resamples are drawn, and from which seed.

    Attributes:
        count: resamples.
        seed: equal seeds and labels give equal draws.
        confidence: share of resamples within the interval.
    """

    count: int = 2000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure and the limits within which it would fall had other images of these classes been tested."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return `{"value", "low", "high"}`, as metrics.json has it."""
        return {"value": self.value, "low": self.low, "high": self.high}


def stratified_weights(labels: Labels, resampling: Resampling) -> Iterator[Floats]:
    """Yield how often each image was drawn, with replacement and within its class.

    Args:
        labels: (n,) class of each image.
        resampling: count and seed.

    Yields:
        (r,n) float64 with r resamples, `resampling.count` rows in all; each row sums to n.
    """
    drawn = _drawn(np.asarray(labels, np.int64).tobytes(), resampling.count, resampling.seed)
    rows = max(1, _JUDGED_AT_ONCE // max(1, labels.size))
    for first in range(0, resampling.count, rows):
        yield drawn[first : first + rows].astype(np.float64)


def resample(metric: Metric, labels: Labels, resampling: Resampling) -> Floats:
    """Return the metric of every resample, (count,), or (count,m) of several."""
    return np.concatenate([metric(weights) for weights in stratified_weights(labels, resampling)])


def interval_of(metric: Metric, labels: Labels, resampling: Resampling) -> Interval:
    """Return the metric on the images as they are, and the percentile interval of its resamples."""
    value = float(metric(np.ones((1, labels.size)))[0])
    return percentile_interval(value, resample(metric, labels, resampling), resampling.confidence)


def percentile_interval(value: float, resampled: Floats, confidence: float) -> Interval:
    """Return `value` between the outer percentiles of its resamples (Efron & Tibshirani 1993, section 13.3)."""
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(resampled, [tail, 100.0 - tail])
    return Interval(value, float(low), float(high))


@lru_cache(maxsize=1)  # an evaluation judges dozens of scores on the same resamples
def _drawn(labels: bytes, count: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    given = np.frombuffer(labels, np.int64)
    random = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // max(1, given.size))
    classes = [np.flatnonzero(given == value) for value in np.unique(given)]
    drawn = np.zeros((count, given.size), np.uint16)
    for first in range(0, count, at_once):
        rows = min(at_once, count - first)
        for members in classes:
            drawn[first : first + rows, members] = _counts(random, rows, members.size)
    return drawn


def _counts(random: np.random.Generator, rows: int, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    drawn = random.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
