"""Deterministic splits: training against held out, and the held-out part into statistics and threshold.

training, held_out = split_held_out(dataset.train, share=0.2, seed=0)
statistics, threshold = split_calibration(held_out)
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ganspect.errors import DataError

LEAST_IMAGES = 8
"""Fewer normal images than this leave nothing to calibrate on."""

Item = TypeVar("Item")


def split_held_out(samples: Sequence[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Split normal images at random into those trained on and those held out for calibration.

    Args:
        samples: normal images, of any type.
        share: of them to hold out, in (0, 1); at least one image goes to either side.
        seed: the same seed and number of samples give the same split.

    Raises:
        DataError: there are fewer than `LEAST_IMAGES`.
    """
    if len(samples) < LEAST_IMAGES:
        raise DataError(
            f"{len(samples)} usable normal images were found, at least {LEAST_IMAGES} are needed to train on some and "
            "calibrate on others; add more"
        )
    held_out = min(max(1, round(share * len(samples))), len(samples) - 1)
    return _pick(samples, held_out, seed)


def split_calibration(samples: Sequence[Item], seed: int = 0) -> tuple[list[Item], list[Item]]:
    """Split held-out normal images into a quarter for statistics and the rest for the threshold, disjoint.

    With one set for both, a threshold would be too low: the model's statistics fit the images they came from. Of four
    images or more, at least two go to the statistics; of two or three, one; a single image goes to the threshold.
    """
    statistics = max(2, round(len(samples) / 4)) if len(samples) >= 4 else min(1, max(0, len(samples) - 1))
    rest, statistics_part = _pick(samples, statistics, seed)
    return statistics_part, rest


def _pick(samples: Sequence[Item], count: int, seed: int) -> tuple[list[Item], list[Item]]:
    """Return (the others, `count` picked at random), each in the given order."""
    picked = set(np.random.default_rng(seed).permutation(len(samples))[:count].tolist())
    others = [sample for index, sample in enumerate(samples) if index not in picked]
    return others, [sample for index, sample in enumerate(samples) if index in picked]
