"""EGBAD (Zenati et al. 2018, arXiv 1802.06222): a BiGAN, whose encoder learns with the GAN, and its two scores.

ganspect train configs/egbad.yaml --set data.source=FOLDER --out run
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from ganspect.config import NetworkSettings, Recipe
from ganspect.train.bigan import BiganStage, BiganTraining
from ganspect.train.compute import Compute
from ganspect.train.networks import Encoder, Generator, Pyramid, initialise_as_dcgan
from ganspect.train.pairs import (
    PairHead,
    fits_mnist,
    mnist_encoder,
    mnist_generator,
    mnist_pairs,
    pyramid_pairs,
)
from ganspect.train.reconstruction import RefineTraining, Variant, refinement
from ganspect.train.settings import TrainingSettings
from ganspect.train.system import Seen, StagePlan, System


class EgbadRefineTraining(RefineTraining):
    """Settings of refinement, on images alone: egbad's features are those of pairs."""

    variant: Variant = "izi"


class EgbadTraining(TrainingSettings):
    """Training settings of EGBAD.

    Attributes:
        bigan: generator, encoder and discriminator of pairs.
        refine: trains encoder and generator together; not in the paper, left out by default.
    """

    bigan: BiganTraining = BiganTraining()
    refine: EgbadRefineTraining = EgbadRefineTraining()


class EgbadNetwork(NetworkSettings):
    """Sizes of the networks.

    Attributes:
        layout: `dcgan`, by width and image size, or `mnist`, the authors' networks for 28x28 grey images.
        dropout: share of activations that the discriminator's branches leave out in training; the authors' 0.5.
    """

    latent_size: Annotated[int, Field(ge=2, le=2048)] = 200
    layout: Literal["dcgan", "mnist"] = "dcgan"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class EgbadRecipe(Recipe):
    """A recipe with EGBAD's settings."""

    network: EgbadNetwork = EgbadNetwork()
    training: EgbadTraining = EgbadTraining()

    @model_validator(mode="after")
    def _possible(self) -> "EgbadRecipe":
        if self.network.layout == "mnist" and self.backbone is not None:
            raise ValueError("network.layout 'mnist' is for pixels; use dcgan with a backbone")
        if self.network.layout == "mnist" and not fits_mnist(Pyramid.of(self)):
            height, width = self.image.size_hw
            raise ValueError(
                f"network.layout 'mnist' is for 28x28 grey images, image is {height}x{width} with "
                f"{self.image.channels} channels; use dcgan"
            )
        if self.network.layout == "mnist" and self.network.latent == "map":
            raise ValueError("network.layout 'mnist' has latents that are vectors; use dcgan for a map of latents")
        if self.network.layout == "mnist" and self.network.linear_path:
            raise ValueError("network.layout 'mnist' has no linear path; use dcgan, or leave network.linear_path out")
        if self.network.feature_levels is not None:
            raise ValueError("network.feature_levels is not egbad's, whose features are of pairs; leave it out")
        if self.training.refine.variant != "izi":
            raise ValueError("training.refine.variant must be izi for egbad, whose features are those of pairs")
        return self


class Egbad(System):
    """Generator, encoder, and a discriminator of pairs (x, E(x)) and (G(z), z)."""

    name = "egbad"
    recipe_type = EgbadRecipe
    paper_score = "egbad_feature_matching"
    views = ("features", "logit")
    anchored = True

    def __init__(self, recipe: EgbadRecipe) -> None:
        """Build the networks with weights from N(0, 0.02), as the authors."""
        super().__init__(recipe)
        self.recipe: EgbadRecipe = recipe
        network, pyramid = recipe.network, Pyramid.of(recipe)
        if network.layout == "mnist":
            self.generator: nn.Module = mnist_generator(network.latent_size)
            self.encoder: nn.Module = mnist_encoder(network.latent_size)
            self.features: nn.Module = mnist_pairs(network.latent_size, dropout=network.dropout)
        else:
            self.generator = Generator(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
            self.encoder = Encoder(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
            self.features = pyramid_pairs(pyramid, self.latent, dropout=network.dropout)
        self.head = PairHead(of_maps=self.latent.is_map)
        initialise_as_dcgan(self)

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the BiGAN, and refinement where the recipe gives it steps."""
        training = self.recipe.training
        bigan = StagePlan(training.bigan.steps, partial(BiganStage, self, training.bigan, compute))
        return {"bigan": bigan, **refinement(self, training.refine, compute)}

    def see(self, image: Tensor, anchor: Tensor | None) -> Seen:
        """Return f(x, E) and D(x, E); see `System.see`."""
        features = self.features(image, anchor)
        return Seen(features, self.head(features))
