"""What a bundle in feature space must beat: PaDiM and PatchCore, fitted on the same features of the same images.

Both take maps of a frozen backbone's features and need no training, so a GAN over these features is worth its effort
only where it finds more than they do. NumPy only, in blocks, so that memory stays bounded.

    scores, distances = PatchCore.fit(normal, size_bytes=4_000_000).judge(test)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from ganspect.runtime.evaluation.bootstrap import Floats
from ganspect.scoring.arrays import box3

Maps: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Rows: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Indices: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

EPSILON = 0.01
"""PaDiM: added to the variance of each channel, as in the paper; whitened channels have about unit variance."""

SMOOTHING_PLACES = 0.5
"""PaDiM: σ of the Gaussian over a map before its largest value is taken: the paper's 4 of 224 pixels on 28 places."""

NEIGHBOURS = 9
"""PatchCore: b of equation 7, the nearest vector itself among them; the paper names no number, anomalib takes 9."""

LARGEST_MEMORY = 10_000
"""PatchCore: vectors at most, whatever the size allowed."""

LARGEST_SHARE = 0.1
"""PatchCore: of all patches at most, the middle one of the paper's 25%, 10% and 1%."""

_CANDIDATES = 60_000
_PROJECTED_CHANNELS = 32
_IMAGES_AT_ONCE = 32
_PATCHES_AT_ONCE = 512
"""Compared with a whole memory at once: few enough that the distances stay near the processor's cache."""


class Judged(NamedTuple):
    """What a detector says of images.

    Attributes:
        scores: (N,) of each image, higher is more anomalous.
        distances: (N,h,w) float32 of each place, at least 0, higher is more anomalous; never smoothed.
    """

    scores: Floats
    distances: Maps


class FeatureDetector(ABC):
    """Judges maps of features by their distance from those of normal images.

    Attributes:
        name: for reports.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Return what a file of the fitted detector would hold at least, in float32."""

    def judge(self, maps: Maps) -> Judged:
        """Judge images by their features.

        Args:
            maps: (N,C,h,w) float32, at least one, of the same C, h and w as the normal ones.
        """
        blocks = [self._judge(maps[at : at + _IMAGES_AT_ONCE]) for at in range(0, len(maps), _IMAGES_AT_ONCE)]
        return Judged(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    @abstractmethod
    def _judge(self, maps: Maps) -> Judged:
        """Judge a few images at once."""


@dataclass(frozen=True)
class Padim(FeatureDetector):
    """A Gaussian distribution of the features at each place (Defard et al. 2020, arXiv:2011.08785).

    It differs from the paper in three things: all channels are kept, where the paper draws some at random; the map is
    smoothed on its own grid, by as many places whatever the grid, and not after enlarging it to the image; and
    `size_bytes` counts a triangle of each inverse covariance, since it is symmetric, where the paper counts all of it.

    Attributes:
        mean: (h*w,C) of the normal images at each place.
        whitening: (h*w,C,C), lower triangles W with Wᵀ W = Σ⁻¹, so that |W (x - mean)| is the Mahalanobis distance.
    """

    name: ClassVar[str] = "padim"

    mean: Rows
    whitening: Maps

    @classmethod
    def fit(cls, normal: Maps) -> "Padim":
        """Estimate mean and covariance of each place over the images, equation 1 of the paper.

        With no more images than channels, `EPSILON` alone makes the covariance invertible. The paper does the same:
        what leaves the span of the normal images then counts most, with a standard deviation of 0.1.

        Args:
            normal: (N,C,h,w) float32 of normal images, at least 2, channels of about unit variance.
        """
        by_rows = [_gaussians(normal[:, :, row].transpose(2, 0, 1)) for row in range(normal.shape[2])]
        return cls(*(np.concatenate(parts) for parts in zip(*by_rows, strict=True)))

    @property
    def size_bytes(self) -> int:
        """Return the bytes of a mean and a triangular matrix for each place."""
        places, channels = self.mean.shape
        return int(places * (channels + channels * (channels + 1) // 2) * 4)

    def _judge(self, maps: Maps) -> Judged:
        images, channels, height, width = maps.shape
        by_place = maps.reshape(images, channels, -1).transpose(2, 0, 1)
        # Contiguous, since only then does matmul hand each place to BLAS.
        centred = np.ascontiguousarray(by_place - self.mean[:, None])
        whitened = centred @ self.whitening.transpose(0, 2, 1)
        distances = np.linalg.norm(whitened, axis=2).T.reshape(images, height, width)
        return Judged(_smoothed(distances).max((1, 2)).astype(np.float64), distances)


@dataclass(frozen=True)
class PatchCore(FeatureDetector):
    """The nearest of some normal patches, chosen to cover all of them (Roth et al. 2022, arXiv:2106.08265).

    A patch is the mean of the features of a place and its eight neighbours. It differs from the paper in these things:
    at the edge the mean is of the neighbours that there are, where zeros take part in public implementations; patches
    are thinned at random before the coreset is chosen; and the size of the memory is given in bytes, not as a share.
    The authors' own code leaves the reweighting of equation 7 out; it is done here, as the paper has it.

    Attributes:
        memory: (M,C) patches of normal images, at least 1.
    """

    name: ClassVar[str] = "patchcore"

    memory: Rows

    @classmethod
    def fit(cls, normal: Maps, *, size_bytes: int, seed: int = 0) -> "PatchCore":
        """Choose a memory of normal patches: always the one that is farthest from those chosen so far.

        To end within seconds it keeps 10% of all patches and 10,000 at most, even where more would fit, chooses among
        60,000 drawn at random, and compares projections onto 32 random directions where there are more channels. The
        authors project too, onto 128 directions of 1024 channels and more.

        Args:
            normal: (N,C,h,w) float32 of normal images.
            size_bytes: of the memory at most, in float32; one vector is kept even where it does not fit.
            seed: of the thinning, the projection and the first patch; equal seeds choose equal memories.
        """
        random = np.random.default_rng(seed)
        candidates = _candidates(normal, random)
        patches, channels = normal.size // normal.shape[1], normal.shape[1]
        count = max(1, min(size_bytes // (4 * channels), int(patches * LARGEST_SHARE), LARGEST_MEMORY))
        first = int(random.integers(len(candidates)))
        return cls(candidates[_farthest_first(_projected(candidates, random), count, first)])

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the memory."""
        return self.memory.size * 4

    def _judge(self, maps: Maps) -> Judged:
        patches = _patches(maps)
        nearest = self._nearest(patches)
        shape = (len(maps), *maps.shape[2:])
        distances = np.linalg.norm(patches - self.memory[nearest], axis=1).reshape(shape)
        by_image = distances.reshape(len(maps), -1)
        farthest = by_image.argmax(1) + np.arange(len(maps)) * by_image.shape[1]
        return Judged(self._reweighted(patches[farthest], nearest[farthest]), distances)

    @cached_property
    def _affine(self) -> Rows:
        return np.vstack([self.memory.T * np.float32(-2.0), np.square(self.memory).sum(1)])

    def _compared(self, patches: Rows) -> Rows:
        """Return |m|² - 2 p·m, (n,M): squared distances of patches (n,C) from the memory, less |p|² of each."""
        compared: Rows = np.pad(patches, ((0, 0), (0, 1)), constant_values=1.0) @ self._affine
        return compared

    def _nearest(self, patches: Rows) -> Indices:
        blocks = [patches[at : at + _PATCHES_AT_ONCE] for at in range(0, len(patches), _PATCHES_AT_ONCE)]
        return np.concatenate([self._compared(block).argmin(1) for block in blocks])

    def _reweighted(self, farthest: Rows, nearest: Indices) -> Floats:
        """Return the image scores of equation 7 from each image's farthest patch, (N,C), and its nearest vector."""
        others = min(NEIGHBOURS, len(self.memory))
        around = np.argpartition(self._compared(self.memory[nearest]), others - 1, 1)[:, :others]
        distance: Floats = np.linalg.norm(farthest - self.memory[nearest], axis=1).astype(np.float64)
        if others == 1:  # the weight would be 0 whatever the distance
            return distance
        to_others = np.linalg.norm(farthest[:, None] - self.memory[around], axis=2).astype(np.float64)
        # Both parts of the fraction are divided by the largest exponential, which might not be finite.
        largest = to_others.max(1)
        share = np.exp(distance - largest) / np.exp(to_others - largest[:, None]).sum(1)
        weighted: Floats = (1.0 - share) * distance
        return weighted


def _gaussians(features: Maps) -> tuple[Rows, Maps]:
    """Return mean (p,C) and whitening (p,C,C) of places' features (p,N,C), in float64 up to the result."""
    rows = features.astype(np.float64)
    mean = rows.mean(1)
    rows -= mean[:, None]
    covariance = rows.transpose(0, 2, 1) @ rows / (rows.shape[1] - 1) + EPSILON * np.eye(rows.shape[2])
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    return mean.astype(np.float32), whitening.astype(np.float32)


def _smoothed(maps: Maps) -> Maps:
    """Return maps (N,h,w) after a Gaussian of `SMOOTHING_PLACES`, cut off at 4 σ, edges replicated."""
    reach = round(4 * SMOOTHING_PLACES)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING_PLACES) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    padded = np.pad(maps, ((0, 0), (reach, reach), (reach, reach)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view
    smoothed: Maps = windows(windows(padded, len(weights), 1) @ weights, len(weights), 2) @ weights
    return smoothed


def _patches(maps: Maps) -> Rows:
    """Return the mean of each place and the neighbours that it has, (N,C,h,w) to (N*h*w,C)."""
    zeros_around = ((0, 0), (0, 0), (1, 1), (1, 1))
    share_inside = box3(np.pad(np.ones((1, 1, *maps.shape[2:]), np.float32), zeros_around))
    means = box3(np.pad(maps, zeros_around)) / share_inside
    patches: Rows = means.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return patches


def _candidates(normal: Maps, random: np.random.Generator) -> Rows:
    """Return some of all patches, (n,C), averaging no more images at once than memory should hold."""
    places = normal.shape[2] * normal.shape[3]
    total = len(normal) * places
    drawn = np.sort(random.choice(total, min(total, _CANDIDATES), replace=False))
    starts = range(0, len(normal), _IMAGES_AT_ONCE)
    of_blocks = np.split(drawn, np.searchsorted(drawn, [start * places for start in starts[1:]]))
    return np.concatenate(
        [
            _patches(normal[start : start + _IMAGES_AT_ONCE])[inside - start * places]
            for start, inside in zip(starts, of_blocks, strict=True)
        ]
    )


def _projected(rows: Rows, random: np.random.Generator) -> Rows:
    """Return rows (n,C), on random directions where C is large: distances stay nearly (Johnson and Lindenstrauss)."""
    if rows.shape[1] <= _PROJECTED_CHANNELS:
        return rows
    directions = random.standard_normal((rows.shape[1], _PROJECTED_CHANNELS), np.float32)
    return rows @ directions


def _farthest_first(points: Rows, count: int, first: int) -> Indices:
    """Return `count` different rows of points (n,C) by greedy k-center selection, algorithm 1 of PatchCore's paper.

    The paper leaves open what comes first; here it is the row `first`.
    """
    half_squares = np.einsum("nc,nc->n", points, points) * np.float32(0.5)
    # Half of the squared distance orders rows like the distance does, and takes one product with a vector.
    nearest, to_latest = np.full(len(points), np.inf, np.float32), np.empty(len(points), np.float32)
    chosen = np.empty(count, np.intp)
    chosen[0] = first
    for step in range(1, count):
        latest = chosen[step - 1]
        np.subtract(half_squares, np.dot(points, points[latest], out=to_latest), out=to_latest)
        to_latest += half_squares[latest]
        np.minimum(nearest, to_latest, out=nearest)
        nearest[latest] = -np.inf  # rounding may leave a chosen row a little from itself
        chosen[step] = nearest.argmax()
    return chosen
