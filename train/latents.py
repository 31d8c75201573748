"""What a latent is: one vector for all of x, or a map of them, each for a block of places of x.

A vector suits parts that lie alike in every frame: it may tell at each place what belongs there. A map suits textures
and whatever moves: each of its places knows only what is near, wherever that lies. In every graph, in the search and in
files a latent is one row of D numbers; a map of (d,h,w) is such a row by channels, then rows, then columns.
"""

from dataclasses import dataclass
from math import prod

from torch import Tensor

from ganspect.block_pca import blocks_of, maps_of
from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.train.representation import map_shape

LARGEST_SIZE = 100_000
"""Numbers of a latent at most: each bundle stores 64 random starts."""


@dataclass(frozen=True)
class LatentLayout:
    """Which part of a latent belongs to which block of x.

    Attributes:
        channels: length of the latent at each place; of a vector, its whole length.
        grid_hw: places of the latent; (1, 1) for a vector.
        block_chw: shape of the block of x that a place stands for; for a vector, all of x.
        x_hw: height and width of x; the blocks may reach beyond its right and lower edge.
    """

    channels: int
    grid_hw: tuple[int, int]
    block_chw: tuple[int, int, int]
    x_hw: tuple[int, int]

    @classmethod
    def vector(cls, size: int, x_chw: tuple[int, int, int]) -> "LatentLayout":
        """Return the layout of vectors of `size` numbers for x of shape (C,h,w)."""
        return cls(size, (1, 1), x_chw, x_chw[1:])

    @classmethod
    def of(cls, recipe: Recipe) -> "LatentLayout":
        """Return the layout of a recipe's latents.

        Raises:
            ConfigError: x is too small for a map of latents.
        """
        network, (channels, height, width) = recipe.network, map_shape(recipe)
        size = max(1, network.latent_size)  # graphs have no empty inputs
        if network.latent == "vector":
            return cls.vector(size, (channels, height, width))
        stride = network.latent_stride
        if min(height, width) < 2 * stride:
            what = "image" if recipe.backbone is None else "feature map"
            raise ConfigError(
                f"network.latent is map and network.latent_stride {stride}, which needs {what}s of at least "
                f"{2 * stride}x{2 * stride}, not {height}x{width}; lower the stride or enlarge image.size_hw"
            )
        layout = cls(size, (-(-height // stride), -(-width // stride)), (channels, stride, stride), (height, width))
        if layout.size > LARGEST_SIZE:
            raise ConfigError(
                f"network.latent is map with network.latent_size {size} at each of {layout.places} places, which makes "
                f"{layout.size} numbers, more than {LARGEST_SIZE}; lower the size or raise network.latent_stride"
            )
        return layout

    @property
    def is_map(self) -> bool:
        """Return whether there is more than one place."""
        return self.grid_hw != (1, 1)

    @property
    def stride(self) -> int | None:
        """Return the side of a block; None for a vector, whose block is all of x."""
        return self.block_chw[1] if self.is_map else None

    @property
    def size(self) -> int:
        """Return D, the length of a latent's row."""
        return self.channels * self.places

    @property
    def places(self) -> int:
        """Return the number of places."""
        return prod(self.grid_hw)

    @property
    def block_values(self) -> int:
        """Return F, the number of values in a block of x."""
        return prod(self.block_chw)

    def blocks(self, x: Tensor) -> Tensor:
        """Return the blocks of (N,C,h,w) of x as rows, (N·places,F); beyond its edges, x goes on as at the edge."""
        rows: Tensor = x.flatten(1) if self.stride is None else blocks_of(x, self.stride)
        return rows

    def of_blocks(self, blocks: Tensor) -> Tensor:
        """Return (N,C,h,w) of x from its blocks, (N·places,F)."""
        shape = (self.block_chw[0], *self.x_hw)
        x: Tensor = blocks.reshape(-1, *shape) if self.stride is None else maps_of(blocks, shape, self.stride)
        return x

    def at_places(self, latent: Tensor) -> Tensor:
        """Return the latents of places, (N·places,d), of (N,D) latents."""
        if not self.is_map:
            return latent
        return latent.reshape(-1, self.channels, self.places).transpose(1, 2).reshape(-1, self.channels)

    def of_places(self, latents: Tensor) -> Tensor:
        """Return (N,D) latents of those of their places, (N·places,d)."""
        if not self.is_map:
            return latents
        return latents.reshape(-1, self.places, self.channels).transpose(1, 2).reshape(-1, self.size)
