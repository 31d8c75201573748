"""How well scores rank: for choices that are made where no library for it is installed."""

import numpy as np

from ganspect.scoring.arrays import Array


def auroc(normal: Array, anomalous: Array) -> float:
    """Return the share of pairs in which the anomalous score is the higher one; equal scores count half.

    Args:
        normal: (N,) scores, at least one.
        anomalous: (M,) scores, at least one.
    """
    ordered = np.sort(np.asarray(normal))
    below = np.searchsorted(ordered, anomalous, "left") + np.searchsorted(ordered, anomalous, "right")
    return float(below.mean() / (2 * len(ordered)))
