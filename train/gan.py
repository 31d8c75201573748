"""The adversarial stage: generator against discriminator, with the loss that the recipe names."""

from collections.abc import Iterator, Mapping

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from ganspect.config import Positive
from ganspect.sections import Section
from ganspect.train.averaging import Average, trainable_copy
from ganspect.train.batch_norm import statistics_kept
from ganspect.train.compute import Compute
from ganspect.train.health import DIVERSITY, diversity, separation, untouched
from ganspect.train.losses import GAN_LOSSES, GanLossName, gradient_penalty, r1_penalty
from ganspect.train.optimizers import Schedule, adam, descend, set_rates
from ganspect.train.settings import BatchSize, Decay, Rate, Weight
from ganspect.train.system import Stage, System

PREVIEW_IMAGES = 64


class GanTraining(Section):
    """Settings of the adversarial stage.

    Attributes:
        steps: of the generator.
        batch_size: real images of one discriminator step.
        loss: `non-saturating` (DCGAN), `wgan-gp`, or `hinge` with spectral norm.
        critic_steps: discriminator steps for each of the generator.
        learning_rate: of Adam, for both.
        beta1: of Adam.
        beta2: of Adam.
        penalty_weight: λ of the gradient penalty; only `wgan-gp` has one.
        spectral_norm: keep the discriminator's weights at spectral norm 1 (Miyato et al. 2018); absent: as the loss has
            it, which `hinge` does and the others do not.
        r1_weight: γ of R1 (Mescheder et al. 2018), which keeps the discriminator flat around real images, at every one
            of its steps; 0: none. Where the discriminator has batch norm, the gradient passes through the batch's
            statistics too.
        schedule: `constant`, or `cosine` down to 1%.
        anchor_weight: of mean |x - G(E(x))| in the generator's loss, E as it is before its stage; with a linear path
            that is a PCA, and learning to fool the discriminator costs no fidelity.
        average: decay of the averaged generator that is deployed; 0: the trained one itself.
    """

    steps: Positive
    batch_size: BatchSize = 64
    loss: GanLossName
    critic_steps: Positive = 1
    learning_rate: Rate
    beta1: Decay
    beta2: Decay
    penalty_weight: Weight = 10.0
    spectral_norm: bool | None = None
    r1_weight: Weight = 0.0
    schedule: Schedule = "constant"
    anchor_weight: Weight = 0.0
    average: Decay = 0.0

    @model_validator(mode="after")
    def _one_gradient_penalty(self) -> "GanTraining":
        if self.r1_weight and self.penalty_weight and GAN_LOSSES[self.loss].gradient_penalty:
            raise ValueError(
                f"r1_weight beside the penalty of {self.loss} would be two gradient penalties; set one of them to 0"
            )
        return self

    @property
    def normed(self) -> bool:
        """Return whether the discriminator has spectral norm."""
        return GAN_LOSSES[self.loss].spectral_norm if self.spectral_norm is None else self.spectral_norm


class GanStage(Stage):
    """Trains a copy of the system's generator, which the system's own follows as its average, and the discriminator."""

    def __init__(self, system: System, head: nn.Module, settings: GanTraining, compute: Compute) -> None:
        """Prepare the first step.

        Args:
            system: generator and features are trained.
            head: the discriminator's last layer, features to (N,) logits; trained.
            settings: of this stage.
            compute: device and precision.
        """
        self.settings, self.compute, self.system, self.head = settings, compute, system, head
        self.batch_size, self.batches_per_step = settings.batch_size, settings.critic_steps
        self.loss = GAN_LOSSES[settings.loss]
        self.generator = trainable_copy(system.generator)
        self.average = Average(settings.average, [(system.generator, self.generator)])
        self.discriminator = nn.Sequential(system.features, head).requires_grad_(True).train()
        if settings.normed:
            for layer in _weighted(self.discriminator):
                spectral_norm(layer)
        self.modules = {"generator": self.generator, "average": self.average}
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {name: adam([network], settings.learning_rate, betas) for name, network in networks.items()}

    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Take `critic_steps` discriminator steps and one of the generator; see `Stage.step`."""
        settings = self.settings
        set_rates(self.optimizers.values(), settings.schedule, progress, settings.steps)
        losses: dict[str, Tensor] = {}
        for real in torch.split(images, self.batch_size):
            losses = self._step_discriminator(real, random)
        losses |= self._step_generator(images[-self.batch_size :], random)
        self.average.update()
        return losses

    @torch.no_grad()
    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images generated from always the same latents; see `Stage.preview`."""
        with self.compute.autocast():
            generated: Tensor = self.system.generator(self.system.draw_latents(PREVIEW_IMAGES, random))
        return generated.float()

    def check(self, images: Tensor, random: torch.Generator) -> Mapping[str, float]:
        """Measure the deployed generator's diversity, and what the discriminator makes of the trained one's images."""
        latents = self.system.draw_latents(len(images), random)
        with untouched(self.generator, self.discriminator), self.compute.autocast():
            figures = {DIVERSITY: diversity(self.system.generator(latents), images)}
            if self.loss.classifies:
                real, fake = self.discriminator(images), self.discriminator(self.generator(latents))
                figures |= separation(real, fake)
        return figures

    def finish(self) -> None:
        """Fold the spectral norm into the discriminator's weights, which are frozen from here on."""
        self.discriminator.requires_grad_(False).eval()
        for layer in _weighted(self.discriminator):
            if parametrize.is_parametrized(layer):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)

    def _step_discriminator(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        latents = self.system.draw_latents(len(real), random)
        with torch.no_grad(), self.compute.autocast():
            fake = self.generator(latents)
        with self.compute.autocast():
            real_logits = self.discriminator(real)
            with statistics_kept(self.discriminator):
                fake_logits = self.discriminator(fake)
        loss = self.loss.discriminator(real_logits.float(), fake_logits.float())
        losses = {"discriminator": loss.detach()}
        if self.loss.gradient_penalty and self.settings.penalty_weight:
            penalty = self._penalty(real, fake.float(), random)
            losses["penalty"] = penalty.detach()
            loss = loss + self.settings.penalty_weight * penalty
        if self.settings.r1_weight:
            with self.compute.exact(), statistics_kept(self.discriminator):
                penalty = r1_penalty(self.discriminator, real)
            losses["r1"] = penalty.detach()
            loss = loss + self.settings.r1_weight * penalty
        descend(loss, self.optimizers["discriminator"])
        return losses

    def _penalty(self, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        # In bf16 the norm of the gradient would be known to two digits only.
        mix = torch.rand((len(real), 1, 1, 1), generator=random).to(real.device)
        with self.compute.exact(), statistics_kept(self.discriminator):
            return gradient_penalty(self.discriminator, real, fake, mix)

    def _step_generator(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        latents = self.system.draw_latents(self.batch_size, random)
        self.discriminator.requires_grad_(False)
        with self.compute.autocast(), statistics_kept(self.discriminator):
            logits = self.discriminator(self.generator(latents))
        loss = self.loss.generator(logits.float())
        losses = {"generator": loss.detach()}
        if self.settings.anchor_weight:
            anchor = self._anchor(real)
            losses["anchor"] = anchor.detach()
            loss = loss + self.settings.anchor_weight * anchor
        descend(loss, self.optimizers["generator"])
        self.discriminator.requires_grad_(True)
        return losses

    def _anchor(self, real: Tensor) -> Tensor:
        with self.compute.autocast():
            with torch.no_grad():
                latents = self.system.encode(real)
            reconstructions = self.generator(latents)
        return torch.abs(reconstructions.float() - real).mean()


def _weighted(network: nn.Module) -> Iterator[nn.Module]:
    return (module for module in list(network.modules()) if isinstance(module, nn.Conv2d | nn.Linear))
