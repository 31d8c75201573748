"""period.json: what a station says of a good period, and when a calibration may use it.

A hole could be a choice: were the frames missing that took longest, which are those that score high, the threshold
would come out too low, and lower again the next time. So a period is whole, or it is not used.

period = read_period(folder)     # None: an ordinary folder of images
"""

from pathlib import Path

from pydantic import Field, ValidationError

from ganspect.datasets.images import image_paths
from ganspect.errors import CalibrationError
from ganspect.files import write_atomically
from ganspect.records import GoodPeriodRecord, Record

PERIOD = "period.json"


class StoredFrame(Record):
    """One image of the period: its file, and the camera and id of the verdict on it."""

    file: str
    camera: str
    id: str


class Period(Record):
    """`period.json`.

    Attributes:
        station: its name.
        name: of the period, and of its folder.
        bundle: which one judged when it began, by the hash of its manifest.
        begun: time of day, ISO 8601 with zone.
        ended: likewise; None while it is open.
        complete: whether every frame that was due is stored.
        reason: why it is not, or what ended it.
        every_n: see `GoodPeriodSettings`.
        at_most_per_s: likewise.
        frames: that are stored, by camera.
        images: each of them, in the order of inspection.
    """

    station: str
    name: str
    bundle: str
    begun: str
    ended: str | None = None
    complete: bool = False
    reason: str = ""
    every_n: int = 1
    at_most_per_s: float | None = None
    frames: dict[str, int] = Field(default_factory=dict)
    images: list[StoredFrame] = Field(default_factory=list)


def write_period(folder: Path, period: Period) -> None:
    """Write `period.json`.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_atomically(folder / PERIOD, (period.model_dump_json(indent=2) + "\n").encode())


def read_period(folder: Path) -> Period | None:
    """Return what a station says of a folder, or None where none wrote it.

    Raises:
        CalibrationError: `period.json` is damaged.
    """
    path = folder / PERIOD
    if not path.is_file():
        return None
    try:
        return Period.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CalibrationError(f"{path} is damaged or cannot be read; begin another good period") from error


def require_whole(folder: Path, period: Period) -> GoodPeriodRecord:
    """Return what a calibration remembers of a period that is over and has all its frames.

    Raises:
        CalibrationError: it is still open, incomplete, or its folder holds other images than were stored.
    """
    if period.ended is None:
        raise CalibrationError(
            f"the good period {folder} is still open; end it first by removing {folder.parent / 'on'} or on the page"
        )
    if not period.complete:
        raise CalibrationError(
            f"the good period {folder} is incomplete ({period.reason}), and what is missing could be what scores "
            "high; begin another one"
        )
    stored, there = {image.file for image in period.images}, {path.name for path in image_paths(folder)}
    if stored != there:
        raise CalibrationError(
            f"the good period {folder} is no longer as it was stored: {len(stored - there)} of its {len(stored)} "
            f"images are missing and {len(there - stored)} were added; put them back, or begin another one"
        )
    return GoodPeriodRecord(
        station=period.station,
        name=period.name,
        begun=period.begun,
        ended=period.ended,
        frames=period.frames,
        bundle=period.bundle,
    )
