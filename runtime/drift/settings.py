"""The station file's section `drift:`.

drift: {window: 500, every_n: 30, false_alarm_rate: 0.01}
"""

from typing import Annotated, Literal

from pydantic import Field

from ganspect.config import Positive
from ganspect.sections import Section


class DriftSettings(Section):
    """How each camera's start scores are watched for drift.

    Attributes:
        enabled: whether they are.
        window: the last so many frames are compared with the reference, ten times in each window.
        every_n: only each n-th frame of a camera counts: give about as many as show one part, since frames of one part
            are not independent and would raise false alarms.
        false_alarm_rate: chance, at most, that a camera without drift raises an alarm within twenty windows.
        reference: `calibration`: the start scores that the calibration kept, where it kept too few the station's own
            first window; `station`: always the latter, where cameras differ from what was calibrated on.
    """

    enabled: bool = True
    window: Annotated[int, Field(ge=100, le=100_000)] = 500
    every_n: Positive = 1
    false_alarm_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    reference: Literal["calibration", "station"] = "calibration"
