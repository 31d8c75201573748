"""Scores as users see them: raw, or relative to those of the calibration's normal images (GANomaly, section 4).

Thresholds are recorded raw and every decision is taken on raw scores; only what is shown goes through the scale.

print(score_scale(bundle, "search").of(0.031))   # 0.87: within what normal images had when calibrating
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ganspect.bundle import Bundle
from ganspect.errors import CalibrationError
from ganspect.records import Mode, ScoreRange

ScoreT = TypeVar("ScoreT", float, np.ndarray[Any, np.dtype[np.float64]])

LEAST_SPAN = 1e-3
"""Least span of a range as a share of its larger end: one normal frame, or several that score alike, would divide
by 0."""


@dataclass(frozen=True)
class ScoreScale:
    """A linear scale: `low` is shown as 0 and `low + span` as 1; the default shows scores as they are."""

    low: float = 0.0
    span: float = 1.0

    def of(self, score: ScoreT) -> ScoreT:
        """Return a raw score, or an array of them, as shown; NaN and infinities stay what they are."""
        return (score - self.low) / self.span


def min_max_scale(scores: ScoreRange) -> ScoreScale:
    """Return the scale on which the lowest score of a range is 0 and the highest 1.

    The span is at least `LEAST_SPAN` of the larger end, and 1 where both are 0.
    """
    floor = LEAST_SPAN * max(abs(scores.low), abs(scores.high))
    return ScoreScale(scores.low, max(scores.high - scores.low, floor) or 1.0)


def score_scale(bundle: Bundle, mode: Mode) -> ScoreScale:
    """Return the scale on which a bundle reports the deployed score of a mode.

    Raises:
        CalibrationError: the bundle reports min-max scaled scores, and its calibration has none or has no range.
    """
    if bundle.manifest.scores.scale == "none":
        return ScoreScale()
    calibration = bundle.require_calibration()
    found = calibration.search_range if mode == "search" else calibration.encoder_range
    if found is None:
        raise CalibrationError(
            f"{bundle.folder} reports min-max scaled scores, but its calibration of {calibration.created} recorded no "
            f"range of the {mode} score; run: ganspect calibrate {bundle.folder} FOLDER_OF_NORMAL_IMAGES"
        )
    return min_max_scale(found)
