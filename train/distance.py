"""How far a reconstruction is from what it reconstructs, place by place, and as a heat map of the image's size.

At each place the residual r = x - G(z) is weighed by its covariance over normal images, and its squared length averaged
over channels: about 1 for what is normal there. A mean over 3x3 places follows: features overlap, a defect is seldom
one place. A share of the image's own level may be taken out (`score.relative`). The statistics come from images that
the networks were not fitted on (`ganspect.pca`).
"""

import torch
from torch import Tensor, nn

from ganspect.config import Recipe
from ganspect.pca import Maps
from ganspect.scoring import LEAST_DISTANCE, relative_to_level
from ganspect.train.discriminator import PlaceDiscriminator, Terms
from ganspect.train.representation import apply_to_sides, map_shape, resampling

_BLUR_PLACES = 0.5
"""Deviation of the Gaussian that smooths the heat map, in places of the grid."""


class Distance(nn.Module):
    """Weighs residuals.

    Attributes:
        weights: (P,C,C) float16, P places or 1, W with W Wᵀ the inverse covariance; half precision, since they are as
            large as the generator and no digit beyond the third matters. Without weighing, none.
        discriminator: corrects distances; None where the recipe has none.
    """

    weights: Tensor | None
    discriminator: PlaceDiscriminator | None

    def __init__(self, recipe: Recipe) -> None:
        """Build it with weights that change nothing, for a recipe with `score.weighing`."""
        super().__init__()
        channels, height, width = map_shape(recipe)
        self.relative = recipe.score.relative
        places = {"place": height * width, "pooled": 1, "plain": 0}[recipe.score.weighing or "plain"]
        identity = torch.eye(channels, dtype=torch.float16).repeat(places, 1, 1)
        self.register_buffer("weights", identity if places else None)
        settings = recipe.discriminator
        self.discriminator = None if settings is None else PlaceDiscriminator(channels, settings.width)
        for axis, side in enumerate((height, width)):
            self.register_buffer(f"mean_{axis}", _means_of_three(side), persistent=False)
            enlarged = _enlarging(side, recipe.image.size_hw[axis])
            self.register_buffer(f"enlarging_{axis}", enlarged, persistent=False)

    @torch.no_grad()
    def set(self, weights: Maps | None) -> None:
        """Take weights from `ganspect.pca`; None where the recipe has none."""
        if self.weights is not None and weights is not None:
            self.weights.copy_(torch.from_numpy(weights))

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return the weighed squared distance at each place, (N,h,w) float32, of (N,C,h,w) maps."""
        if self.discriminator is not None:
            return torch.exp(self.discriminator(self.terms(x - reconstruction)))
        distances: Tensor = relative_to_level(self.smoothed(self.squared_length(x, reconstruction)), self.relative)
        return distances

    def terms(self, residual: Tensor) -> Terms:
        """Return what a discriminator is given of residuals, (N,C,h,w)."""
        weighed = self._weigh(residual)
        distance = self.smoothed(_squared(weighed))
        level = torch.log(distance + LEAST_DISTANCE).mean((1, 2), keepdim=True)
        shrunk = torch.exp(-self.relative * level)
        return Terms(
            torch.asinh(weighed * shrunk.sqrt()[:, None]), torch.log(distance * shrunk + LEAST_DISTANCE), level
        )

    def terms_of(self, weighed: Tensor, level: Tensor) -> Terms:
        """Return the same of weighed residuals, (N,C,h,w), out of which the share of the level is taken already."""
        return Terms(torch.asinh(weighed), torch.log(self.smoothed(_squared(weighed)) + LEAST_DISTANCE), level)

    def squared_length(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return the weighed squared length of the residual at each place alone, (N,h,w) float32, of (N,C,h,w) maps."""
        return _squared(self._weigh(x - reconstruction))

    def smoothed(self, squared_length: Tensor) -> Tensor:
        """Return means over 3x3 places of (N,h,w), at the edge over those that there are."""
        return apply_to_sides(squared_length, self.get_buffer("mean_0"), self.get_buffer("mean_1"))

    def _weigh(self, residual: Tensor) -> Tensor:
        if self.weights is None:
            return residual
        places = residual.flatten(2).permute(2, 0, 1) @ self.weights.float()
        return places.permute(1, 2, 0).reshape(residual.shape)

    def heat_map(self, distances: Tensor) -> Tensor:
        """Return the root of distances (N,h,w) at the image's size, (N,H,W), in deviations of normal images."""
        return apply_to_sides(distances.sqrt(), self.get_buffer("enlarging_0"), self.get_buffer("enlarging_1"))


def _squared(weighed: Tensor) -> Tensor:
    """Return the squared length at each place, averaged over channels, (N,h,w)."""
    return weighed.square().mean(1)


def _means_of_three(side: int) -> Tensor:
    near = (torch.arange(side)[:, None] - torch.arange(side)[None]).abs() <= 1
    return near / near.sum(1, keepdim=True)


def _enlarging(side: int, pixels: int) -> Tensor:
    """Return the matrix (pixels, side) of a linear enlargement followed by a Gaussian, its rows adding up to 1."""
    away = torch.arange(pixels)[:, None] - torch.arange(pixels)[None]
    blur = torch.exp(-0.5 * (away / (_BLUR_PLACES * max(pixels / side, 1e-6))) ** 2)
    return (blur / blur.sum(1, keepdim=True)) @ resampling(side, pixels)
