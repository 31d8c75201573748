"""The adversarial stage: generator against discriminator, with the loss that the recipe names."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from ganspect.config import Positive, Section
from ganspect.train.averaging import Average
from ganspect.train.compute import Compute
from ganspect.train.losses import GAN_LOSSES, GanLossName, gradient_penalty
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
    schedule: Schedule = "constant"
    anchor_weight: Weight = 0.0
    average: Decay = 0.0


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
        self.generator = copy.deepcopy(system.generator).requires_grad_(True).train()
        self.average = Average(settings.average, [(system.generator, self.generator)])
        self.discriminator = nn.Sequential(system.features, head).requires_grad_(True).train()
        if self.loss.spectral_norm:
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
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        loss = self.loss.discriminator(real_logits.float(), fake_logits.float())
        losses = {"discriminator": loss.detach()}
        if self.loss.gradient_penalty:
            penalty = self._penalty(real, fake.float(), random)
            losses["penalty"] = penalty.detach()
            loss = loss + self.settings.penalty_weight * penalty
        descend(loss, self.optimizers["discriminator"])
        return losses

    def _penalty(self, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
        # In bf16 the norm of the gradient would be known to two digits only.
        mix = torch.rand((len(real), 1, 1, 1), generator=random).to(real.device)
        with self.compute.exact():
            return gradient_penalty(self.discriminator, real, fake, mix)

    def _step_generator(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        latents = self.system.draw_latents(self.batch_size, random)
        self.discriminator.requires_grad_(False)
        with self.compute.autocast():
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
