"""Deviations of scores over held-out normal images: what the terms of a deployed sum are divided by.

system.score_deviations = measure_deviations(system, held_out)
"""

from collections.abc import Sequence

import numpy as np
import torch

from ganspect.datasets import split_calibration
from ganspect.errors import CalibrationError
from ganspect.export.formulas import Deployed, to_image
from ganspect.preprocess import to_tiles
from ganspect.runtime.calibration import different_frames
from ganspect.runtime.normal_images import NamedFrame
from ganspect.scoring import find_score, terms_of
from ganspect.train.data import tile_grid
from ganspect.train.system import System

_TILES_AT_ONCE = 16


@torch.no_grad()
def measure_deviations(system: System, held_out: Sequence[NamedFrame]) -> dict[str, float]:
    """Return the standard deviation of each term of the deployed sums, at the encoder's latents; empty without sums.

    It is taken over the images that the pixel statistics are taken from too, on which no threshold depends.

    Args:
        system: trained, in eval mode.
        held_out: normal images that it was not trained on, as `ganspect.runtime.calibration.calibrate` takes them.

    Raises:
        CalibrationError: a term is the same on all of them, or they are too few.
    """
    recipe = system.recipe
    names = Deployed.by(system, recipe.score.search, recipe.score.encoder).names
    terms = {term for name in names if len(terms_of(name)) > 1 for term in terms_of(name)}
    if not terms:
        return {}
    frames, _ = split_calibration([frame for _, frame in different_frames(held_out).values()])
    tiles = [image for frame in frames for image in to_tiles(frame, tile_grid(recipe)).images]
    found: dict[str, list[torch.Tensor]] = {term: [] for term in terms}
    for first in range(0, len(tiles), _TILES_AT_ONCE):
        x = system.represent(to_image(torch.from_numpy(np.stack(tiles[first : first + _TILES_AT_ONCE]))))
        match = system.match(x, system.encode(x))
        for term, values in found.items():
            values.append(find_score(term).of(match, system.weights))
    deviations = {term: float(torch.cat(values).std(correction=0)) if tiles else 0.0 for term, values in found.items()}
    for term, deviation in deviations.items():
        if not deviation > 0:
            raise CalibrationError(
                f"the score {term} does not vary over the {len(frames)} held-out normal images that the terms of a sum "
                "are measured on; hold out more different images (data.holdout), or deploy one score alone"
            )
    return dict(sorted(deviations.items()))
