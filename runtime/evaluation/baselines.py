"""What a detector must beat to be worth deploying: PCA, and the mean intensity of an image.

(pca,) = pca_scores(normal_images, test_images, COMPONENTS)
brightness = mean_intensity(test_images)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.decomposition import PCA

from ganspect.runtime.evaluation.bootstrap import Floats, Labels
from ganspect.runtime.evaluation.metrics import auroc, curves_of
from ganspect.scoring import SCORES, Match, to_unit_range

Pixels: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

COMPONENTS = 256
"""Of the PCA whose figures stand in every report; a second one has as many as the bundle's latent."""

_OF_IMAGES = tuple(name for name, score in SCORES.items() if score.needs <= {"image"})
_LARGEST_VALUES = 100_000_000
_EXACT_OPERATIONS = 3e10
_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class PcaScores:
    """Scores of a PCA's reconstruction.

    Attributes:
        scores: (n,) by the name of each score that needs no more than images (`ganspect.scoring.SCORES`).
        components: that the PCA kept.
        images: normal images that it was fitted on.
    """

    scores: Mapping[str, Floats]
    components: int
    images: int

    @property
    def worst(self) -> Floats:
        """Return the mean of the largest 1% of the residual, (n,)."""
        return self.scores["residual_worst"]

    @property
    def mean(self) -> Floats:
        """Return the mean residual, (n,)."""
        return self.scores["residual_mean"]


class PcaPair(NamedTuple):
    """Two PCAs of the same images.

    Attributes:
        usual: with `COMPONENTS` components, whatever the bundle: figures of different bundles stand beside it.
        like_bundle: with as many as the bundle's latent has dimensions.
    """

    usual: PcaScores
    like_bundle: PcaScores


def pca_scores(normal: Pixels, test: Pixels, *sizes: int) -> tuple[PcaScores, ...]:
    """Fit a PCA to normal images and score others by what it cannot reconstruct.

    Args:
        normal: (m,H,W,C) uint8, at least 2; thinned evenly where they would not fit into memory.
        test: (n,H,W,C) uint8.
        *sizes: components kept at most, a result for each; fewer where there are fewer images or pixels.
    """
    normal = normal[:: -(-normal.size // _LARGEST_VALUES)]
    pixels = normal[0].size
    possible = min(len(normal) - 1, pixels)
    # Randomised SVD only where the exact one would take minutes.
    exact = len(normal) * pixels * min(len(normal), pixels) <= _EXACT_OPERATIONS
    pca = PCA(min(max(sizes), possible), svd_solver="full" if exact else "randomized", random_state=0)
    pca.fit(_rows(normal))
    return tuple(_scores(pca, min(size, possible), test, len(normal)) for size in sizes)


def mean_intensity(images: Pixels) -> Floats:
    """Return the mean pixel value of each image (n,H,W,C), in [0, 255]."""
    means: Floats = images.reshape(len(images), -1).mean(1, dtype=np.float64)
    return means


def brighter_is_anomalous(intensity: Floats, labels: Labels) -> bool:
    """Return in which direction the mean intensity separates the classes better, judged by their labels."""
    return bool(auroc(curves_of(intensity, labels))[0] >= 0.5)


def _scores(pca: PCA, components: int, test: Pixels, images: int) -> PcaScores:
    axes = pca.components_[:components]
    batches = [_score(pca.mean_, axes, test[at : at + _IMAGES_AT_ONCE]) for at in range(0, len(test), _IMAGES_AT_ONCE)]
    return PcaScores(
        {name: np.concatenate([batch[name] for batch in batches]) for name in _OF_IMAGES}, components, images
    )


def _score(mean: Rows, axes: Rows, images: Pixels) -> dict[str, Floats]:
    rows = _rows(images)
    shape = (len(images), *images.shape[1:])
    restored = (rows - mean) @ axes.T @ axes + mean
    match = Match(*(array.reshape(shape).transpose(0, 3, 1, 2) for array in (rows, restored.astype(np.float32))))
    return {name: SCORES[name].of(match) for name in _OF_IMAGES}


def _rows(images: Pixels) -> Rows:
    rows: Rows = to_unit_range(images.reshape(len(images), -1).astype(np.float32))
    return rows
