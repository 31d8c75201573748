"""Time budgets: how long a frame may still take, and how many iterations fit into that.

deadline = Deadline(time.perf_counter_ns(), budget_ms=40)
count = pace.steps_within(rows=1, available_ms=deadline.remaining_ms())
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

_MARGIN = 1.2
"""An iteration is planned to take this much longer than measured, since a chunk cannot be stopped on its way."""

_PATIENCE = 0.95
"""By how much what is expected is doubted with each time that nothing fitted."""


@dataclass(frozen=True)
class Deadline:
    """The end of a frame's time.

    Attributes:
        start_ns: `time.perf_counter_ns()` when preprocessing began.
        budget_ms: what the frame may take from then on.
    """

    start_ns: int
    budget_ms: float

    def remaining_ms(self) -> float:
        """Return what is left, negative once it is over."""
        return self.budget_ms - (time.perf_counter_ns() - self.start_ns) / 1e6


class Pace:
    """Milliseconds of one iteration by the number of rows, as measured so far on this machine."""

    def __init__(self) -> None:
        """Start without a measurement."""
        self._ms_per_step: dict[int, float] = {}
        self._forgone: dict[int, int] = {}

    def record(self, *, rows: int, steps: int, elapsed_ms: float) -> None:
        """Take in one call of the search graph; a slower one counts at once, a faster one by half."""
        measured = elapsed_ms / steps
        known = self._ms_per_step.get(rows, measured)
        self._ms_per_step[rows] = max(measured, (measured + known) / 2)
        self._forgone[rows] = 0

    def ms_per_step(self, rows: int) -> float:
        """Return the expected time of one iteration; for an unseen number of rows the most that any other suggests.

        Infinite before the first measurement.
        """
        if rows in self._ms_per_step:
            return self._ms_per_step[rows]
        return max((ms * max(1.0, rows / seen) for seen, ms in self._ms_per_step.items()), default=float("inf"))

    def steps_within(self, *, rows: int, available_ms: float) -> int:
        """Return how many iterations of so many rows fit, 0 if none does.

        What is never run is never measured: one slow call, of a machine that was busy for a moment, would leave all
        frames after it without an iteration. So each time that none fits what is expected is doubted a little more,
        until one iteration is tried, which measures anew.
        """
        if available_ms <= 0:
            return 0
        planned_ms = self.planned_ms(rows)
        if fits := int(available_ms / planned_ms):
            return fits
        return int(self._dares(planned_ms, rows, available_ms))

    def fits(self, batches: Sequence[int], *, steps: int, available_ms: float) -> bool:
        """Return whether so many iterations of these batches fit.

        What was measured in a slow moment is doubted as in `steps_within`, but only where smaller batches, which are
        what runs meanwhile, would fit one after the other: more rows at once take no longer than that, or seldom do.

        Args:
            batches: rows of each; none: that fits.
            steps: of all of them.
            available_ms: for all together.
        """
        planned_ms = steps * sum(self.planned_ms(rows) for rows in batches)
        if planned_ms <= available_ms or not batches:
            return True
        in_turn_ms = steps * sum(_MARGIN * self._in_turn_ms(rows) for rows in batches)
        return in_turn_ms <= available_ms and self._dares(planned_ms, max(batches), available_ms)

    def planned_ms(self, rows: int) -> float:
        """Return the time of one iteration to plan with: the expected one and a margin."""
        return _MARGIN * self.ms_per_step(rows)

    def _in_turn_ms(self, rows: int) -> float:
        """Return the time of one iteration of so many rows in smaller batches; infinite where none was measured."""
        smaller = (ms * ceil(rows / seen) for seen, ms in self._ms_per_step.items() if seen < rows)
        return min(smaller, default=float("inf"))

    def _dares(self, planned_ms: float, rows: int, available_ms: float) -> bool:
        forgone = self._forgone[rows] = self._forgone.get(rows, 0) + 1
        return planned_ms * _PATIENCE**forgone <= available_ms
