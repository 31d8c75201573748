"""GANomaly's stage: reconstruct through a bottleneck, look real, and have the same code before and after."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ganspect.config import Positive
from ganspect.sections import Section
from ganspect.train.averaging import Average, trainable_copy
from ganspect.train.batch_norm import statistics_kept
from ganspect.train.compute import Compute
from ganspect.train.health import DIVERSITY, diversity, separation, untouched
from ganspect.train.losses import GAN_LOSSES, Distance, mean_distance, r1_penalty
from ganspect.train.optimizers import Schedule, adam, descend, set_rates
from ganspect.train.previews import beside_reconstructions
from ganspect.train.settings import BatchSize, Decay, Rate, Weight
from ganspect.train.system import Stage, System

_PREVIEW_PAIRS = 32
_LOSS = GAN_LOSSES["non-saturating"]
_CODE_DECAY = 0.99


class BottleneckTraining(Section):
    """Settings of the stage; the defaults are the paper's.

    Attributes:
        steps: of the generator (encoder, decoder, second encoder), and of the discriminator before each.
        batch_size: images of one step.
        learning_rate: of Adam, for all.
        beta1: of Adam.
        beta2: of Adam.
        adversarial_weight: of L_adv.
        contextual_weight: of L_con, the distance of image and reconstruction.
        encoder_weight: of L_enc, mean (G_E(x) - E(G_D(G_E(x))))^2.
        adversarial: L_adv is the mean squared difference of `features` as in the paper, or the `cross_entropy` of
            fooling the discriminator as in the first version of the authors' code.
        contextual: `absolute` as in the paper, or `squared`.
        r1_weight: γ of R1 (Mescheder et al. 2018); 0 as in the paper.
        schedule: `constant`, or `cosine` down to 1%.
        average: decay of the averaged networks that are deployed; 0: the trained ones themselves.
    """

    steps: Positive = 15_000
    batch_size: BatchSize = 64
    learning_rate: Rate = 2e-4
    beta1: Decay = 0.5
    beta2: Decay = 0.999
    adversarial_weight: Weight = 1.0
    contextual_weight: Weight = 50.0
    encoder_weight: Weight = 1.0
    adversarial: Literal["features", "cross_entropy"] = "features"
    contextual: Distance = "absolute"
    r1_weight: Weight = 0.0
    schedule: Schedule = "constant"
    average: Decay = 0.0


class BottleneckStage(Stage):
    """Trains copies of encoder, decoder and second encoder, which the system's own follow, and the discriminator."""

    def __init__(self, system: System, settings: BottleneckTraining, compute: Compute) -> None:
        """Prepare the first step.

        Args:
            system: with `encoder`, `generator`, `second_encoder`, `features` and `head`.
            settings: of this stage.
            compute: device and precision.
        """
        self.settings, self.compute, self.system = settings, compute, system
        self.batch_size = settings.batch_size
        own = {name: system.get_submodule(name) for name in ("encoder", "generator", "second_encoder")}
        trained = {name: trainable_copy(network) for name, network in own.items()}
        self.average = Average(settings.average, [(own[name], trained[name]) for name in own])
        self.encoder, self.generator = trained["encoder"], trained["generator"]
        self.second_encoder = trained["second_encoder"]
        self.features = system.get_submodule("features").requires_grad_(True).train()
        self.head = system.get_submodule("head").requires_grad_(True).train()
        self.modules = {**trained, "average": self.average}
        betas = (settings.beta1, settings.beta2)
        self.optimizers = {
            "generator": adam(trained.values(), settings.learning_rate, betas),
            "discriminator": adam([self.features, self.head], settings.learning_rate, betas),
        }

    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Take one step of the discriminator and one of the generator, on the same images; see `Stage.step`."""
        settings = self.settings
        set_rates(self.optimizers.values(), settings.schedule, progress, settings.steps)
        with self.compute.autocast():
            codes = self.encoder(images)
            reconstructions = self.generator(codes)
        losses = self._step_discriminator(images, reconstructions.detach())
        losses |= self._step_generator(images, codes, reconstructions)
        self.average.update()
        self._follow(codes.detach().float())
        return losses

    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return images and their reconstructions in turn; see `Stage.preview`."""
        return beside_reconstructions(self.system, images[:_PREVIEW_PAIRS], self.compute)

    def check(self, images: Tensor, random: torch.Generator) -> Mapping[str, float]:
        """Measure how much reconstructions vary, and how the discriminator tells them from images."""
        with untouched(*self.modules.values(), self.features, self.head), self.compute.autocast():
            reconstructions = self.system.generator(self.system.encode(images))
            real, fake = (self.head(self.features(batch)) for batch in (images, reconstructions))
            return {DIVERSITY: diversity(reconstructions, images), **separation(real, fake)}

    def finish(self) -> None:
        """Freeze the discriminator, which the features graph is made of."""
        for network in (self.features, self.head):
            network.requires_grad_(False).eval()

    def _step_discriminator(self, images: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        with self.compute.autocast():
            real = self.head(self.features(images)).float()
            with statistics_kept(self.features, self.head):
                fake = self.head(self.features(reconstructions)).float()
        loss = _LOSS.discriminator(real, fake)
        losses = {"discriminator": loss.detach()}
        if self.settings.r1_weight:
            with self.compute.exact(), statistics_kept(self.features, self.head):
                penalty = r1_penalty(lambda batch: self.head(self.features(batch)), images)
            losses["r1"] = penalty.detach()
            loss = loss + self.settings.r1_weight * penalty
        descend(loss, self.optimizers["discriminator"])
        return losses

    def _step_generator(self, images: Tensor, codes: Tensor, reconstructions: Tensor) -> dict[str, Tensor]:
        settings = self.settings
        discriminator = nn.ModuleList([self.features, self.head]).requires_grad_(False)
        with self.compute.autocast():
            codes_again = self.second_encoder(reconstructions)
        terms = {
            "adversarial": self._adversarial(images, reconstructions),
            "contextual": mean_distance(reconstructions.float() - images, settings.contextual),
            "encoder": mean_distance(codes.float() - codes_again.float(), "squared"),
        }
        weights = (settings.adversarial_weight, settings.contextual_weight, settings.encoder_weight)
        loss = torch.stack([weight * term for weight, term in zip(weights, terms.values(), strict=True)]).sum()
        descend(loss, self.optimizers["generator"])
        discriminator.requires_grad_(True)
        return {name: term.detach() for name, term in terms.items()}

    def _adversarial(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        with self.compute.autocast(), statistics_kept(self.features, self.head):
            features: Tensor = self.features(reconstructions)
            if self.settings.adversarial == "cross_entropy":
                logits: Tensor = self.head(features)
                return _LOSS.generator(logits.float())
            wanted: Tensor = self.features(images)
        return mean_distance(features.float() - wanted.float(), "squared")

    @torch.no_grad()
    def _follow(self, codes: Tensor) -> None:
        """Let the system's latent mean and deviation follow those of the codes; a plain mean over the first steps."""
        share = max(1 - _CODE_DECAY, 1 / int(self.average.updates))
        self.system.latent_mean.lerp_(codes.mean(0), share)
        self.system.latent_deviation.lerp_(codes.std(0, correction=0), share)
