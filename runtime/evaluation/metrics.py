"""How well scores separate anomalous images from normal ones, for one set of images or a thousand resamples at once.

A threshold is laid at every distinct score; a point of a curve counts the images at or above it, weighted by how
often a resample drew them. Equal scores share one point, so ties count half in the AUROC.

    measured = image_metrics(scores, labels, Resampling())["auroc"].value
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ganspect.runtime.evaluation.bootstrap import (
    Floats,
    Interval,
    Labels,
    Metric,
    Resampling,
    interval_of,
    percentile_interval,
    resample,
)

Scores: TypeAlias = np.ndarray[Any, np.dtype[Any]]

LOW_FALSE_ALARM_RATE = 0.01
"""The false-positive rate at which `tpr_at_fpr_1pct` reads the ROC curve."""


@dataclass(frozen=True)
class Curves:
    """Images at or above each threshold, from the highest score down; a row for each resample.

    Attributes:
        false_positives: (R,T+1) normal images flagged, from 0 to all.
        true_positives: (R,T+1) anomalous images flagged, from 0 to all.
    """

    false_positives: Floats
    true_positives: Floats

    @property
    def fpr(self) -> Floats:
        """Return the false-positive rate, (R,T+1)."""
        return self.false_positives / self.false_positives[:, -1:]

    @property
    def tpr(self) -> Floats:
        """Return the true-positive rate, the recall, (R,T+1)."""
        return self.true_positives / self.true_positives[:, -1:]

    @property
    def precision(self) -> Floats:
        """Return the share of flagged images that are anomalous, (R,T+1); 1 where none is flagged."""
        flagged = self.false_positives + self.true_positives
        return np.divide(self.true_positives, flagged, out=np.ones_like(flagged), where=flagged > 0)


def curves_of(scores: Scores, labels: Labels, weights: Floats | None = None) -> Curves:
    """Count the images at or above every threshold.

    Args:
        scores: (n,) higher is more anomalous; NaN counts as the highest, for it never clears.
        labels: (n,) 0 normal, 1 anomalous, both present.
        weights: (R,n) times that each image counts; absent: each once.
    """
    weights = np.ones((1, labels.size)) if weights is None else weights
    scores = np.where(np.isnan(scores), np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    drawn = weights[:, order]
    anomalous = labels[order] == 1
    return Curves(_reached(drawn * ~anomalous, ends), _reached(drawn * anomalous, ends))


def auroc(curves: Curves) -> Floats:
    """Return the area under the ROC curve, (R,): how often an anomalous image scores above a normal one."""
    area: Floats = trapezoids(curves.fpr, curves.tpr).sum(1)
    return area


def auprc(curves: Curves) -> Floats:
    """Return the average precision, (R,): precision at each threshold, weighted by the recall it adds."""
    area: Floats = (np.diff(curves.tpr, axis=1) * curves.precision[:, 1:]).sum(1)
    return area


def best_f1(curves: Curves) -> Floats:
    """Return the largest F1 over all thresholds, (R,); chosen on the test labels, so no deployed figure."""
    flagged = curves.false_positives + curves.true_positives
    f1: Floats = (2 * curves.true_positives / (flagged + curves.true_positives[:, -1:])).max(1)
    return f1


def tpr_at_low_fpr(curves: Curves) -> Floats:
    """Return the largest recall whose false-positive rate is at most `LOW_FALSE_ALARM_RATE`, (R,)."""
    allowed = curves.fpr <= LOW_FALSE_ALARM_RATE
    recall: Floats = np.where(allowed, curves.tpr, 0.0).max(1)
    return recall


CURVE_METRICS: Mapping[str, Callable[[Curves], Floats]] = {
    "auprc": auprc,
    "f1": best_f1,
    "tpr_at_fpr_1pct": tpr_at_low_fpr,
}
"""The metrics of `image` in metrics.json beside `auroc`, by key."""


def image_metrics(scores: Scores, labels: Labels, resampling: Resampling) -> dict[str, Interval] | None:
    """Return `auroc` and every metric of `CURVE_METRICS` with its interval, or None where a class is missing."""
    if not has_both_classes(labels):
        return None

    by_rank = _auroc_by_rank(scores, labels)

    def measured(weights: Floats) -> Floats:
        curves = curves_of(scores, labels, weights)
        return np.stack([by_rank(weights), *(metric(curves) for metric in CURVE_METRICS.values())], 1)

    values, resampled = measured(np.ones((1, labels.size)))[0], resample(measured, labels, resampling)
    return {
        name: percentile_interval(float(values[index]), resampled[:, index], resampling.confidence)
        for index, name in enumerate(("auroc", *CURVE_METRICS))
    }


def auroc_interval(scores: Scores, labels: Labels, resampling: Resampling) -> Interval | None:
    """Return the AUROC alone with its interval, or None where a class is missing."""
    if not has_both_classes(labels):
        return None
    return interval_of(_auroc_by_rank(scores, labels), labels, resampling)


def auroc_difference(first: Scores, second: Scores, labels: Labels, resampling: Resampling) -> Interval | None:
    """Return AUROC(first) - AUROC(second) with a paired interval: both on the same resamples.

    Args:
        first: (n,) scores of one system.
        second: (n,) scores of another for the same images.
        labels: (n,) 0 or 1; None is returned where a class is missing.
        resampling: count and seed of the draws.
    """
    if not has_both_classes(labels):
        return None
    of_first, of_second = _auroc_by_rank(first, labels), _auroc_by_rank(second, labels)
    return interval_of(lambda weights: of_first(weights) - of_second(weights), labels, resampling)


def has_both_classes(labels: Labels) -> bool:
    """Return whether there are normal and anomalous images."""
    return bool((labels == 0).any() and (labels == 1).any())


def trapezoids(x: Floats, y: Floats) -> Floats:
    """Return the area between neighbouring points of curves (R,T): (R,T-1)."""
    return np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2


def _auroc_by_rank(scores: Scores, labels: Labels) -> Metric:
    """Return the AUROC as a function of weights: how often an anomalous image scores above a normal one.

    The same figure as `auroc` of `curves_of`, without the curve: scores are sorted once, for all resamples.
    """
    scores = np.where(np.isnan(scores), np.inf, scores)
    normal, anomalous = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    normal, anomalous = normal[np.argsort(scores[normal])], anomalous[np.argsort(scores[anomalous])]
    # Normal images below each anomalous one, and those not above it: half of a tie counts.
    below, reached = (np.searchsorted(scores[normal], scores[anomalous], side) for side in ("left", "right"))

    def measured(weights: Floats) -> Floats:
        found = np.pad(weights[:, normal].cumsum(1), ((0, 0), (1, 0)))
        wins = (found[:, below] + found[:, reached]) / 2
        drawn = weights[:, anomalous]
        area: Floats = np.einsum("ri,ri->r", drawn, wins) / (found[:, -1] * drawn.sum(1))
        return area

    return measured


def _reached(counts: Floats, ends: np.ndarray[Any, np.dtype[np.intp]]) -> Floats:
    return np.pad(counts.cumsum(1)[:, ends], ((0, 0), (1, 0)))
