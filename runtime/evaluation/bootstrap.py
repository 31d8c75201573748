"""Confidence intervals by resampling images, each class apart, all resamples at once.

A resample is a row of weights, how often each image was drawn, so that a metric of a thousand resamples is one
cumulative sum. The seed decides the draws: two systems judged with one seed are judged on the same resamples, which
is what makes the interval of their difference a paired one.

    interval = interval_of(metric, labels, Resampling())
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Labels: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Metric: TypeAlias = Callable[[Floats], Floats]
"""From weights (R,n) to the metric of each resample (R,)."""

_WEIGHTS_AT_ONCE = 2_000_000


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
    random = np.random.default_rng(resampling.seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // max(1, labels.size))
    classes = [np.flatnonzero(labels == value) for value in np.unique(labels)]
    for first in range(0, resampling.count, at_once):
        rows = min(at_once, resampling.count - first)
        weights = np.zeros((rows, labels.size))
        for members in classes:
            weights[:, members] = _counts(random, rows, members.size)
        yield weights


def resample(metric: Metric, labels: Labels, resampling: Resampling) -> Floats:
    """Return the metric of every resample, (count,)."""
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


def _counts(random: np.random.Generator, rows: int, size: int) -> Floats:
    drawn = random.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
