"""The stage of a BiGAN (Donahue et al. 2017): generator and encoder against a discriminator of pairs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganspect.config import Positive
from ganspect.sections import Section
from ganspect.train.averaging import Average, trainable_copy
from ganspect.train.batch_norm import statistics_kept
from ganspect.train.compute import Compute
from ganspect.train.health import DIVERSITY, diversity, separation, untouched
from ganspect.train.losses import GAN_LOSSES, mean_distance, r1_penalty
from ganspect.train.optimizers import Schedule, adam, descend, set_rates
from ganspect.train.previews import beside_reconstructions
from ganspect.train.settings import BatchSize, Decay, Rate, Weight
from ganspect.train.system import Stage, System

_PREVIEW_EACH = 32
_LOSS = GAN_LOSSES["non-saturating"]


class BiganTraining(Section):
    """Settings of the stage; the defaults are those of EGBAD's authors for MNIST.

    Attributes:
        steps: of generator and encoder, and of the discriminator before each.
        batch_size: images of one step of either.
        learning_rate: of Adam, for all.
        beta1: of Adam.
        beta2: of Adam.
        r1_weight: γ of R1 (Mescheder et al. 2018) on real images; 0 as in the paper.
        reconstruction_weight: of mean |x - G(E(x))| in the loss of generator and encoder, which makes E an inverse of G
            (ALICE, Li et al. 2017); 0 as in EGBAD's paper, whose reconstructions are seldom of the same image.
        schedule: `constant`, or `cosine` down to 1%.
        average: decay of the averaged networks that are deployed.
    """

    steps: Positive = 50_000
    batch_size: BatchSize = 100
    learning_rate: Rate = 1e-5
    beta1: Decay = 0.5
    beta2: Decay = 0.999
    r1_weight: Weight = 0.0
    reconstruction_weight: Weight = 0.0
    schedule: Schedule = "constant"
    average: Decay = 0.999


class BiganStage(Stage):
    """Trains copies of the system's generator, encoder and discriminator; its own follow as averages."""

    batches_per_step = 2

    def __init__(self, system: System, settings: BiganTraining, compute: Compute) -> None:
        """Prepare the first step.

        Args:
            system: with a generator, an encoder, features of pairs and a head.
            settings: of this stage.
            compute: device and precision.
        """
        self.settings, self.compute, self.system = settings, compute, system
        self.batch_size = settings.batch_size
        own = {name: system.get_submodule(name) for name in ("generator", "encoder", "features", "head")}
        trained = {name: trainable_copy(network) for name, network in own.items()}
        self.average = Average(settings.average, [(own[name], trained[name]) for name in own])
        self.generator, self.encoder = trained["generator"], trained["encoder"]
        self.features, self.head = trained["features"], trained["head"]
        self.modules = {**trained, "average": self.average}
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {
            "generator": adam([self.generator, self.encoder], settings.learning_rate, betas),
            "discriminator": adam([self.features, self.head], settings.learning_rate, betas),
        }

    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Take one step of the discriminator and, on other images, one of generator and encoder; see `Stage.step`."""
        settings = self.settings
        set_rates(self.optimizers.values(), settings.schedule, progress, settings.steps)
        for_discriminator, for_generator = torch.split(images, self.batch_size)
        with _own_dropout(random):
            losses = self._step_discriminator(for_discriminator, random) | self._step_generator(for_generator, random)
        self.average.update()
        return losses

    @torch.no_grad()
    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images and their reconstructions in turn, and images generated from always the same latents."""
        with self.compute.autocast():
            generated = self.system.generator(self.system.draw_latents(_PREVIEW_EACH, random)).float()
        return torch.cat([beside_reconstructions(self.system, images[: _PREVIEW_EACH // 2], self.compute), generated])

    def check(self, images: Tensor, random: torch.Generator) -> Mapping[str, float]:
        """Measure the deployed generator's diversity, and how the trained discriminator tells the pairs apart."""
        latents = self.system.draw_latents(len(images), random)
        with untouched(*self.modules.values()), self.compute.autocast():
            figures = {DIVERSITY: diversity(self.system.generator(latents), images)}
            real, fake = self._logits(images, self.encoder(images)), self._logits(self.generator(latents), latents)
        return figures | separation(real, fake)

    def _logits(self, images: Tensor, latents: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images, latents))
        return logits.float()

    def _step_discriminator(self, images: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        latents = self.system.draw_latents(len(images), random)
        with torch.no_grad(), self.compute.autocast():
            encoded, generated = self.encoder(images), self.generator(latents)
        with self.compute.autocast():
            real = self._logits(images, encoded)
            with statistics_kept(self.features):
                fake = self._logits(generated, latents)
        loss = _LOSS.discriminator(real, fake)
        losses = {"discriminator": loss.detach()}
        if self.settings.r1_weight:
            with self.compute.exact(), statistics_kept(self.features):
                penalty = r1_penalty(lambda real_images: self._logits(real_images, encoded.float()), images)
            losses["r1"] = penalty.detach()
            loss = loss + self.settings.r1_weight * penalty
        descend(loss, self.optimizers["discriminator"])
        return losses

    def _step_generator(self, images: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        latents = self.system.draw_latents(len(images), random)
        discriminator = nn.ModuleList([self.features, self.head]).requires_grad_(False)
        with self.compute.autocast(), statistics_kept(self.features):
            encoded = self.encoder(images)
            real, fake = self._logits(images, encoded), self._logits(self.generator(latents), latents)
        of_generator, of_encoder = _LOSS.generator(fake), _LOSS.generator(-real)
        losses = {"generator": of_generator.detach(), "encoder": of_encoder.detach()}
        loss = of_generator + of_encoder
        if self.settings.reconstruction_weight:
            with self.compute.autocast():
                reconstructions = self.generator(encoded)
            residual = mean_distance(reconstructions.float() - images, "absolute")
            losses["residual"] = residual.detach()
            loss = loss + self.settings.reconstruction_weight * residual
        descend(loss, self.optimizers["generator"])
        discriminator.requires_grad_(True)
        return losses


@contextmanager
def _own_dropout(random: torch.Generator) -> Iterator[None]:
    """Let dropout draw from this step's numbers, whatever was drawn before, and leave PyTorch's own as they were."""
    seed = int(torch.randint(2**62, (), generator=random))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
