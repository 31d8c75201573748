"""The anomalies of one camera with the highest scores, so chosen that a gallery does not show one frame many times.

highest = Highest(); highest.add(minute, score, number); print(highest.ranked)
"""

import math

import numpy as np
from numpy.typing import NDArray

SHOWN = 8


class Highest:
    """At most one anomaly of a minute, and of equal scores one: a part stands still, or a video loops."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_minute: dict[int, tuple[float, int]] = {}

    @property
    def ranked(self) -> list[tuple[float, int]]:
        """Return score (NaN: none) and number of at most `SHOWN`, highest first."""
        return list(self._by_minute.values())

    def add(self, minute: NDArray[np.int64], score: NDArray[np.float64], number: NDArray[np.float64]) -> None:
        """Take what is higher than those before.

        Args:
            minute: (N) of each anomaly, in the order of time.
            score: (N) of each, NaN where there is none, which is the worst there is.
            number: (N) of each in the history.
        """
        order = np.argsort(-np.nan_to_num(score, nan=np.inf), kind="stable")
        found, first = np.unique(minute[order], return_index=True)
        for which, index in zip(found.tolist(), order[first].tolist(), strict=True):
            one = (float(score[index]), int(number[index]))
            self._by_minute[which] = max(self._by_minute.get(which, one), one, key=_height)
        self._keep_best()

    def _keep_best(self) -> None:
        kept: dict[int, tuple[float, int]] = {}
        scores = set()
        for minute, one in sorted(self._by_minute.items(), key=lambda item: _height(item[1]), reverse=True):
            if one[0] not in scores and len(kept) < SHOWN:  # a NaN equals no other
                kept[minute] = one
                scores.add(one[0])
        self._by_minute = kept


def _height(one: tuple[float, int]) -> float:
    return math.inf if math.isnan(one[0]) else one[0]
