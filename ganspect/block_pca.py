"""PCAs of the blocks of maps, the same at every place: what a map of latents starts from.

Blocks of S x S places do not overlap. All of them, wherever they lie, give one mean and one covariance; what the PCA
leaves of a map is put together from what it leaves of the blocks. The interface is that of `ganspect.pca.Gram`, whose
PCA is of whole maps.

    pcas = BlockPcas(maps, groups, stride=4)
    pca = pcas.pca(64)  # components of C*4*4 values
"""

from collections.abc import Iterator, Sequence

import numpy as np

from ganspect.errors import ConfigError
from ganspect.pca import Doubles, Gram, Integers, Maps, Others, Pca, Pcas, dealt_out, leading
from ganspect.scoring.arrays import Array, namespace

LARGEST_BLOCK = 4096
"""Values of a block at most: the covariance has as many rows and columns."""

_IMAGES_AT_ONCE = 64


def pcas_of(maps: Maps, groups: Integers, stride: int | None) -> Pcas:
    """Return PCAs of maps: of whole ones, or where there is a stride of their blocks.

    Args:
        maps: (n,C,h,w) float32.
        groups: (n,) the image that each map shows.
        stride: side of a block in places; None: whole maps.
    """
    return Gram(maps, groups) if stride is None else BlockPcas(maps, groups, stride)


def require_small_blocks(channels: int, stride: int) -> None:
    """Raise a ConfigError where blocks would have more than `LARGEST_BLOCK` values."""
    if (values := channels * stride**2) > LARGEST_BLOCK:
        raise ConfigError(
            f"a map of latents that starts at a PCA needs blocks of at most {LARGEST_BLOCK} values; "
            f"{channels} channels and network.latent_stride {stride} make {values}: lower one of them"
        )


class BlockPcas:
    """PCAs of the blocks of all or some of the maps.

    Attributes:
        maps: (n,C,h,w) float32.
        groups: (n,) which image each map shows; those of one image stay in one fold.
        stride: side of a block in places.
        variance: the variance of all values.
    """

    def __init__(self, maps: Maps, groups: Integers, stride: int) -> None:
        """Add up the moments of the blocks of each fold.

        Args:
            maps: (n,C,h,w) float32, n at least 1.
            groups: (n,) int64.
            stride: S.

        Raises:
            ConfigError: a block has more than `LARGEST_BLOCK` values.
        """
        require_small_blocks(maps.shape[1], stride)
        self.maps, self.groups, self.stride = maps, groups, stride
        self.variance = float(maps.var(dtype=np.float64))
        self._left_out = list(dealt_out(groups))
        self._parts = [_Moments.of(maps[index], stride) for index in self._left_out]

    def pca(self, most: int) -> Pca:
        """Return the PCA of all blocks; see `ganspect.pca.Gram.pca`."""
        return _Moments.sum(self._parts).pca(most)

    def folds(self, most: int) -> Iterator["BlockFold"]:
        """Yield the folds; see `ganspect.pca.Gram.folds`."""
        for index, left_out in enumerate(self._left_out):
            others = [part for number, part in enumerate(self._parts) if number != index] or self._parts
            yield BlockFold(self, left_out, _Moments.sum(others).pca(most))

    def others(self, maps: Maps) -> Others:
        """Return other maps, (m,C,h,w)."""
        return Others(maps)


class BlockFold:
    """A part of the images, and PCAs of the others' blocks; see `ganspect.pca.FoldOfPcas`.

    Attributes:
        left_out: (m,) indices of the part's maps.
    """

    def __init__(self, pcas: BlockPcas, left_out: Integers, pca: Pca) -> None:
        """Take the PCA; `BlockPcas.folds` makes them."""
        self._pcas, self.left_out, self._pca = pcas, left_out, pca

    def residuals(self, index: Integers, size: int) -> Maps:
        """Return what a PCA of the other images' blocks leaves of some of the maps, (m,C,h,w) float32."""
        return self.residuals_of(Others(self._pcas.maps), index, size)

    def residuals_of(self, others: Others, index: Integers, size: int) -> Maps:
        """Return the same of some of other maps, (m,C,h,w) float32."""
        return block_residuals(others.rows[index], self._pca, size, self._pcas.stride)


def block_residuals(maps: Maps, pca: Pca, size: int, stride: int) -> Maps:
    """Return what the first components of a PCA of blocks leave of maps, (m,C,h,w) float32."""
    found = np.empty_like(maps)
    for first in range(0, len(maps), _IMAGES_AT_ONCE):
        part = maps[first : first + _IMAGES_AT_ONCE]
        left = pca.residuals(blocks_of(part, stride), size)
        found[first : first + len(part)] = maps_of(left, part.shape[1:], stride)
    return found


def blocks_of(maps: Array, stride: int) -> Array:
    """Return the blocks of (n,C,h,w) maps as rows, (n*places,C*S*S); beyond its edges, a map goes on as at the edge.

    Arrays or tensors, for training and graphs alike.
    """
    numeric = namespace(maps)
    channels, height, width = maps.shape[1:]
    if below := -height % stride:
        maps = numeric.concatenate([maps, *[maps[:, :, -1:]] * below], 2)
    if right := -width % stride:
        maps = numeric.concatenate([maps, *[maps[:, :, :, -1:]] * right], 3)
    rows, columns = (side // stride for side in maps.shape[2:])
    apart = maps.reshape((-1, channels, rows, stride, columns, stride))
    return numeric.moveaxis(apart, (2, 4), (1, 2)).reshape((-1, channels * stride**2))


def maps_of(blocks: Array, shape: Sequence[int], stride: int) -> Array:
    """Return maps (n,C,h,w) from the rows of `blocks_of`; `shape` is (C,h,w)."""
    channels, height, width = shape
    rows, columns = (-(-side // stride) for side in (height, width))
    apart = namespace(blocks).moveaxis(blocks.reshape((-1, rows, columns, channels, stride, stride)), (1, 2), (2, 4))
    return apart.reshape((-1, channels, rows * stride, columns * stride))[:, :, :height, :width]


class _Moments:
    """Sums over blocks: how many, of the rows, and of their products, in double precision."""

    def __init__(self, count: int, total: Doubles, products: Doubles) -> None:
        self.count, self.total, self.products = count, total, products

    @classmethod
    def of(cls, maps: Maps, stride: int) -> "_Moments":
        values = maps.shape[1] * stride**2
        count, total, products = 0, np.zeros(values), np.zeros((values, values))
        for first in range(0, len(maps), _IMAGES_AT_ONCE):
            rows = blocks_of(maps[first : first + _IMAGES_AT_ONCE], stride)
            count += len(rows)
            total += rows.sum(0, dtype=np.float64)
            products += rows.T @ rows
        return cls(count, total, products)

    @classmethod
    def sum(cls, parts: Sequence["_Moments"]) -> "_Moments":
        return cls(
            sum(part.count for part in parts),
            np.asarray(sum(part.total for part in parts)),
            np.asarray(sum(part.products for part in parts)),
        )

    def pca(self, most: int) -> Pca:
        mean = self.total / self.count
        axes, deviations = leading(self.products / self.count - np.outer(mean, mean), most)
        return Pca(mean.astype(np.float32), np.ascontiguousarray(axes.T, np.float32), deviations.astype(np.float32))
