"""AnoGAN (Schlegl et al. 2017): a DCGAN on normal images, and a search for the latent of each image.

    ganspect train configs/anogan.yaml --set data.source=FOLDER --out run

The paper has no encoder; here one can be trained on its GAN, so that the search starts near the answer.
"""

from collections.abc import Mapping
from functools import partial

from pydantic import model_validator
from torch import Tensor

from ganspect.config import Positive, Recipe
from ganspect.train.compute import Compute
from ganspect.train.gan import GanStage, GanTraining
from ganspect.train.losses import GanLossName
from ganspect.train.networks import Encoder, Features, Generator, Head, Pyramid, initialise_as_dcgan
from ganspect.train.reconstruction import ReconstructionStage, ReconstructionTraining
from ganspect.train.settings import Decay, Rate, TrainingSettings
from ganspect.train.system import Seen, StagePlan, System


class DcganTraining(GanTraining):
    """The adversarial stage with DCGAN's settings (Radford et al. 2016)."""

    steps: Positive = 20_000
    loss: GanLossName = "non-saturating"
    learning_rate: Rate = 2e-4
    beta1: Decay = 0.5
    beta2: Decay = 0.999


class AnoganTraining(TrainingSettings):
    """Training settings of AnoGAN.

    Attributes:
        gan: the adversarial stage.
        encoder: the encoder stage; `steps: 0`, as in the paper, trains none.
    """

    gan: DcganTraining = DcganTraining()
    encoder: ReconstructionTraining = ReconstructionTraining(steps=0)


class AnoganRecipe(Recipe):
    """A recipe with AnoGAN's training settings."""

    training: AnoganTraining = AnoganTraining()

    @model_validator(mode="after")
    def _has_the_encoder_it_needs(self) -> "AnoganRecipe":
        if self.network.linear_path and not self.training.encoder.steps:
            raise ValueError("network.linear_path needs an encoder, which starts as a PCA; set training.encoder.steps")
        if self.training.gan.anchor_weight and not (self.network.linear_path or self.backbone):
            raise ValueError("training.gan.anchor_weight needs network.linear_path, whose encoder starts as a PCA")
        if self.score.encoder != "paper" and not self.training.encoder.steps:
            raise ValueError(
                f"score.encoder is {self.score.encoder!r}, but no encoder is trained; set training.encoder.steps, or "
                "leave score.encoder out"
            )
        return self


class Anogan(System):
    """Generator, discriminator with batch norm, and perhaps an encoder."""

    name = "anogan"
    recipe_type = AnoganRecipe
    paper_score = "anogan"
    views = ("features", "logit")

    def __init__(self, recipe: AnoganRecipe) -> None:
        """Build the networks with DCGAN's initial weights."""
        super().__init__(recipe)
        pyramid, network = Pyramid.of(recipe), recipe.network
        self.recipe: AnoganRecipe = recipe
        self.generator = Generator(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)
        self.features = Features(pyramid, network.feature_levels, batch_norm=True)
        self.head = Head(pyramid, network.feature_levels, batch_norm=True)
        initialise_as_dcgan(self)
        self.encoder = None
        if recipe.training.encoder.steps:
            self.encoder = Encoder(pyramid, self.latent, linear_path=network.linear_path, pca=self.pca)

    @classmethod
    def has_encoder(cls, recipe: Recipe) -> bool:
        """Return whether the recipe trains one, which the paper does not."""
        return isinstance(recipe, AnoganRecipe) and recipe.training.encoder.steps > 0

    def see(self, image: Tensor, anchor: Tensor | None) -> Seen:
        """Return f(x) and D(x); see `System.see`."""
        features = self.features(image)
        return Seen(features, self.head(features))

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the GAN, and the encoder where the recipe gives it steps."""
        training = self.recipe.training
        stages: dict[str, StagePlan] = {
            "gan": StagePlan(training.gan.steps, partial(GanStage, self, self.head, training.gan, compute))
        }
        if self.encoder is not None:
            stages["encoder"] = StagePlan(
                training.encoder.steps, partial(ReconstructionStage, self, training.encoder, compute)
            )
        return stages
