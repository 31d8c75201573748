"""Training settings that every system has; a system's own file adds its stages to them."""

from typing import Annotated

from pydantic import Field

from ganspect.config import Positive
from ganspect.sections import Section
from ganspect.train.compute import DeviceChoice, PrecisionChoice

Rate = Annotated[float, Field(gt=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
BatchSize = Annotated[int, Field(ge=2, le=4096)]
Steps = Annotated[int, Field(ge=0)]


class TrainingSettings(Section):
    """How the fit loop runs; none of these changes what is learnt, but `precision` and `device` its last digits.

    Attributes:
        precision: `bf16` uses autocast; `auto` measures both at the start.
        device: `auto` uses a GPU where there is one.
        log_every: steps between lines of log.csv.
        sample_every: steps between grids in samples/.
        checkpoint_every: steps between checkpoints; a run that is killed repeats at most so many.
    """

    precision: PrecisionChoice = "auto"
    device: DeviceChoice = "auto"
    log_every: Positive = 50
    sample_every: Positive = 500
    checkpoint_every: Positive = 250
