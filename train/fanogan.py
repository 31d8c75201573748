"""f-AnoGAN (Schlegl et al. 2019): a WGAN-GP on normal images, then an encoder in place of the search's random start.

ganspect train configs/fanogan.yaml --set data.source=FOLDER --out run
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import Field, model_validator

from ganspect.config import Positive, Recipe
from ganspect.train.compute import Compute
from ganspect.train.gan import GanStage, GanTraining
from ganspect.train.losses import GanLossName
from ganspect.train.networks import Encoder, Features, Generator, Head, Pyramid
from ganspect.train.reconstruction import ReconstructionStage, ReconstructionTraining, RefineTraining, refinement
from ganspect.train.settings import Decay, Rate, TrainingSettings
from ganspect.train.system import StagePlan, System


class WganTraining(GanTraining):
    """The adversarial stage with the settings of WGAN-GP (Gulrajani et al. 2017, algorithm 1)."""

    steps: Positive = 10_000
    loss: GanLossName = "wgan-gp"
    critic_steps: Positive = 5
    learning_rate: Rate = 1e-4
    beta1: Decay = 0.0
    beta2: Decay = 0.9


class EncoderTraining(ReconstructionTraining):
    """The encoder stage of a system that cannot do without it."""

    steps: Annotated[int, Field(gt=0)] = 10_000


class FanoganTraining(TrainingSettings):
    """Training settings of f-AnoGAN.

    Attributes:
        gan: the adversarial stage.
        encoder: the encoder stage.
        refine: trains encoder and generator together; not in the paper, left out by default.
    """

    gan: WganTraining = WganTraining()
    encoder: EncoderTraining = EncoderTraining()
    refine: RefineTraining = RefineTraining()


class FanoganRecipe(Recipe):
    """A recipe with f-AnoGAN's training settings."""

    training: FanoganTraining = FanoganTraining()

    @model_validator(mode="after")
    def _anchored_to_a_pca(self) -> "FanoganRecipe":
        if self.training.gan.anchor_weight and not (self.network.linear_path or self.backbone):
            raise ValueError("training.gan.anchor_weight needs network.linear_path, whose encoder starts as a PCA")
        return self


class Fanogan(System):
    """Generator, critic without batch norm (the gradient penalty is for each image alone), encoder."""

    name = "fanogan"
    recipe_type = FanoganRecipe
    paper_score = "fanogan"

    def __init__(self, recipe: FanoganRecipe) -> None:
        """Build the networks with PyTorch's initial weights."""
        super().__init__(recipe)
        pyramid = Pyramid.of(recipe)
        self.recipe: FanoganRecipe = recipe
        network = recipe.network
        self.generator = Generator(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
        self.features = Features(pyramid, network.feature_levels, batch_norm=False)
        self.head = Head(pyramid, network.feature_levels, batch_norm=False)
        self.encoder = Encoder(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the GAN, the encoder, and refinement where the recipe gives it steps."""
        training = self.recipe.training
        return {
            "gan": StagePlan(training.gan.steps, partial(GanStage, self, self.head, training.gan, compute)),
            "encoder": StagePlan(training.encoder.steps, partial(ReconstructionStage, self, training.encoder, compute)),
            **refinement(self, training.refine, compute),
        }
