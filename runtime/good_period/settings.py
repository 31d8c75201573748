"""The station file's section `good_period:`.

good_period: {frames: 400, at_most_per_s: 0.5}
"""

from typing import Annotated

from pydantic import Field

from ganspect.config import Positive
from ganspect.sections import Section


class GoodPeriodSettings(Section):
    """What is kept of a period that an operator declares good, and how much at most.

    Attributes:
        frames: the period ends by itself when so many are kept, of all cameras; 132 or more support a false-alarm rate
            of 1%.
        every_n: only each n-th inspected frame of a camera is kept: the threshold's promise needs frames of different
            parts, and several of one part count as one.
        at_most_per_s: frames of a camera in a second, likewise by the clock and never by verdict; absent: no limit.
        quota_mb: that all periods of this station may take on disk; the running one ends there.
        memory_mb: for frames that wait for the disk; a frame that has no room makes the period incomplete.
    """

    frames: Annotated[int, Field(ge=2, le=1_000_000)] = 500
    every_n: Positive = 1
    at_most_per_s: Annotated[float, Field(gt=0, le=1000)] | None = None
    quota_mb: Positive = 4000
    memory_mb: Positive = 256
