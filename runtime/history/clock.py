"""A time of day that is not believed for a day after it leapt ahead, since months of verdicts would look old at once.

clock = DoubtedClock(newest_ns)
clock.now_ns()       # None while it is in doubt
"""

import logging
import time
from collections.abc import Callable

_log = logging.getLogger("ganspect.station")
_DAY_NS = 86_400 * 10**9


class DoubtedClock:
    """The time of day, checked against what it was and how long ago that is."""

    def __init__(
        self,
        known_ns: int | None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        steady_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Begin.

        Args:
            known_ns: a time of day that has been, such as that of the newest verdict; None: none is known. A station
                that was off for more than a day waits for a day with pruning, which costs nothing.
            wall_ns: the time of day.
            steady_ns: a clock that nobody sets.
        """
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._believed = (wall_ns() if known_ns is None else known_ns, steady_ns())
        self._doubted_until_ns: int | None = None

    def now_ns(self) -> int | None:
        """Return the time of day, or None while it is in doubt: for a day, or until it is set back."""
        wall, steady = self._wall_ns(), self._steady_ns()
        at, then = self._believed
        leapt = wall - (at + steady - then) > _DAY_NS
        if leapt and self._doubted_until_ns is None:
            _log.warning("the clock is more than a day ahead of the last verdict: nothing is pruned for a day")
            self._doubted_until_ns = steady + _DAY_NS
        if leapt and self._doubted_until_ns is not None and steady < self._doubted_until_ns:
            return None
        self._doubted_until_ns = None
        self._believed = (wall, steady)
        return wall
