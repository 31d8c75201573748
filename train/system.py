"""What a system is: the functions that every exported graph is composed from, and how they are trained.

Adding a system is one file with a subclass of `System` (and a YAML recipe); nothing in export/ or
runtime/ asks which system it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.scoring import SCORES, Match


class Stage(Protocol):
    """One phase of a training: the GAN, then the encoder.

    Everything that an interrupted run must restore is in `modules` and `optimizers`; data order, augmentation
    and latents are drawn anew from (seed, stage, step), so no generator state has to be kept.
    """

    name: str
    steps: int
    batch_size: int
    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]

    def images_per_step(self) -> int:
        """Return how many real batches one step takes (5 critic steps: 5 batches)."""
        ...

    def step(self, images: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Take one training step.

        Args:
            images: (B,C,H,W) float32 in [-1, 1], B = batch_size * batches of one step.
            random: the generator of this step, on the CPU.

        Returns:
            Losses by name, detached scalars.
        """
        ...


class System(nn.Module, ABC):
    """A trained or untrained system.

    Attributes:
        name: as recipes write it.
        recipe_type: the recipe class with this system's training settings.
        paper_score: name in `ganspect.scoring.SCORES` of the score in its paper.
        recipe: the settings.
        generator: (N,D) latents to (N,C,H,W) images in [-1, 1]; the deployed (averaged) weights.
        encoder: (N,C,H,W) images to (N,D) latents, or None (AnoGAN as in its paper).
        features: (N,C,H,W) images to the discriminator's intermediate layer f, (N,F...).
    """

    name: ClassVar[str]
    recipe_type: ClassVar[type[Recipe]]
    paper_score: ClassVar[str]

    recipe: Recipe
    generator: nn.Module
    encoder: nn.Module | None
    features: nn.Module

    @abstractmethod
    def stages(self) -> Iterator[Stage]:
        """Yield the training stages in order, each made when it is reached."""

    def encode(self, image: Tensor) -> Tensor:
        """Return E(x), (N,D).

        Raises:
            ConfigError: the system has no encoder.
        """
        if self.encoder is None:
            raise ConfigError(f"{self.name} was trained without an encoder; train it with one to use E(x)")
        latent: Tensor = self.encoder(image)
        return latent

    def match(self, image: Tensor, latent: Tensor) -> Match:
        """Return the image beside G(z) and the features of both; no pixel statistics."""
        reconstruction = self.generator(latent)
        return Match(image, reconstruction, self.features(image), self.features(reconstruction))

    def encoder_score(self, image: Tensor) -> Tensor:
        """Return the score of the system's paper at the encoder's latent, (N,)."""
        score: Tensor = SCORES[self.paper_score].of(self.match(image, self.encode(image)))
        return score
