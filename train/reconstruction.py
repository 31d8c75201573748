"""The stages that teach E to find the z whose G(z) looks like x: the encoder's (three of f-AnoGAN), and refinement.

In the encoder's, G and f are frozen. In refinement, which is optional and not in the paper, G moves too.
"""

from functools import partial
from typing import Literal, TypeAlias

import torch
from pydantic import model_validator
from torch import Tensor

from ganspect.sections import Section
from ganspect.train.averaging import Average, trainable_copy
from ganspect.train.compute import Compute
from ganspect.train.losses import Distance, mean_distance
from ganspect.train.optimizers import OptimizerName, Schedule, adam, descend, rmsprop, set_rates
from ganspect.train.previews import beside_reconstructions
from ganspect.train.settings import BatchSize, Decay, Rate, Steps, Weight
from ganspect.train.system import Stage, StagePlan, System

Variant: TypeAlias = Literal["izi_f", "izi", "ziz"]

PREVIEW_PAIRS = 32
_BETAS = (0.9, 0.99)


class ReconstructionTraining(Section):
    """Settings of the encoder stage or of refinement.

    Attributes:
        steps: 0 leaves the stage out; without an encoder stage the system has no encoder.
        batch_size: images of one step.
        optimizer: `rmsprop` as in the paper, or `adam`.
        learning_rate: its rate.
        schedule: `constant`, or `cosine` down to 1%.
        distance: `squared` as in the paper, or `absolute`.
        variant: what the encoder learns from (Schlegl et al. 2019): `izi` from images, d(x, G(E(x)));
            `izi_f` with the discriminator's features beside it, which the paper found best; `ziz` from latents of the
            prior, d(z, E(G(z))), so it never sees a real image.
        feature_weight: κ of the feature term; only `izi_f` has one.
        average: decay of the averaged weights that are deployed; 0: the trained ones themselves.
    """

    steps: Steps
    batch_size: BatchSize = 64
    optimizer: OptimizerName = "rmsprop"
    learning_rate: Rate = 5e-5
    schedule: Schedule = "constant"
    distance: Distance = "squared"
    variant: Variant = "izi_f"
    feature_weight: Weight = 1.0
    average: Decay = 0.0


class RefineTraining(ReconstructionTraining):
    """Settings of refinement, a last stage that is left out by default."""

    steps: Steps = 0

    @model_validator(mode="after")
    def _from_images(self) -> "RefineTraining":
        if self.variant == "ziz":
            raise ValueError("variant ziz would let generator and encoder collapse together; use izi or izi_f")
        return self


class ReconstructionStage(Stage):
    """Trains a copy of the system's encoder, perhaps of its generator too; the system's own follow as averages."""

    def __init__(
        self, system: System, settings: ReconstructionTraining, compute: Compute, *, refine: bool = False
    ) -> None:
        """Prepare the first step.

        Args:
            system: must have an encoder.
            settings: of this stage.
            compute: device and precision.
            refine: train the generator too.
        """
        if system.encoder is None:
            raise ValueError(f"{system.name} has no encoder to train")
        self.settings, self.compute, self.system = settings, compute, system
        self.batch_size = settings.batch_size
        self.encoder = trainable_copy(system.encoder)
        self.generator = trainable_copy(system.generator) if refine else system.generator
        pairs = [(system.encoder, self.encoder), *([(system.generator, self.generator)] if refine else [])]
        self.average = Average(settings.average, pairs)
        trained = {"encoder": self.encoder, **({"generator": self.generator} if refine else {})}
        self.modules = {**trained, "average": self.average}
        rate = settings.learning_rate
        networks = trained.values()
        self.optimizers = {
            "all": adam(networks, rate, _BETAS) if settings.optimizer == "adam" else rmsprop(networks, rate)
        }

    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Minimise the variant's loss; see `Stage.step`."""
        settings = self.settings
        set_rates(self.optimizers.values(), settings.schedule, progress, settings.steps)
        losses = self._latent_loss(random) if settings.variant == "ziz" else self._image_losses(images)
        weights = {"features": settings.feature_weight}
        weighted = torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()])
        descend(weighted.sum(), self.optimizers["all"])
        self.average.update()
        return {name: loss.detach() for name, loss in losses.items()}

    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images and their reconstructions in turn; see `Stage.preview`."""
        return beside_reconstructions(self.system, images[:PREVIEW_PAIRS], self.compute)

    def _image_losses(self, images: Tensor) -> dict[str, Tensor]:
        """Return mean d(x, G(E(x))), and for izi_f mean d(f(x), f(G(E(x)))) (f-AnoGAN, eq. 4)."""
        with self.compute.autocast():
            reconstructions = self.generator(self.encoder(images))
        losses = {"residual": mean_distance(reconstructions.float() - images, self.settings.distance)}
        if self.settings.variant == "izi_f":
            with self.compute.autocast():
                features = self.system.features(reconstructions) - self.system.features(images)
            losses["features"] = mean_distance(features.float(), self.settings.distance)
        return losses

    def _latent_loss(self, random: torch.Generator) -> dict[str, Tensor]:
        """Return mean d(z, E(G(z))) of latents of the prior."""
        latents = self.system.draw_latents(self.batch_size, random)
        with self.compute.autocast():
            with torch.no_grad():
                images = self.generator(latents)
            found = self.encoder(images)
        return {"latent": mean_distance(found.float() - latents, self.settings.distance)}


def refinement(system: System, settings: RefineTraining, compute: Compute) -> dict[str, StagePlan]:
    """Return the plan of refinement by its name, or nothing where the recipe gives it no steps."""
    make = partial(ReconstructionStage, system, settings, compute, refine=True)
    return {"refine": StagePlan(settings.steps, make)} if settings.steps else {}
