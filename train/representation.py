"""What the networks see in place of pixels: a backbone's activations on one grid, whitened.

    image (N,C,H,W) --backbone--> a map for each layer --one grid--> channels of all layers --whitening--> x (N,K,h,w)

Distances between raw activations mean little: some channels are a hundred times as large as others, and many say the
same. The whitening is the PCA of all channels over the places of normal training images, each component divided by its
deviation. Layers are brought to the grid after their share of the whitening, which is the same, since both are linear.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ganspect.config import Recipe
from ganspect.errors import ConfigError, one_line
from ganspect.train.backbones.backbone import Backbone
from ganspect.train.backbones.catalogue import find_backbone

LEAST_GRID = 4
"""Places that a side of the grid has at least."""


class Representation(nn.Module):
    """φ: images to whitened feature maps; frozen.

    Attributes:
        grid_hw: places of the map.
        channels: K, of the map.
        raw_channels: number of channels of all layers together, before whitening.
    """

    def __init__(self, recipe: Recipe) -> None:
        """Build it with arbitrary weights, for a recipe with a `backbone`.

        Raises:
            ConfigError: unknown backbone or layer, or an image that is too small for the stride or the backbone.
            MissingDependencyError: the package of the backbone is not installed.
        """
        super().__init__()
        settings = recipe.backbone
        if settings is None:
            raise ValueError("the recipe names no backbone")
        self.backbone = find_backbone(settings.name)(settings.layers, recipe.image.channels)
        self.grid_hw, self.channels = grid_of(recipe), settings.channels
        self.raw_channels = sum(self.backbone.widths)
        if settings.channels > self.raw_channels:
            raise ConfigError(
                f"backbone.channels is {settings.channels}, but layers {list(self.backbone.layers)} of {settings.name} "
                f"have {self.raw_channels} together; lower it"
            )
        self.projections = nn.ModuleList(
            nn.Conv2d(width, self.channels, 1, bias=False) for width in self.backbone.widths
        )
        self.register_buffer("shift", torch.zeros(self.channels))
        self._add_resampling(recipe)
        self.eval().requires_grad_(False)

    shift: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Return x, (N,K,h,w) float32, of (N,C,H,W) images in [-1, 1]; always in float32."""
        with torch.autocast(image.device.type, enabled=False):
            maps = self.backbone(image.float())
            projected = [project(values) for project, values in zip(self.projections, maps, strict=True)]
            x: Tensor = self._on_grid(projected) + self.shift[:, None, None]
            return x

    def raw(self, image: Tensor) -> Tensor:
        """Return the channels of all layers on the grid, before whitening, (N,raw_channels,h,w)."""
        maps = self.backbone(image)
        return torch.cat([self._resample(values, index) for index, values in enumerate(maps)], 1)

    @torch.no_grad()
    def whiten(self, mean: Tensor, covariance: Tensor) -> None:
        """Set the whitening.

        Args:
            mean: (raw_channels,) of the raw channels over images and places.
            covariance: (raw_channels, raw_channels) covariance of the same channels.
        """
        variances, axes = torch.linalg.eigh(covariance.double())
        variances, axes = variances.flip(0)[: self.channels], axes.flip(1)[:, : self.channels]
        # Components that normal images have nothing of would blow up rounding errors.
        scale = variances.clamp(min=1e-6 * float(variances[0])).clamp(min=1e-12).rsqrt()
        weights = (axes * scale).T
        self.shift.copy_((-(weights @ mean.double())).float())
        widths = list(self.backbone.widths)
        for project, part in zip(self.projections, torch.split(weights.float(), widths, 1), strict=True):
            project.load_state_dict({"weight": part[:, :, None, None]})

    def _add_resampling(self, recipe: Recipe) -> None:
        maps = _maps_of(self.backbone, recipe)
        self._resampled = [tuple(values.shape[2:]) != self.grid_hw for values in maps]
        for index, values in enumerate(maps):
            for axis, side in enumerate(values.shape[2:]):
                matrix = resampling(int(side), self.grid_hw[axis])
                self.register_buffer(f"resampling_{index}_{axis}", matrix, persistent=False)

    def _on_grid(self, maps: Iterable[Tensor]) -> Tensor:
        total, *others = (self._resample(values, index) for index, values in enumerate(maps))
        for values in others:
            total = total + values
        return total

    def _resample(self, values: Tensor, index: int) -> Tensor:
        if not self._resampled[index]:
            return values
        rows, columns = (self.get_buffer(f"resampling_{index}_{axis}") for axis in (0, 1))
        return apply_to_sides(values, rows, columns)


@torch.no_grad()
def _maps_of(backbone: Backbone, recipe: Recipe) -> tuple[Tensor, ...]:
    """Return the maps of an image of the recipe's size."""
    height, width = recipe.image.size_hw
    try:
        maps: tuple[Tensor, ...] = backbone(torch.zeros(1, recipe.image.channels, height, width))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"{backbone.name} cannot take images of {height}x{width} pixels ({one_line(error, 120)}); choose another "
            "image.size_hw, lower backbone.layers, or another backbone"
        ) from error
    return maps


def grid_of(recipe: Recipe) -> tuple[int, int]:
    """Return the places of a feature map, for a recipe with a `backbone`.

    Raises:
        ConfigError: the image is too small for so large a stride.
    """
    if recipe.backbone is None:
        raise ValueError("the recipe names no backbone")
    stride = recipe.backbone.stride
    height, width = (-(-side // stride) for side in recipe.image.size_hw)
    if min(height, width) < LEAST_GRID:
        raise ConfigError(
            f"image.size_hw is {list(recipe.image.size_hw)}, which leaves {height}x{width} places at backbone.stride "
            f"{stride}; at least {LEAST_GRID}x{LEAST_GRID} are needed: enlarge the image or lower the stride"
        )
    return height, width


def map_shape(recipe: Recipe) -> tuple[int, int, int]:
    """Return the shape of x for one image, (C,H,W): of a feature map, or of the image itself."""
    if recipe.backbone is None:
        return recipe.image.channels, *recipe.image.size_hw
    return recipe.backbone.channels, *grid_of(recipe)


def resampling(source: int, target: int) -> Tensor:
    """Return the matrix (target, source) that brings `source` samples to `target`: means to shrink, linear to enlarge.

    Samples stand for intervals of equal length; rows add up to 1.
    """
    matrix = torch.zeros(target, source)
    for row in range(target):
        if target < source:
            first, last = row * source / target, (row + 1) * source / target
            for column in range(math.floor(first), math.ceil(last)):
                matrix[row, column] = min(column + 1, last) - max(column, first)
        else:
            centre = min(max((row + 0.5) * source / target - 0.5, 0.0), source - 1.0)
            left = min(math.floor(centre), source - 1)
            matrix[row, left] += 1 - (centre - left)
            matrix[row, min(left + 1, source - 1)] += centre - left
    return matrix / matrix.sum(1, keepdim=True)


def apply_to_sides(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return maps (...,h,w) with both sides resampled, (...,H,W), by matrices (H,h) and (W,w)."""
    return rows @ (maps @ columns.T)
