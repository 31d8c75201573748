"""GANomaly (Akcay et al. 2018, arXiv 1805.06725): encoder, decoder, a second encoder, and a score between latents.

ganspect train configs/ganomaly.yaml --set data.source=FOLDER --out run
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ganspect.config import NetworkSettings, Recipe
from ganspect.train.bottleneck import BottleneckStage, BottleneckTraining
from ganspect.train.compute import Compute
from ganspect.train.networks import Encoder, Features, Generator, Head, Pyramid, initialise_as_dcgan
from ganspect.train.settings import TrainingSettings
from ganspect.train.system import Seen, StagePlan, System, TrainingImages


class GanomalyNetwork(NetworkSettings):
    """Sizes of the networks; the latent is the bottleneck's code."""

    latent_size: Annotated[int, Field(ge=2, le=2048)] = 100


class GanomalyTraining(TrainingSettings):
    """Training settings of GANomaly.

    Attributes:
        bottleneck: the one stage: encoder, decoder and second encoder against the discriminator.
    """

    bottleneck: BottleneckTraining = BottleneckTraining()


class GanomalyRecipe(Recipe):
    """A recipe with GANomaly's settings."""

    network: GanomalyNetwork = GanomalyNetwork()
    training: GanomalyTraining = GanomalyTraining()


class Ganomaly(System):
    """Encoder G_E, decoder G_D (here the generator), second encoder E, and a discriminator.

    The search refines the bottleneck's code. Codes have no prior: `latent_mean` and `latent_deviation` are those of the
    codes of training images, so that random restarts begin among them.
    """

    name = "ganomaly"
    recipe_type = GanomalyRecipe
    paper_score = "ganomaly"
    views = ("features", "logit", "code")

    def __init__(self, recipe: GanomalyRecipe) -> None:
        """Build the networks with weights from N(0, 0.02), as the authors."""
        super().__init__(recipe)
        self.recipe: GanomalyRecipe = recipe
        network, pyramid = recipe.network, Pyramid.of(recipe)
        self.generator = Generator(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
        self.encoder: Encoder = Encoder(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
        self.second_encoder = Encoder(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
        self.features = Features(pyramid, network.feature_levels, batch_norm=True)
        self.head = Head(pyramid, network.feature_levels, batch_norm=True)
        initialise_as_dcgan(self)

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the one stage."""
        settings = self.recipe.training.bottleneck
        return {"bottleneck": StagePlan(settings.steps, partial(BottleneckStage, self, settings, compute))}

    def begin(self, images: TrainingImages) -> None:
        """Let both encoders start alike where there is a linear path; see `System.begin`."""
        super().begin(images)
        if self.recipe.network.linear_path or self.pca is not None:
            self.second_encoder.load_state_dict(self.encoder.state_dict())

    def see(self, image: Tensor, anchor: Tensor | None) -> Seen:
        """Return f(x), D(x) and E(x) of the second encoder; see `System.see`."""
        features = self.features(image)
        return Seen(features, self.head(features), self.second_encoder(image))
