"""Counts in bins, so that quantiles of millions of values take a few kilobytes.

latency_ms = LogHistogram(); latency_ms.add(values); print(latency_ms.quantile(0.99))
"""

import numpy as np
from numpy.typing import NDArray

_STEP = 0.01
"""Bins are 1% wide, so a quantile is right to within half of that."""
_LEAST = 1e-3
_BINS = 2_600
"""Up to 2 * 10^8: two days in ms."""


class LogHistogram:
    """Positive values in bins that are 1% wide.

    Attributes:
        counts: (bins) int64.
        largest: of all values; 0 before the first.
    """

    def __init__(self) -> None:
        """Begin without values."""
        self.counts = np.zeros(_BINS, np.int64)
        self.largest = 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count values, (N) float64; what is not finite is left out."""
        values = values[np.isfinite(values)]
        if values.size:
            bins = (np.log(np.maximum(values, _LEAST) / _LEAST) / _STEP).astype(np.int64)
            self.counts += np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
            self.largest = max(self.largest, float(values.max()))

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of all is at or under; None of none."""
        total = int(self.counts.sum())
        if total == 0:
            return None
        index = int(np.searchsorted(np.cumsum(self.counts), share * total))
        return min(self.largest, _LEAST * float(np.exp((index + 0.5) * _STEP)))
