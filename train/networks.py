"""The networks: a DCGAN generator, the discriminator's features and head, and an encoder that mirrors it.

In feature space they see maps in place of images: x is (C,h,w) in every formula. With a map of latents all of them are
convolutional from end to end, so that each place of the latent knows only what is near it.

Every layer stands in an `nn.Sequential` with its batch norm right behind it, so that export folds it. Sizes
from 28 pixels up, not only squares: the sides are halved together until the shorter one is between 4 and 7 pixels.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from ganspect.config import Recipe
from ganspect.train.latents import LatentLayout
from ganspect.train.linear_path import LinearPath
from ganspect.train.pca_path import PcaDecoder, PcaEncoder, PcaPath
from ganspect.train.representation import map_shape

_LEAST_LEVELS = 2
_MOST_WIDENING = 8


@dataclass(frozen=True)
class Pyramid:
    """How an image is halved level by level, and how many channels each level has.

    Attributes:
        size_hw: height and width of the image in pixels.
        channels: number of the image's channels.
        width: channels of level 0, which is half the image's size.
        latent_stride: side of the block of x that a place of a map of latents stands for; None: latents are vectors.
    """

    size_hw: tuple[int, int]
    channels: int
    width: int
    latent_stride: int | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> "Pyramid":
        """Return the pyramid of what a recipe's networks see: the image, or in feature space the map."""
        channels, height, width = map_shape(recipe)
        network = recipe.network
        return cls((height, width), channels, network.width, network.latent_stride if network.latent == "map" else None)

    @property
    def levels(self) -> int:
        """Number of halvings: down to a map of latents, or else floor(log2(shorter side / 4)), at least two."""
        if self.latent_stride is not None:
            return self.latent_stride.bit_length() - 1
        return max(_LEAST_LEVELS, (min(self.size_hw) // 4).bit_length() - 1)

    @property
    def base_hw(self) -> tuple[int, int]:
        """Size that the generator starts from; doubled `levels` times it covers the image."""
        height, width = self.size_hw
        return -(-height >> self.levels), -(-width >> self.levels)

    @property
    def top_hw(self) -> tuple[int, int]:
        """Size that stride-2 convolutions leave of the image: an odd row or column is dropped."""
        height, width = self.size_hw
        return height >> self.levels, width >> self.levels

    @property
    def flat_top(self) -> int:
        """Number of activations that the last convolution leaves."""
        return self.widths[-1] * math.prod(self.top_hw)

    @property
    def widths(self) -> list[int]:
        """Channels of each level, nearest to the image first; doubling stops at 8 times `width`."""
        return [self.width * min(2**level, _MOST_WIDENING) for level in range(self.levels)]


class Generator(nn.Module):
    """G(z): stride-2 transposed 4x4 convolutions with batch norm (Radford et al. 2016), tanh, cropped to size.

    With a linear path: the same without batch norm and tanh, added to W z + b.
    """

    linear: nn.Module | None

    def __init__(
        self, pyramid: Pyramid, latent: LatentLayout, *, linear_path: bool = False, pca: PcaPath | None = None
    ) -> None:
        """Build it with PyTorch's initial weights.

        Args:
            pyramid: sizes and widths.
            latent: what it starts from; a map needs a pyramid with its stride.
            linear_path: add one; see `ganspect.train.linear_path`.
            pca: fixed one that is added instead; see `ganspect.train.pca_path`.
        """
        super().__init__()
        plain = linear_path or pca is not None
        self.layers = nn.Sequential(*_ascent(pyramid, latent, plain=plain))
        self.crop = _crop(pyramid)
        self.image_chw = (pyramid.channels, *pyramid.size_hw)
        if pca is not None:
            self.linear = PcaDecoder(pca)
        else:
            self.linear = LinearPath(latent.size, math.prod(self.image_chw)) if linear_path else None

    def forward(self, latent: Tensor) -> Tensor:
        """Turn (N,D) latents into (N,C,H,W) images in [-1, 1]; with a linear path a few pixels may lie beyond."""
        image: Tensor = self.layers(latent)
        if any(self.crop):
            image = functional.pad(image, self.crop)
        if self.linear is None:
            return image
        linear: Tensor = self.linear(latent)
        return linear.reshape(-1, *self.image_chw) + image.float()


class Features(nn.Module):
    """f(x): the discriminator's first convolutions, or all of them, up to their last activations."""

    def __init__(self, pyramid: Pyramid, levels: int | None, *, batch_norm: bool) -> None:
        """Build it with PyTorch's initial weights.

        Args:
            pyramid: sizes and widths.
            levels: halvings; None or more than there are: all.
            batch_norm: after every convolution but the first; a critic with gradient penalty must have none.
        """
        super().__init__()
        self.layers = nn.Sequential(*descent(pyramid, batch_norm=batch_norm, last=levels))

    def forward(self, image: Tensor) -> Tensor:
        """Turn (N,C,H,W) images in [-1, 1] into (N,F,h,w) activations."""
        features: Tensor = self.layers(image)
        return features


class Head(nn.Module):
    """The rest of the discriminator: activations f(x) to one logit."""

    def __init__(self, pyramid: Pyramid, levels: int | None, *, batch_norm: bool) -> None:
        """Build it with PyTorch's initial weights; see `Features` for the arguments."""
        super().__init__()
        rest = [] if levels is None else descent(pyramid, batch_norm=batch_norm, first=levels)
        if pyramid.latent_stride is None:
            last: list[nn.Module] = [nn.Flatten(), nn.Linear(pyramid.flat_top, 1)]
        else:
            last = [nn.Conv2d(pyramid.widths[-1], 1, 1), nn.Flatten()]
        self.layers = nn.Sequential(*rest, *last)

    def forward(self, features: Tensor) -> Tensor:
        """Turn (N,F,h,w) activations into (N,) logits, higher for real images; with maps of latents, their mean."""
        logits: Tensor = self.layers(features)
        return logits.mean(1)


class Encoder(nn.Module):
    """E(x): the discriminator's shape with batch norm, ending in a linear layer to the latent (f-AnoGAN, fig. 2).

    To a map of latents it ends in a convolution. With a linear path: the same without batch norm, added to W x + b.
    """

    linear: nn.Module | None

    def __init__(
        self, pyramid: Pyramid, latent: LatentLayout, *, linear_path: bool = False, pca: PcaPath | None = None
    ) -> None:
        """Build it with PyTorch's initial weights; see `Generator` for the arguments."""
        super().__init__()
        convolutions = descent(pyramid, batch_norm=not (linear_path or pca is not None))
        if pyramid.latent_stride is None:
            last: list[nn.Module] = [nn.Flatten(), nn.Linear(pyramid.flat_top, latent.size)]
        else:
            last = [nn.Conv2d(pyramid.widths[-1], latent.channels, 3, 1, 1), nn.Flatten()]
        self.layers = nn.Sequential(*enlargement(pyramid), *convolutions, *last)
        if pca is not None:
            self.linear = PcaEncoder(pca)
        else:
            pixels = pyramid.channels * math.prod(pyramid.size_hw)
            self.linear = LinearPath(pixels, latent.size) if linear_path else None

    def forward(self, image: Tensor) -> Tensor:
        """Turn (N,C,H,W) images in [-1, 1] into (N,D) latents, unbounded."""
        latent: Tensor = self.layers(image)
        if self.linear is None:
            return latent
        linear: Tensor = self.linear(image if isinstance(self.linear, PcaEncoder) else image.flatten(1))
        return linear + latent.float()


def initialise_as_dcgan(network: nn.Module) -> None:
    """Draw weights from N(0, 0.02) and batch-norm scales from N(1, 0.02) (Radford et al. 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)


def _ascent(pyramid: Pyramid, latent: LatentLayout, *, plain: bool) -> list[nn.Module]:
    height, width = pyramid.base_hw
    inner = list(reversed(pyramid.widths))
    if pyramid.latent_stride is None:
        flat = inner[0] * height * width
        layers: list[nn.Module] = [nn.Linear(latent.size, flat, bias=plain)]
        layers += [] if plain else [nn.BatchNorm1d(flat)]
        layers += [nn.ReLU(), nn.Unflatten(1, (inner[0], height, width))]
    else:
        layers = [nn.Unflatten(1, (latent.channels, height, width))]
        layers.append(nn.Conv2d(latent.channels, inner[0], 3, 1, 1, bias=plain))
        layers += [] if plain else [nn.BatchNorm2d(inner[0])]
        layers.append(nn.ReLU())
    for before, after in pairwise(inner):
        layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=plain))
        layers += [nn.ReLU()] if plain else [nn.BatchNorm2d(after), nn.ReLU()]
    layers.append(nn.ConvTranspose2d(inner[-1], pyramid.channels, 4, 2, 1))
    return layers if plain else [*layers, nn.Tanh()]


def descent(pyramid: Pyramid, *, batch_norm: bool, first: int = 0, last: int | None = None) -> list[nn.Module]:
    """Return DCGAN's stride-2 4x4 convolutions with LeakyReLU: the levels from `first` up to `last`, without it."""
    channels = [pyramid.channels, *pyramid.widths]
    layers: list[nn.Module] = []
    for level, (before, after) in list(enumerate(pairwise(channels)))[first:last]:
        normed = batch_norm and level > 0
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=not normed))
        layers += [nn.BatchNorm2d(after)] if normed else []
        layers.append(nn.LeakyReLU(0.2))
    return layers


def enlargement(pyramid: Pyramid) -> list[nn.Module]:
    """Return what lets an image end where the last place of a map of latents does: zeros to its right and below it."""
    rows, columns = _beyond(pyramid)
    return [nn.ZeroPad2d((0, columns, 0, rows))] if pyramid.latent_stride is not None and rows + columns else []


def _beyond(pyramid: Pyramid) -> tuple[int, int]:
    """Return by how many rows and columns the generator's convolutions exceed the image."""
    height, width = (base << pyramid.levels for base in pyramid.base_hw)
    return height - pyramid.size_hw[0], width - pyramid.size_hw[1]


def _crop(pyramid: Pyramid) -> tuple[int, int, int, int]:
    """Return what `functional.pad` takes off (left, right, top, bottom), as negative numbers."""
    rows, columns = _beyond(pyramid)
    if pyramid.latent_stride is not None:
        return 0, -columns, 0, -rows
    return -(columns // 2), -(columns - columns // 2), -(rows // 2), -(rows - rows // 2)
