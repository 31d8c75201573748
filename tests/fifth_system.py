"""A fifth system, as somebody else would add it: a plain autoencoder, with no discriminator and one stage."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from ganspect.config import Positive, Recipe
from ganspect.sections import Section
from ganspect.train.compute import Compute
from ganspect.train.networks import Encoder, Generator, Pyramid
from ganspect.train.optimizers import adam, descend
from ganspect.train.settings import TrainingSettings
from ganspect.train.system import Stage, StagePlan, System


class AutoencoderTraining(Section):
    """Settings of the one stage."""

    steps: Positive = 40
    batch_size: Positive = 8


class FifthTraining(TrainingSettings):
    """Training settings."""

    autoencoder: AutoencoderTraining = AutoencoderTraining()


class FifthRecipe(Recipe):
    """A recipe with the autoencoder's settings."""

    training: FifthTraining = FifthTraining()


class Fifth(System):
    """x -> E(x) -> G(E(x)); its score is the mean residual, and it sees nothing but pixels."""

    name = "fifth"
    recipe_type = FifthRecipe
    paper_score = "residual_mean"
    views = ()

    def __init__(self, recipe: FifthRecipe) -> None:
        """Build the two networks."""
        super().__init__(recipe)
        self.recipe: FifthRecipe = recipe
        pyramid = Pyramid.of(recipe)
        self.generator = Generator(pyramid, self.latent)
        self.encoder = Encoder(pyramid, self.latent)

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the one stage."""
        settings = self.recipe.training.autoencoder
        return {"autoencoder": StagePlan(settings.steps, partial(AutoencoderStage, self, settings, compute))}


class AutoencoderStage(Stage):
    """Trains both networks on mean |x - G(E(x))|."""

    def __init__(self, system: Fifth, settings: AutoencoderTraining, compute: Compute) -> None:
        """Prepare the first step."""
        self.system, self.compute = system, compute
        self.batch_size = settings.batch_size
        networks = [network.requires_grad_(True).train() for network in (system.generator, system.encoder)]
        self.modules: dict[str, nn.Module] = {}
        self.optimizers = {"all": adam(networks, 2e-3, (0.5, 0.999))}

    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Take one step."""
        with self.compute.autocast():
            reconstructions = self.system.generator(self.system.encode(images))
        loss = (reconstructions.float() - images).abs().mean()
        descend(loss, self.optimizers["all"])
        return {"residual": loss.detach()}

    @torch.no_grad()
    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return reconstructions, by networks in eval mode, so that nothing is changed."""
        self.system.eval()
        reconstructions = self.system.generator(self.system.encode(images)).float()
        self.system.train()
        return reconstructions
