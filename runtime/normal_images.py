"""Normal images to calibrate on: from a folder, a data set, or a station's good period, which must be whole.

normal = read_normal(bundle, "station/good/2026-11-24_0600")
"""

from dataclasses import dataclass
from pathlib import Path

from ganspect.bundle import Bundle
from ganspect.datasets import Skipped, open_dataset, read_samples
from ganspect.errors import CalibrationError, ImageError
from ganspect.preprocess import Frame, Levels, convert
from ganspect.records import GoodPeriodRecord
from ganspect.runtime.good_period.record import read_period, require_whole
from ganspect.runtime.inspector import tile_grid

NamedFrame = tuple[str, Frame]


@dataclass(frozen=True)
class NormalImages:
    """What was read.

    Attributes:
        frames: name and frame of those that the model can take.
        skipped: the others, with the reason.
        period: what a station recorded of them; None where they are from elsewhere.
    """

    frames: list[NamedFrame]
    skipped: list[Skipped]
    period: GoodPeriodRecord | None


def read_normal(bundle: Bundle, images: str, levels: tuple[int, int] | None = None) -> NormalImages:
    """Read the images that the model can take; the others are named.

    Args:
        bundle: that is to be calibrated.
        images: a folder, a data set, or a good period of a station.
        levels: the images' raw levels for the model's black and white; None: they are as the model takes them, as
            those of a good period always are.

    Raises:
        DataError: there are none.
        CalibrationError: none can be used, or a good period is open, incomplete, or has an image that cannot be used.
    """
    folder = Path(images).expanduser()
    period = read_period(folder)
    if period is not None and levels is not None:
        raise CalibrationError(f"the frames of the good period {folder} are as the model takes them; leave out --range")
    recorded = None if period is None else require_whole(folder, period)
    grid = tile_grid(bundle)
    table = None if levels is None else Levels(*levels, grid.bits)
    read, skipped = read_samples(open_dataset(images).train)
    frames: list[NamedFrame] = []
    for sample, frame in read:
        try:
            taken = frame if table is None else table.apply(frame)[0]
            convert(taken, grid)
            frames.append((sample.name, taken))
        except ImageError as error:
            skipped.append(Skipped(sample.name, str(error)))
    if not frames:
        raise CalibrationError(
            f"none of the {len(skipped)} images in {images} can be used, the first because {skipped[0].reason}"
        )
    if recorded is not None and skipped:
        raise CalibrationError(
            f"{len(skipped)} images of the good period {folder} cannot be used, the first because {skipped[0].reason}; "
            "begin another one"
        )
    return NormalImages(frames, skipped, recorded)
