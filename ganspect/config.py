"""Recipes: YAML read into checked models, with errors that name the file, the key and the nearest match.

    recipe = read_recipe(Path("configs/fanogan.yaml"), ["data.source=images/", "seed=1"], Recipe)

A system adds its own settings by subclassing `Recipe` with another type for `training`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import yaml
from annotated_types import Ge
from pydantic import Field, field_validator, model_validator

from ganspect.records import Mode, Weighing
from ganspect.scoring import PAPER_WEIGHTS, SCORES, Residual, find_score, terms_of
from ganspect.sections import Section, parse, read_yaml

LEAST_SIDE = 28
LARGEST_SIDE = 512

Side = Annotated[int, Field(ge=LEAST_SIDE, le=LARGEST_SIDE)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
LatentKind: TypeAlias = Literal["vector", "map"]
Negative: TypeAlias = Literal["drawn", "noise", "pasted", "generated", "ascent"]


class ImageSettings(Section):
    """What the model sees of a frame.

    Attributes:
        size_hw: height and width of the model's input in pixels.
        channels: 1 grey, 3 RGB.
        bits: significant bits of a pixel value; 8 for uint8 images, 12 or 16 for uint16 ones.
        fit: `resize` a whole frame to `size_hw`, or cut it into `tiles` of that size.
        overlap: share of a tile's side that its neighbour covers too.
    """

    size_hw: tuple[Side, Side] = (64, 64)
    channels: Literal[1, 3] = 1
    bits: Literal[8, 12, 16] = 8
    fit: Literal["resize", "tiles"] = "resize"
    overlap: Annotated[float, Field(ge=0, le=0.75)] = 0.25


class DataSettings(Section):
    """Where normal images come from, how they are split and varied.

    Attributes:
        source: `elpv:mono`, `mnist:3`, `fashion-mnist:8`, a folder in the MVTec layout, or an `.npz` file.
        path: file that holds a data set named in `source` where no package brings it.
        split_seed: seed of the train/test split (where the data set has none) and of the held-out part.
        holdout: share of the normal training images kept for calibration; training never sees them.
        patches_per_image: K random patches of `image.size_hw` from each image; absent: whole images.
        flips: mirror directions under which the images look alike.
        shift_px: largest random shift in pixels, edges replicated.
        gain: largest random change of the brightness, as a share of it.
    """

    source: str | None = None
    path: Path | None = None
    split_seed: int = 0
    holdout: Annotated[float, Field(gt=0, lt=0.9)] = 0.2
    patches_per_image: Positive | None = None
    flips: tuple[Literal["horizontal", "vertical"], ...] = ()
    shift_px: Annotated[int, Field(ge=0, le=16)] = 0
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.0


class BackboneSettings(Section):
    """The frozen network whose activations take the image's place: feature space.

    Attributes:
        name: `efficientnet_lite0`, or a network of another package, `torchvision:NAME` or `timm:NAME`.
        layers: numbers of the layers whose activations are taken (`ganspect.train.backbones`).
        stride: pixels of the image for each place of the grid that all layers are brought to.
        channels: kept of all layers together after whitening; those that vary most on normal images.
        weights: file of the network's weights; absent: that of the package that brings them, where one does.
        copies: number of copies of each training image, varied as `data` says (flips, shifts, gain); absent: one for
            each combination of flips, and at least 4 where shifts or gain are asked for.
    """

    name: str = "efficientnet_lite0"
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(2, 4, 10), min_length=1)
    stride: Literal[4, 8, 16, 32] = 8
    channels: Annotated[int, Field(ge=4, le=512)] = 64
    weights: Path | None = None
    copies: Annotated[int, Field(ge=1, le=64)] | None = None


class ChoiceSettings(Section):
    """What is chosen for a run by defects that are drawn on held-out normal images, before it is trained.

    Attributes:
        latents: candidates for `network.latent`. Empty: the recipe's own.
        latent_sizes: candidates for `network.latent_size`; 0 is the mean alone. Those that a fold's images cannot have
            are left out; where all are, the largest possible size is taken, and said. Empty: the recipe's own.
        weighings: candidates for `score.weighing`.
        shares: candidates for `score.share`.
        relatives: candidates for `score.relative`; only 0 unless more are given, since drawn defects overrate it
            (docs/features.md).
        images: normal images that defects are drawn on, at most.
    """

    latents: tuple[LatentKind, ...] = ()
    latent_sizes: tuple[Annotated[int, Field(ge=0, le=2048)], ...] = (0, 16, 32, 64, 128, 192)
    weighings: tuple[Weighing, ...] = Field(default=("place", "pooled", "plain"), min_length=1)
    shares: tuple[Share, ...] = Field(default=(0.01, 0.05), min_length=1)
    relatives: tuple[Share, ...] = Field(default=(0.0,), min_length=1)
    images: Annotated[int, Field(ge=8)] = 200


class DiscriminatorSettings(Section):
    """The discriminator of places, which corrects weighed residuals by what tells near misses from normal maps.

    With a `choice` it is kept only where it finds drawn defects better, of kinds that it was not trained on.

    Attributes:
        negatives: what it is trained against, in equal shares (`ganspect.train.near_misses`).
        width: channels of its layers.
        steps: number of its training steps.
        batch_size: normal maps of a step, and as many near misses.
        learning_rate: largest one of Adam.
    """

    negatives: tuple[Negative, ...] = Field(default=("drawn",), min_length=1)
    width: Annotated[int, Field(ge=4, le=256)] = 32
    steps: Positive = 200
    batch_size: Annotated[int, Field(ge=2, le=256)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3


class NetworkSettings(Section):
    """Sizes of the networks.

    Attributes:
        width: channels of the layer next to the image, doubled with each halving up to 8 times (64: the paper's).
        latent: `vector` for parts that lie alike in every frame, or `map` for textures and parts that move: a latent
            for each block of `latent_stride` places, from convolutions that see only what is near.
        latent_size: length of a latent; of a map, at each of its places.
        latent_stride: side of the block that a place of a map of latents stands for, in places of x (in pixels without
            a backbone).
        feature_levels: halvings after which the discriminator's activations are taken as f; absent: after all.
        linear_path: a linear map beside the convolutions of generator and encoder, started at the PCA of the training
            images, in place of batch norm and tanh; for aligned parts.
    """

    width: Annotated[int, Field(ge=4, le=256)] = 64
    latent: LatentKind = "vector"
    latent_size: Annotated[int, Field(ge=2, le=2048)] = 128
    latent_stride: Literal[2, 4, 8, 16] = 4
    feature_levels: Positive | None = None
    linear_path: bool = False

    @classmethod
    def least_latent_size(cls) -> int:
        """Return the smallest length that the system's latents may have; 0 is the mean alone, without any latent."""
        limits = cls.model_fields["latent_size"].metadata
        return next(int(str(limit.ge)) for limit in limits if isinstance(limit, Ge))


class SearchSettings(Section):
    """The latent search of the bundle.

    Attributes:
        steps: K, points scored at most.
        burn_in: points passed through first, whose scores do not count. An encoder's latent still follows a defect a
            little, and the search lets go of it; but then no frame is cleared by the encoder's start alone.
        restarts: starts searched for each tile; the encoder's comes first, the others are random.
        learning_rate: Adam's step size in units of the latent.
        beta1: Adam's decay of the gradient's mean.
        beta2: Adam's decay of its square.
        epsilon: added by Adam to the root of the second moment.
        clip: latents stay within [-clip, clip]; absent: free.
        feature_weight: λ of the search loss.
        reduction: `mean`, or `sum` as in AnoGAN's paper.
        discrimination: what λ weighs: the distance of `features`, or `fooling` the discriminator.
        residual: what of the residual is descended: `absolute`, its mean; `huber`, the same but smooth near 0;
            `trimmed`, without the places where it is largest, which a defect may be; `weighed`, its length at each
            place weighed as `score.weighing` says, of which `weighed_residual` takes the largest.
        huber_delta: where `huber` and `weighed` turn from square to linear; for `huber` in deviations of the values of
            x, for `weighed` in deviations of normal residuals.
        trimmed_share: share of the places that `trimmed` leaves out: in each step those with the largest residual.
    """

    steps: Annotated[int, Field(ge=1, le=10_000)] = 20
    burn_in: Annotated[int, Field(ge=0)] = 0
    restarts: Annotated[int, Field(ge=1, le=64)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] | None = None
    feature_weight: Share = 0.1
    reduction: Literal["mean", "sum"] = "mean"
    discrimination: Literal["features", "fooling"] = "features"
    residual: Residual = "absolute"
    huber_delta: Annotated[float, Field(gt=0)] = 0.1
    trimmed_share: Annotated[float, Field(gt=0, le=0.5)] = 0.05

    @model_validator(mode="after")
    def _counts(self) -> "SearchSettings":
        if self.burn_in >= self.steps:
            raise ValueError(f"burn_in is {self.burn_in}, but must be under steps ({self.steps}), or no score counts")
        return self


def _require_a_sum(name: str, allowed: set[str]) -> None:
    terms = terms_of(name)
    if len(terms) == 1:
        raise ValueError(
            f"unknown score {name!r}; expected one of {', '.join(sorted(allowed))}, or two of them with a + between"
        )
    if len(terms) > 2 or len(set(terms)) < 2:
        raise ValueError(f"{name!r} is not a sum of two different scores; give two, such as {_A_SUM}")
    for term in terms:
        if term not in SCORES:
            raise ValueError(
                f"{name!r} adds {term!r}, which no score is called; take two of {', '.join(sorted(SCORES))}"
            )
    if find_score(name).needs_pixel_statistics:
        raise ValueError(f"{name!r} has a term that needs pixel statistics, which a sum cannot have; choose another")


_A_SUM = "weighed_residual + latent_mahalanobis"


class ScoreSettings(Section):
    """Which score the bundle deploys, in search and for the encoder alone.

    Attributes:
        search: name in `ganspect.scoring.SCORES` that the search tracks and the threshold is for; or the sum of two,
            `weighed_residual + latent_mahalanobis`, each in deviations over held-out normal images.
        encoder: `paper` for the system's own score, or a name or a sum as above, taken at the encoder's latent.
        feature_weight: λ of AnoGAN's scores.
        alpha: α of EGBAD's scores.
        kappa: κ of f-AnoGAN's score.
        scale: `min_max` reports scores relative to those of the calibration's normal images (GANomaly, section 4):
            0 the lowest of them, 1 the highest; verdicts are the same.
        weighing: how `weighed_residual` weighs: `place` and `pooled` weigh the residual by its covariance over normal
            images, at each place (parts that lie alike) or over all places (textures); `plain` does not. Absent:
            `place` with a backbone or a choice, and else the system has no such score.
        share: share of the places, those with the largest residual, that `weighed_residual` averages; 0: the largest.
        relative: share of an image's own level that is taken out of its weighed residuals
            (`ganspect.scoring.relative_to_level`); for parts that differ in grain or light from frame to frame.
    """

    search: str = "residual_mean"
    encoder: str = "paper"
    feature_weight: Share = PAPER_WEIGHTS.feature_weight
    alpha: Share = PAPER_WEIGHTS.alpha
    kappa: Annotated[float, Field(ge=0)] = PAPER_WEIGHTS.kappa
    scale: Literal["none", "min_max"] = "none"
    weighing: Weighing | None = None
    share: Share = 0.01
    relative: Share = 0.0

    @field_validator("search", "encoder")
    @classmethod
    def _named_as_everywhere(cls, name: str) -> str:
        return " + ".join(terms_of(name))

    @model_validator(mode="after")
    def _known(self) -> "ScoreSettings":
        for name, allowed in ((self.search, set(SCORES)), (self.encoder, {*SCORES, "paper"})):
            if name not in allowed:
                _require_a_sum(name, allowed)
        return self


class Recipe(Section):
    """Everything that decides a run; the same recipe, data, precision and machine give the same weights.

    Attributes:
        system: `anogan`, `fanogan`, `egbad`, `ganomaly` or `linear`.
        seed: seed of initial weights, data order, augmentation and latents.
        mode: what verdicts come from unless another is asked for: the latent `search`, the `encoder` alone, or `auto`:
            the search where it finds drawn defects surely better, which export tries.
        backbone: absent: the networks see pixels.
        choice: absent: nothing is chosen.
        discriminator: one of places, beside the system's own; absent: none.
        image: what the model sees (`ImageSettings`); every other section has a class of its own too.
    """

    system: str
    seed: Annotated[int, Field(ge=0)] = 0
    mode: Mode | Literal["auto"] = "search"
    image: ImageSettings = ImageSettings()
    data: DataSettings = DataSettings()
    backbone: BackboneSettings | None = None
    choice: ChoiceSettings | None = None
    discriminator: DiscriminatorSettings | None = None
    network: NetworkSettings = NetworkSettings()
    search: SearchSettings = SearchSettings()
    score: ScoreSettings = ScoreSettings()

    @model_validator(mode="before")
    @classmethod
    def _weighed_in_feature_space(cls, content: Any) -> Any:
        """Weigh residuals at each place where a section needs it and nothing else is said."""
        needing = ("backbone", "choice", "discriminator")
        if isinstance(content, dict) and any(content.get(key) is not None for key in needing):
            score = content.get("score") or {}
            if isinstance(score, dict) and score.get("weighing") is None:
                return {**content, "score": {**score, "weighing": "place"}}
        return content

    @model_validator(mode="after")
    def _of_one_space(self) -> "Recipe":
        if self.backbone is not None and self.network.linear_path:
            raise ValueError(
                "network.linear_path is for pixels; with a backbone a PCA is there by itself: leave it out"
            )
        kinds = {self.network.latent, *(self.choice.latents if self.choice else ())}
        if self.network.linear_path and "map" in kinds:
            raise ValueError(
                "network.linear_path joins every pixel with every latent, which a map of latents cannot have; leave it "
                "out, or set network.latent to vector"
            )
        return self

    @model_validator(mode="after")
    def _weighs_what_it_descends(self) -> "Recipe":
        if self.search.residual == "weighed" and self.score.weighing is None:
            raise ValueError(
                "search.residual is 'weighed', but score.weighing is absent, so that nothing is weighed; set it to "
                "place, pooled or plain, or search.residual to absolute, huber or trimmed"
            )
        return self


RecipeT = TypeVar("RecipeT", bound=Recipe)


def read_recipe(path: Path, overrides: list[str], model: type[RecipeT]) -> RecipeT:
    """Read and check a recipe file; see `read_yaml` and `parse` for the errors."""
    return parse(read_yaml(path, overrides), model, origin=str(path))


def to_yaml(recipe: Recipe) -> str:
    """Return the recipe as YAML that `read_recipe` reads back to an equal one."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
