"""EGBAD's networks: a discriminator of pairs (image, latent), and the authors' small networks for MNIST.

Their networks: https://github.com/houssamzenati/Efficient-GAN-Anomaly-Detection, bigan/mnist_utilities.py.
"""

import math

import torch
from torch import Tensor, nn

from ganspect.train.latents import LatentLayout
from ganspect.train.networks import Pyramid, descent, enlargement

JOINT_SIZE = 1024
"""Units of the layer that sees image and latent together; its activations are the features f."""

LATENT_BRANCH_SIZE = 512

JOINT_SIZE_OF_MAPS, LATENT_BRANCH_SIZE_OF_MAPS = 256, 128
"""The same where latents are maps: the layers stand at every place, and see one block of the image each."""

_MNIST_HW = (28, 28)
_MNIST_SLOPE = 0.1


class PairFeatures(nn.Module):
    """f(x, z): convolutions of the image and a layer of the latent, joined in one layer (EGBAD, appendix)."""

    def __init__(self, image: nn.Sequential, latent: nn.Sequential, joint: nn.Sequential, *, dropout: float) -> None:
        """Put the branches together.

        Args:
            image: (N,C,H,W) to (N,F) activations; with maps of latents to (N,F,h,w), h and w their places.
            latent: (N,D) to (N,L) or (N,L,h,w).
            joint: (N,F+L) or (N,F+L,h,w) to the features f.
            dropout: share of the activations of the three branches that training leaves out.
        """
        super().__init__()
        self.image, self.latent, self.joint = image, latent, joint
        self.dropout = nn.Dropout(dropout)

    def forward(self, image: Tensor, latent: Tensor) -> Tensor:
        """Turn (N,C,H,W) images in [-1, 1] and (N,D) latents into (N,J) activations, with maps (N,J,h,w)."""
        branches = [self.dropout(self.image(image)), self.dropout(self.latent(latent))]
        features: Tensor = self.dropout(self.joint(torch.cat(branches, 1)))
        return features


class PairHead(nn.Linear):
    """The last layer of a discriminator of pairs: features to one logit."""

    def __init__(self, *, of_maps: bool = False) -> None:
        """Build it with PyTorch's initial weights, for activations of vectors or of maps of latents."""
        super().__init__(JOINT_SIZE_OF_MAPS if of_maps else JOINT_SIZE, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Turn (N,J) or (N,J,h,w) activations into (N,) logits, higher for (x, E(x)); of places, their mean."""
        if features.ndim > 2:
            features = features.flatten(2).mean(2)
        return super().forward(features)[:, 0]


def pyramid_pairs(pyramid: Pyramid, latent: LatentLayout, *, dropout: float) -> PairFeatures:
    """Return a discriminator of pairs whose image branch is DCGAN's discriminator."""
    if not latent.is_map:
        image = nn.Sequential(*descent(pyramid, batch_norm=True), nn.Flatten())
        return _pairs_of_vectors(image, pyramid.flat_top, latent.size, slope=0.2, dropout=dropout)
    width = LATENT_BRANCH_SIZE_OF_MAPS
    return PairFeatures(
        nn.Sequential(*enlargement(pyramid), *descent(pyramid, batch_norm=True)),
        nn.Sequential(
            nn.Unflatten(1, (latent.channels, *latent.grid_hw)), nn.Conv2d(latent.channels, width, 1), nn.LeakyReLU(0.2)
        ),
        nn.Sequential(nn.Conv2d(pyramid.widths[-1] + width, JOINT_SIZE_OF_MAPS, 1), nn.LeakyReLU(0.2)),
        dropout=dropout,
    )


def _pairs_of_vectors(
    image: nn.Sequential, flat: int, latent_size: int, *, slope: float, dropout: float
) -> PairFeatures:
    """Return a discriminator of pairs from its image branch, (N,C,H,W) to (N,flat)."""
    return PairFeatures(
        image,
        nn.Sequential(nn.Linear(latent_size, LATENT_BRANCH_SIZE), nn.LeakyReLU(slope)),
        nn.Sequential(nn.Linear(flat + LATENT_BRANCH_SIZE, JOINT_SIZE), nn.LeakyReLU(slope)),
        dropout=dropout,
    )


def mnist_pairs(latent_size: int, *, dropout: float) -> PairFeatures:
    """Return the authors' discriminator of pairs for 28x28 grey images."""
    image = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1),
        nn.Sequential(nn.LeakyReLU(_MNIST_SLOPE), nn.Dropout(dropout)),
        nn.Conv2d(64, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(_MNIST_SLOPE),
        nn.Flatten(),
    )
    return _pairs_of_vectors(image, 64 * 7 * 7, latent_size, slope=_MNIST_SLOPE, dropout=dropout)


def mnist_generator(latent_size: int) -> nn.Sequential:
    """Return the authors' generator: (N,D) to (N,1,28,28) in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(latent_size, 1024),
        nn.BatchNorm1d(1024),
        nn.ReLU(),
        nn.Linear(1024, 128 * 7 * 7),
        nn.BatchNorm1d(128 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1),
        nn.Tanh(),
    )


def mnist_encoder(latent_size: int) -> nn.Sequential:
    """Return the authors' encoder: (N,1,28,28) to (N,D); its first layer is linear, as theirs."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, 1, 1),
        nn.Conv2d(32, 64, 3, 2, 1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(_MNIST_SLOPE),
        nn.Conv2d(64, 128, 3, 2, 1),
        nn.BatchNorm2d(128),
        nn.LeakyReLU(_MNIST_SLOPE),
        nn.Flatten(),
        nn.Linear(128 * math.prod(side // 4 for side in _MNIST_HW), latent_size),
    )


def fits_mnist(pyramid: Pyramid) -> bool:
    """Return whether the authors' networks take such images."""
    return pyramid.size_hw == _MNIST_HW and pyramid.channels == 1
