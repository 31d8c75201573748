"""References that a station learned from its own frames, kept so that a restart does not learn a dirty lens as normal.

DATA/drift.json; delete it to learn anew
"""

import logging
from pathlib import Path

from pydantic import ValidationError

from ganspect.errors import OutputError
from ganspect.files import write_atomically
from ganspect.records import Record

FILE = "drift.json"

_log = logging.getLogger("ganspect.station")


class LearnedReference(Record):
    """One camera's reference, and what its scores were computed with: with other things they mean something else.

    Attributes:
        made_by: bundle, calibration and mode.
        scores: finite ones, as reported.
    """

    made_by: str
    scores: list[float]


class LearnedReferences(Record):
    """Of all cameras, by name."""

    cameras: dict[str, LearnedReference]


def read_learned(data: Path) -> LearnedReferences:
    """Return what the station has learned; what cannot be read is learned again, and said."""
    path = data / FILE
    if not path.is_file():
        return LearnedReferences(cameras={})
    try:
        return LearnedReferences.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        _log.warning("%s cannot be read; drift is told from the frames that come now", path)
        return LearnedReferences(cameras={})


def write_learned(data: Path, learned: LearnedReferences) -> None:
    """Keep what the station has learned; that it cannot be kept is said."""
    try:
        write_atomically(data / FILE, learned.model_dump_json().encode())
    except OutputError as error:
        _log.warning("what drift is told from is not kept over a restart: %s", error)
