"""How far a window of scores is from a reference: KS and PSI, with limits that know how many frames both rest on.

A calibration has some hundred frames, so that even without drift its distribution is not quite the line's. Neither
measure's usual limit (a p-value's 5%, PSI's 0.25) takes that into account together with how often one looks; both
limits here do. They need no shape of the distribution: without drift KS depends on ranks alone, and so does PSI in bins
made of the reference's quantiles.

    limits = limits_of(n_reference=100, n_window=500, level=2.5e-5)
    distance = Reference(scores).distance(window)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

LEAST_FRAMES = 30
"""Neither a reference nor a window of fewer different scores says anything."""

_MOST_BINS = 10
_FRAMES_A_BIN = 10
_PSEUDO_COUNT = 0.5
"""Added to each bin of both (Jeffreys' prior for two classes), so that an empty one has a finite logarithm."""

_PSI_MARGIN = 1.1
"""On PSI's limit: by simulation its tail is up to a tenth above the chi-squared one, see the tests."""

_QUARTILES_OF_ONE_DEVIATION = 1.349


@dataclass(frozen=True)
class Distance:
    """A window against its reference.

    Attributes:
        psi: population stability index, the sum of (q - p) ln(q / p) over bins of the reference's quantiles.
        ks: largest distance of the two distribution functions, in [0, 1] (Kolmogorov and Smirnov).
        p_value: chance of such a `ks` without drift, at one look.
        shift: of the medians, in deviations of the reference (its quartiles' distance over 1.349); None where the
            quartiles are the same or a median is not finite.
        distinct: different scores in the window: the same picture again is no further evidence.
    """

    psi: float
    ks: float
    p_value: float
    shift: float | None
    distinct: int


@dataclass(frozen=True)
class Limits:
    """Of both measures: exceeded without drift with the level's chance at most, shared by the two."""

    psi: float
    ks: float


class Reference:
    """Scores without drift.

    Attributes:
        size: how many different ones.
    """

    def __init__(self, scores: Sequence[float]) -> None:
        """Sort finite scores, at least `LEAST_FRAMES` different ones, and make the bins."""
        self._sorted = np.sort(np.asarray(scores, np.float64))
        self.size = len(np.unique(self._sorted))
        inner = np.linspace(0, 1, bins_of(self.size) + 1)[1:-1]
        self._edges = np.unique(np.quantile(self._sorted, inner, method="inverted_cdf"))
        self._counts = self._binned(self._sorted)
        low, self._median, high = np.quantile(self._sorted, (0.25, 0.5, 0.75))
        self._deviation = float(high - low) / _QUARTILES_OF_ONE_DEVIATION

    def distance(self, window: Array) -> Distance:
        """Compare.

        Args:
            window: scores, in any order; +inf where one could not be computed.
        """
        ordered = np.sort(window)
        distinct = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
        ks = self._ks(ordered)
        return Distance(
            self._psi(ordered, distinct), ks, p_value(ks, self.size, distinct), self._shift(ordered), distinct
        )

    def _ks(self, ordered: Array) -> float:
        places = np.concatenate([self._sorted, ordered])
        reference = np.searchsorted(self._sorted, places, "right") / len(self._sorted)
        return float(np.abs(reference - np.searchsorted(ordered, places, "right") / len(ordered)).max())

    def _psi(self, ordered: Array, distinct: int) -> float:
        of_reference = _shares(self._counts * self.size / len(self._sorted))
        of_window = _shares(self._binned(ordered) * distinct / len(ordered))
        return float(((of_window - of_reference) * np.log(of_window / of_reference)).sum())

    def _binned(self, ordered: Array) -> Array:
        """Count scores by bin; an edge is the last of its bin."""
        ends = np.searchsorted(ordered, self._edges, "right")
        return np.diff(np.concatenate([[0], ends, [len(ordered)]])).astype(np.float64)

    def _shift(self, ordered: Array) -> float | None:
        middle = float(ordered[len(ordered) // 2])
        return (middle - self._median) / self._deviation if self._deviation and math.isfinite(middle) else None


def bins_of(size: int) -> int:
    """Return how many bins PSI has with a reference of so many scores: ten a bin, and ten bins at most."""
    return max(2, min(_MOST_BINS, size // _FRAMES_A_BIN))


@lru_cache(maxsize=256)
def limits_of(*, n_reference: int, n_window: int, level: float) -> Limits:
    """Return what both measures exceed without drift with a chance of `level` at most, half of it each.

    KS: its distribution's tail 2 exp(-2 m D²), m = n w / (n + w). PSI: (1/n + 1/w) times chi-squared with one degree
    less than bins (Yurdakul 2018), with a margin.
    """
    each, spread = level / 2, 1 / n_reference + 1 / n_window
    return Limits(
        psi=_PSI_MARGIN * spread * _chi_squared_quantile(bins_of(n_reference) - 1, 1 - each),
        ks=math.sqrt(-math.log(each / 2) / 2 * spread),
    )


def p_value(ks: float, n_reference: int, n_window: int) -> float:
    """Return the chance of such a distance without drift, 2 exp(-2 m D²): a bound of the limiting distribution."""
    return min(1.0, 2 * math.exp(-2 * ks * ks / (1 / n_reference + 1 / n_window)))


def _shares(counts: Array) -> Array:
    filled = counts + _PSEUDO_COUNT
    return np.asarray(filled / filled.sum())


def _chi_squared_quantile(degrees: int, share: float) -> float:
    """Return it as Wilson and Hilferty approximate it (1931), within a few percent also far out."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + NormalDist().inv_cdf(share) * math.sqrt(part)) ** 3)
