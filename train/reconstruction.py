"""The stages that teach E to find the z whose G(z) looks like x: the encoder's (izi_f of f-AnoGAN), and refinement.

In the encoder's, G and f are frozen. In refinement, which is optional and not in the paper, G moves too.
"""

import copy
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ganspect.config import Section
from ganspect.train.averaging import Average
from ganspect.train.compute import Compute
from ganspect.train.optimizers import OptimizerName, Schedule, adam, descend, rmsprop, set_rates
from ganspect.train.settings import BatchSize, Decay, Rate, Steps, Weight
from ganspect.train.system import Stage, System

Distance: TypeAlias = Literal["squared", "absolute"]

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
        feature_weight: κ of the feature term.
        average: decay of the averaged weights that are deployed; 0: the trained ones themselves.
    """

    steps: Steps
    batch_size: BatchSize = 64
    optimizer: OptimizerName = "rmsprop"
    learning_rate: Rate = 5e-5
    schedule: Schedule = "constant"
    distance: Distance = "squared"
    feature_weight: Weight = 1.0
    average: Decay = 0.0


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
        self.encoder = _trainable(system.encoder)
        self.generator = _trainable(system.generator) if refine else system.generator
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
        """Minimise mean d(x, G(E(x))) + κ mean d(f(x), f(G(E(x)))) (f-AnoGAN, eq. 4); see `Stage.step`."""
        settings = self.settings
        set_rates(self.optimizers.values(), settings.schedule, progress, settings.steps)
        with self.compute.autocast():
            reconstructions = self.generator(self.encoder(images))
            features = self.system.features(reconstructions) - self.system.features(images)
        residual = self._distance(reconstructions.float() - images)
        feature_residual = self._distance(features.float())
        descend(residual + settings.feature_weight * feature_residual, self.optimizers["all"])
        self.average.update()
        return {"residual": residual.detach(), "features": feature_residual.detach()}

    @torch.no_grad()
    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images and their reconstructions in turn; see `Stage.preview`."""
        images = images[:PREVIEW_PAIRS]
        with self.compute.autocast():
            reconstructions = self.system.generator(self.system.encode(images)).float()
        return torch.stack([images, reconstructions], 1).flatten(0, 1)

    def _distance(self, values: Tensor) -> Tensor:
        return (values.abs() if self.settings.distance == "absolute" else values * values).mean()


def _trainable(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).requires_grad_(True).train()
