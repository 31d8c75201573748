"""A system without a GAN: a PCA as generator and encoder, fitted in closed form.

ganspect train configs/linear_features.yaml --set data.source=FOLDER --out run

With `score.weighing: place` and no components it is a Gaussian at each place (PaDiM, Defard et al. 2020), with plain
residuals the usual PCA; between them lies what is best for most parts. It is what the other systems start from in
feature space, what they must beat, and a bundle like theirs: exported, searched, verified and run in the same way.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import nn

from ganspect.config import NetworkSettings, Recipe, ScoreSettings, SearchSettings, Share
from ganspect.records import Weighing
from ganspect.train.compute import Compute
from ganspect.train.pca_path import PcaDecoder, PcaEncoder, PcaPath
from ganspect.train.settings import TrainingSettings
from ganspect.train.system import StagePlan, System


class LinearNetwork(NetworkSettings):
    """Size of the PCA.

    Attributes:
        latent_size: components; 0: the mean of normal images alone.
    """

    latent_size: Annotated[int, Field(ge=0, le=2048)] = 64


class LinearSearch(SearchSettings):
    """The search, in which there is no discriminator to weigh."""

    feature_weight: Share = 0.0


class LinearScores(ScoreSettings):
    """Scores; the weighed residual unless another is named."""

    search: str = "weighed_residual"
    weighing: Weighing | None = "place"


class LinearRecipe(Recipe):
    """A recipe without stages to set."""

    # Not `auto`: both modes are about the same PCA.
    mode: Literal["search", "encoder"] = "encoder"
    network: LinearNetwork = LinearNetwork()
    search: LinearSearch = LinearSearch()
    score: LinearScores = LinearScores()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _nothing_beside(self) -> "LinearRecipe":
        if self.network.linear_path:
            raise ValueError("network.linear_path stands beside convolutions, which linear has none of; leave it out")
        return self


class Linear(System):
    """x -> E(x) = V (x - mean) -> G(z) = Vᵀ z + mean."""

    name = "linear"
    recipe_type = LinearRecipe
    paper_score = "weighed_residual"
    views = ()

    def __init__(self, recipe: LinearRecipe) -> None:
        """Build both with zeros."""
        super().__init__(recipe)
        self.recipe: LinearRecipe = recipe
        if self.pca is None:
            self.pca = PcaPath(self.latent)
        self.generator: nn.Module = PcaDecoder(self.pca)
        self.encoder: nn.Module = PcaEncoder(self.pca)

    @property
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""
        return self.recipe.training

    @classmethod
    def starts_at_pca(cls, recipe: Recipe) -> bool:
        """Return that it does, and stays there."""
        return True

    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return none: all is fitted when the run begins."""
        return {}

    def begin_at_pca(self) -> None:
        """Leave everything as it is: nothing stands beside the PCA."""
