"""The `history` of a station file."""

from typing import Annotated

from pydantic import Field

from ganspect.sections import Section


class HistorySettings(Section):
    """How long verdicts are kept. What a sink of the station file still owes is kept in any case.

    Attributes:
        keep_days: age at which a verdict is removed; absent: never.
        keep_labelled: whether verdicts are kept for ever that a person has labelled.
        quota_mb: that the history may take; beyond it the oldest verdicts go, however young. Absent: no limit.
    """

    keep_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    keep_labelled: bool = True
    quota_mb: Annotated[float, Field(ge=10)] | None = None
