"""PCAs of many values from few images, and what their residuals look like on images they were not fitted on.

A residual weighed by its covariance tells a defect from what merely varies. But a covariance taken from the very images
that a PCA was fitted on is too small: the PCA has learnt part of their noise. So images are put in folds, and each
fold's residuals come from a PCA of the others.

    gram = Gram(maps, groups)
    pca = gram.pca(64)
    for fold in gram.folds(64):
        residuals = fold.residuals(fold.left_out, size=64)

Here a PCA is of whole maps; `ganspect.block_pca` has that of their blocks. Everything goes through the matrix of inner
products between images: a feature map has 50,000 values, a data set some hundred images. NumPy only, since training and
evaluation both need it and one of them has no PyTorch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from ganspect.records import Weighing

Rows: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Doubles: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Maps: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

LEAST_DEVIATION = 1e-4
"""Components whose deviation is a smaller share of the first one's are dropped: they are noise of the arithmetic."""

FOLDS = 5
"""Parts that images are put in to have residuals of images that a PCA was not fitted on."""

_COLUMNS_AT_ONCE = 8192
_PLACES_AT_ONCE = 64
_LEAST_VARIANCE = 1e-6
"""Of images without any contrast, say black ones: weights stay small enough for half precision."""


@dataclass(frozen=True)
class Pca:
    """A principal component analysis.

    Attributes:
        mean: (F,) float32.
        components: (K,F) float32, orthonormal rows, the largest first.
        deviations: (K,) float32, standard deviation of the rows along each.
    """

    mean: Rows
    components: Rows
    deviations: Rows

    def residuals(self, rows: Rows, size: int) -> Rows:
        """Return what the mean and the first `size` components leave of rows, (n,F) float32."""
        components, centred = self.components[:size], rows - self.mean
        centred -= centred @ components.T @ components
        return centred


class Others(NamedTuple):
    """Maps beside those that PCAs are fitted to.

    Attributes:
        rows: (m,F) float32, or (m,C,h,w) where PCAs are of blocks.
        products: (m,n) their inner products with the rows that PCAs are fitted to; None where nothing needs them.
    """

    rows: Rows
    products: Doubles | None = None


class FoldOfPcas(Protocol):
    """A part of the images, and PCAs of the others."""

    @property
    def left_out(self) -> Integers:
        """Return the indices of the part's rows, (m,)."""

    def residuals(self, index: Integers, size: int) -> Maps:
        """Return what a PCA of the other images leaves of some of the rows, (m,...) float32 of their shape.

        Args:
            index: (m,) indices of the rows.
            size: number of components; 0: only the mean is taken away.
        """

    def residuals_of(self, others: Others, index: Integers, size: int) -> Maps:
        """Return what it leaves of some of other maps, (m,...); see `residuals`."""


class Pcas(Protocol):
    """PCAs of all images or of all but a fold, of whatever kind."""

    @property
    def variance(self) -> float:
        """Return the variance of all values."""

    def pca(self, most: int) -> Pca:
        """Return the PCA of all images, with at most `most` components."""

    def folds(self, most: int) -> Iterator[FoldOfPcas]:
        """Yield the folds, their PCAs with at most `most` components."""

    def others(self, maps: Maps) -> Others:
        """Return other maps, (m,...) float32, with what folds need to judge them."""


class Gram:
    """Inner products between rows, from which PCAs of all or some of the rows follow.

    Attributes:
        rows: (n,F) float32.
        shape: shape of what a row holds, (F,) or (C,h,w).
        groups: (n,) which image each row shows; rows of one image (it and its mirror images, say) stay in one fold.
        products: (n,n) float64.
        variance: the variance of all values of all rows.
    """

    def __init__(self, maps: Maps, groups: Integers | None = None) -> None:
        """Compute the products, in double precision.

        Args:
            maps: (n,F) or (n,C,h,w) float32, n at least 1.
            groups: (n,) int64; None: each row is an image of its own.
        """
        rows = maps.reshape(len(maps), -1)
        self.rows, self.shape = rows, maps.shape[1:]
        self.groups = np.arange(len(rows)) if groups is None else groups
        # About the mean of all, so that no digits are lost to an offset that the rows share.
        self._offset = rows.mean(0, dtype=np.float64).astype(np.float32)
        self.products = self._between(rows, rows)
        self.variance = float(rows.var(dtype=np.float64))

    def pca(self, most: int) -> Pca:
        """Return the PCA of all rows, with `most` components or as many dimensions as the rows span."""
        basis = _Basis(self, np.arange(len(self.rows)), most)
        mean = self.rows.mean(0, dtype=np.float64).astype(np.float32)
        return Pca(mean, basis.components(), basis.deviations.astype(np.float32))

    def folds(self, most: int) -> Iterator["Fold"]:
        """Yield the folds (see `dealt_out`), their PCAs with at most `most` components."""
        for left_out in dealt_out(self.groups):
            yield Fold(self, left_out, most)

    def others(self, maps: Maps) -> Others:
        """Return other rows or maps, as those here, with what folds need to judge them."""
        rows = maps.reshape(len(maps), -1)
        return Others(rows, self._between(rows, self.rows))

    def _between(self, left: Rows, right: Rows) -> Doubles:
        products = np.zeros((len(left), len(right)))
        for first in range(0, left.shape[1], _COLUMNS_AT_ONCE):
            part = np.s_[first : first + _COLUMNS_AT_ONCE]
            a = (left[:, part] - self._offset[part]).astype(np.float64)
            b = a if right is left else (right[:, part] - self._offset[part]).astype(np.float64)
            products += a @ b.T
        return products


class _Basis:
    """The PCA of some rows as combinations of them.

    Attributes:
        chosen: (m,) indices of the rows.
        vectors: (m,K) unit vectors over them.
        deviations: (K,) along each component.
    """

    def __init__(self, gram: Gram, chosen: Integers, most: int) -> None:
        self._gram, self.chosen = gram, chosen
        inner = gram.products[np.ix_(chosen, chosen)]
        self._means, self._mean = inner.mean(0), inner.mean()
        centred = inner - self._means - self._means[:, None] + self._mean
        self.vectors, self.deviations = leading(centred / len(chosen), most)

    def components(self) -> Rows:
        weights = _centred(self.vectors / (self.deviations * np.sqrt(len(self.chosen))), axis=0)
        return np.asarray(weights.T.astype(np.float32) @ self._gram.rows[self.chosen], np.float32)

    def residuals(self, rows: Rows, products: Doubles, size: int) -> Rows:
        products = products[:, self.chosen]
        centred = products - products.mean(1, keepdims=True) - self._means + self._mean
        vectors, deviations = self.vectors[:, :size], self.deviations[:size]
        weights = centred @ vectors / (deviations**2 * len(self.chosen)) @ vectors.T
        # The mean is a combination of the rows as well.
        weights = _centred(weights, axis=1) + 1 / len(self.chosen)
        return np.asarray(rows - weights.astype(np.float32) @ self._gram.rows[self.chosen], np.float32)


class Fold:
    """A part of the images, and PCAs of the others.

    Attributes:
        left_out: (m,) indices of the part's rows.
    """

    def __init__(self, gram: Gram, left_out: Integers, most: int) -> None:
        """Find the PCA; `Gram.folds` makes them."""
        self._gram, self.left_out = gram, left_out
        others = np.setdiff1d(np.arange(len(gram.rows)), left_out)
        # With a single image there are no others.
        self._basis = _Basis(gram, others if len(others) else left_out, most)

    def residuals(self, index: Integers, size: int) -> Maps:
        """Return what a PCA of the other images leaves of some of the gram's rows; see `FoldOfPcas`."""
        return self.residuals_of(Others(self._gram.rows, self._gram.products), index, size)

    def residuals_of(self, others: Others, index: Integers, size: int) -> Maps:
        """Return what it leaves of some of the rows from `Gram.others`; see `FoldOfPcas`."""
        if others.products is None:
            raise ValueError("the inner products with the gram's rows are missing; take others from Gram.others")
        residuals = self._basis.residuals(others.rows[index], others.products[index], size)
        return residuals.reshape(-1, *self._gram.shape)


def dealt_out(groups: Integers) -> Iterator[Integers]:
    """Yield the rows of each fold: `FOLDS` of them, or as many as there are images, dealt out in the groups' order."""
    images, order = np.unique(groups, return_inverse=True)
    count = min(FOLDS, len(images))
    for index in range(count):
        yield np.flatnonzero(order % count == index)


def leading(covariance: Doubles, most: int) -> tuple[Doubles, Doubles]:
    """Return the axes (F,K) along which a covariance (F,F) is largest, and the deviation along each, (K,).

    Args:
        covariance: symmetric.
        most: K at most; axes of `LEAST_DEVIATION` or less are left out.
    """
    variances, axes = np.linalg.eigh(covariance)
    deviations = np.sqrt(np.maximum(variances[::-1], 0))
    kept = deviations[:most] > LEAST_DEVIATION * max(float(deviations[0]), 1e-12)
    return axes[:, ::-1][:, :most][:, kept], deviations[:most][kept]


def _centred(values: Doubles, axis: int) -> Doubles:
    return np.asarray(values - values.mean(axis, keepdims=True), np.float64)


class Scatter:
    """Second moments of residuals at each place, added up over images; of two, the sum and the difference can be taken.

    Attributes:
        products: (P,C,C) float64, sum over images of r rᵀ.
        count: number of images.
    """

    def __init__(self, products: Doubles, count: int) -> None:
        """Take the sums; `Scatter.of` makes them."""
        self.products, self.count = products, count

    @classmethod
    def sum(cls, parts: Iterable["Scatter"]) -> "Scatter":
        """Return the moments of all the parts' images; at least one part."""
        first, *others = parts
        for other in others:
            first = first + other
        return first

    @classmethod
    def of(cls, residuals: Maps) -> "Scatter":
        """Return the moments of (N,C,h,w) residuals."""
        images, channels = residuals.shape[:2]
        places = residuals.reshape(images, channels, -1).transpose(2, 0, 1)
        products = np.empty((len(places), channels, channels))
        for first in range(0, len(places), _PLACES_AT_ONCE):
            part = np.ascontiguousarray(places[first : first + _PLACES_AT_ONCE])
            products[first : first + _PLACES_AT_ONCE] = part.transpose(0, 2, 1) @ part
        return cls(products, images)

    def __add__(self, other: "Scatter") -> "Scatter":
        """Return the moments of both sets of images."""
        return Scatter(self.products + other.products, self.count + other.count)

    def __sub__(self, other: "Scatter") -> "Scatter":
        """Return the moments without those of a part of the images."""
        return Scatter(self.products - other.products, self.count - other.count)


FLOOR = 0.01
"""Variance added in every direction, as a share of the variance of all values.

It is PaDiM's ε, since whitened features have about unit variance. Drawn defects preferred it to shrinking towards a
common covariance (Ledoit and Wolf): directions in which normal images hardly vary tell most, and a common covariance
blurs them.
"""


def weights_of(scatter: Scatter, weighing: Weighing, variance: float) -> Maps | None:
    """Return W with W Wᵀ the inverse covariance of residuals, (P,C,C) float32; None for plain residuals.

    Args:
        scatter: moments of residuals of normal images that nothing was fitted on.
        weighing: `place` for a covariance of each place, `pooled` for one over all.
        variance: variance of all values, not of the residuals; the floor is a share of it.
    """
    if weighing == "plain":
        return None
    covariances = scatter.products / scatter.count
    if weighing == "pooled":
        covariances = covariances.mean(0, keepdims=True)
    return whitener(covariances + FLOOR * max(variance, _LEAST_VARIANCE) * np.eye(covariances.shape[1]))


def cross_fitted_weights(pcas: Pcas, size: int, weighing: Weighing) -> Maps | None:
    """Return the weights of what PCAs leave of images that they were not fitted on; see `weights_of`.

    Args:
        pcas: PCAs of normal images.
        size: number of components of the PCAs.
        weighing: how residuals are weighed (`weights_of`).
    """
    if weighing == "plain":
        return None
    scatter = Scatter.sum(Scatter.of(fold.residuals(fold.left_out, size)) for fold in pcas.folds(size))
    return weights_of(scatter, weighing, pcas.variance)


def whitener(covariances: Doubles) -> Maps:
    """Return W with W Wᵀ = covariance⁻¹, (P,C,C) float32, so that |rᵀ W|² is the squared Mahalanobis distance of r."""
    lower = np.linalg.cholesky(covariances)
    return np.asarray(np.linalg.inv(lower).transpose(0, 2, 1), np.float32)


def squared_lengths(residuals: Maps, weights: Maps | None) -> Maps:
    """Return the squared length of the residual at each place, averaged over channels, (N,h,w).

    Args:
        residuals: (N,C,h,w) float32.
        weights: (P,C,C) from `whitener`, P = h·w or 1; None: the plain length.
    """
    images, channels, height, width = residuals.shape
    if weights is None:
        return np.asarray(np.square(residuals).mean(1), np.float32)
    places = np.ascontiguousarray(residuals.reshape(images, channels, -1).transpose(2, 0, 1))
    squared = np.square(places @ weights).mean(2)
    return np.asarray(squared.T.reshape(images, height, width), np.float32)


def means_of_three(maps: Maps) -> Maps:
    """Return (N,h,w) maps averaged over 3x3 places, at the edge over those that there are."""
    for axis in (1, 2):
        padded = np.pad(maps, [(1, 1) if one == axis else (0, 0) for one in range(3)])
        counts = np.pad(np.ones(maps.shape[axis], np.float32), 1)
        three = sum(np.take(padded, range(at, at + maps.shape[axis]), axis) for at in range(3))
        weights = counts[:-2] + counts[1:-1] + counts[2:]
        maps = np.asarray(three / (weights[:, None] if axis == 1 else weights), np.float32)
    return maps
