"""A verdict's record as the history's file has it, which may be damaged or come from elsewhere.

record = read_record('{"id": …}', "verdict 3 in station/history.sqlite")
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ganspect.errors import OutputError
from ganspect.files import plain_json


class _Latency(BaseModel):
    model_config = ConfigDict(strict=True)

    total: float


class _Needed(BaseModel):
    """What is shown of every record; there is more, which is passed on as it is."""

    model_config = ConfigDict(strict=True)

    id: str
    camera: str
    timestamp_ns: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    verdict: Literal["normal", "anomalous", "undecided"]
    score: float | None
    threshold: float
    latency_ms: _Latency


def read_record(text: str, what: str) -> dict[str, Any]:
    """Return a record.

    Args:
        text: JSON.
        what: it is, for the message.

    Raises:
        OutputError: it lacks what every verdict has.
    """
    try:
        record: dict[str, Any] = plain_json(text)
        _Needed.model_validate(record)
    except (ValueError, ValidationError) as error:
        raise OutputError(f"{what} is damaged and cannot be shown; leave it out with --since or --until") from error
    return record
