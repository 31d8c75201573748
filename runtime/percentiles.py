"""The two percentiles that are shown of latencies everywhere.

p50_ms, p99_ms = p50_p99(delays_ms)
"""

from collections.abc import Sequence

import numpy as np


def p50_p99(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """Return median and 99th percentile (linear interpolation), None of no values."""
    if not values:
        return None, None
    p50, p99 = np.percentile(values, (50, 99))
    return float(p50), float(p99)
