"""AUROC over iterations from an evaluation's metrics.json, to be drawn over time.

curve = read_curve(Path("report/metrics.json"))
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from ganspect.errors import DataError
from ganspect.files import read_json
from ganspect.records import Record


class Curve(Record):
    """AUROC of the best score after so many iterations.

    Attributes:
        iterations: the counts.
        encoder_start: at each; None without an encoder.
        random_start: at each.
    """

    iterations: tuple[Annotated[int, Field(ge=0, le=1_000_000)], ...]
    encoder_start: tuple[float, ...] | None
    random_start: tuple[float, ...]


def read_curve(path: Path) -> Curve:
    """Read the curve in an evaluation's metrics.json.

    Raises:
        DataError: it cannot be read, or the evaluation drew no curve.
    """
    try:
        curve = read_json(path)["curve"]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; give the metrics.json of an evaluation") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no metrics.json of 'ganspect evaluate'; give one") from error
    if curve is None:
        raise DataError(f"{path} has no curve; make one with: ganspect evaluate BUNDLE DATA --curve --out DIR")
    try:
        return Curve.model_validate(curve)
    except ValidationError as error:
        raise DataError(f"the curve in {path} is damaged; make it again with: ganspect evaluate --curve") from error
