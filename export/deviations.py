"""Deviations of scores over held-out normal images: what the terms of a deployed sum are divided by.

system.score_deviations = measure_deviations(system, held_out)

A frame's score is the largest of its tiles', as at run time.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ganspect.datasets import split_calibration
from ganspect.errors import CalibrationError
from ganspect.export.formulas import Deployed, to_image
from ganspect.preprocess import Frame, to_tiles
from ganspect.runtime.calibration import different_frames
from ganspect.runtime.normal_images import NamedFrame
from ganspect.scoring import SCORES, terms_of
from ganspect.train.data import tile_grid
from ganspect.train.system import System

LEAST_FRAMES = 8
"""From fewer, one term's deviation may come out several times too small, and that term would drown the other."""

_LEAST_DEVIATION = 1e-5
"""As a share of the mean: what varies by less varies by rounding."""


@torch.no_grad()
def measure_deviations(system: System, held_out: Sequence[NamedFrame]) -> dict[str, float]:
    """Return the standard deviation of each term of the deployed sums, at the encoder's latents; empty without sums.

    It is taken over the images that the pixel statistics are taken from too, on which no threshold depends.

    Args:
        system: trained, in eval mode.
        held_out: normal images that it was not trained on, as `ganspect.runtime.calibration.calibrate` takes them.

    Raises:
        CalibrationError: these are fewer than `LEAST_FRAMES`, or a term is the same on all of them.
    """
    recipe = system.recipe
    names = Deployed.by(system, recipe.score.search, recipe.score.encoder).names
    terms = {term for name in names if len(terms_of(name)) > 1 for term in terms_of(name)}
    if not terms:
        return {}
    frames, _ = split_calibration([frame for _, frame in different_frames(held_out).values()])
    if len(frames) < LEAST_FRAMES:
        raise CalibrationError(
            f"{len(frames)} held-out normal images, a quarter of all, are there to measure the terms of a sum on, but "
            f"at least {LEAST_FRAMES} are needed; hold out more different images (data.holdout), or deploy one score"
        )
    rows = [_of_frame(system, frame, sorted(terms)) for frame in frames]
    found = dict(zip(sorted(terms), np.transpose(rows), strict=True))
    for term, values in found.items():
        if not values.std() > _LEAST_DEVIATION * abs(values.mean()):
            raise CalibrationError(
                f"the score {term} is the same on all {len(frames)} held-out normal images that the terms of a sum are "
                "measured on; deploy the other term alone"
            )
    return {term: float(values.std()) for term, values in found.items()}


def _of_frame(system: System, frame: Frame, terms: Sequence[str]) -> list[float]:
    """Return each term of a frame, the largest of its tiles."""
    tiles = torch.from_numpy(to_tiles(frame, tile_grid(system.recipe)).images)
    x = system.represent(to_image(tiles))
    match = system.match(x, system.encode(x))
    return [float(SCORES[term].of(match, system.score_weights).max()) for term in terms]
