"""What a system is: the functions that every exported graph is composed from, and how they are trained.

Adding a system is one file with a subclass of `System` (and a YAML recipe); nothing in export/ or
runtime/ asks which system it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from ganspect.block_pca import pcas_of
from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.pca import cross_fitted_weights
from ganspect.scoring import SCORES, Match, Need, ScoreWeights, find_score, residual_map
from ganspect.train.compute import Compute
from ganspect.train.decoder import Decoder
from ganspect.train.distance import Distance
from ganspect.train.drawing import DrawnMaps
from ganspect.train.latents import LatentLayout
from ganspect.train.linear_path import LARGEST_SAMPLE, let_convolutions_start_near_zero, start_at_pca
from ganspect.train.near_misses import DRAWN_AT_MOST, fit_discriminator, near_misses_of
from ganspect.train.pca_path import PcaPath
from ganspect.train.representation import Representation
from ganspect.train.settings import TrainingSettings

View: TypeAlias = Literal["features", "logit", "code"]

_NEEDS_MET: Mapping[View, frozenset[Need]] = {
    "features": frozenset({"features"}),
    "logit": frozenset({"logit", "reconstruction_logit"}),
    "code": frozenset({"code"}),
}


class Stage(ABC):
    """One phase of a training: the GAN, then the encoder.

    Everything that an interrupted run must restore is in the system, `modules` and `optimizers`; data order,
    augmentation and latents are drawn anew from (seed, stage, step), so no generator state has to be kept.

    Attributes:
        batch_size: images of one batch.
        batches_per_step: real batches that one step takes (5 critic steps: 5).
        modules: what is trained beside the system's own networks, by name.
        optimizers: optimizers by their names.
    """

    batch_size: int
    batches_per_step: int = 1
    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]

    @abstractmethod
    def step(self, images: Tensor, random: torch.Generator, progress: float) -> dict[str, Tensor]:
        """Take one training step.

        Args:
            images: (B,C,H,W) float32 on the device, B = batch_size * batches_per_step: x, images in [-1, 1] or in
                feature space maps.
            random: the generator of this step, on the CPU.
            progress: share of the stage's steps taken before this one, in [0, 1).

        Returns:
            Losses by name, detached scalars.
        """

    @abstractmethod
    def preview(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Return (N,C,H,W) images or maps, as x is, that show what has been learnt; changes nothing.

        Args:
            images: a few training images, on the device.
            random: the same numbers at every preview.
        """

    def check(self, images: Tensor, random: torch.Generator) -> Mapping[str, float]:
        """Return figures for log.csv that tell whether the training is well; changes nothing, no random state either.

        See `ganspect.train.health` for figures that are judged at the end, and for what keeps networks unchanged.

        Args:
            images: a batch of `batch_size` training images, on the device.
            random: the generator of this check, on the CPU.
        """
        return {}

    def finish(self) -> None:  # noqa: B027 - most stages have nothing left to do
        """Leave the system's networks as the next stage and the bundle need them."""


class StagePlan(NamedTuple):
    """A stage before it is reached.

    Attributes:
        steps: how many it takes.
        make: makes it, when all stages before it are finished.
    """

    steps: int
    make: Callable[[], Stage]


class Seen(NamedTuple):
    """What a system's networks see in images; None where the system has no such view.

    Attributes:
        features: (N,F...) an intermediate layer of the discriminator, f(x).
        logit: (N,) the discriminator's last layer, D(x), higher for real images.
        code: (N,D) a second encoder's latent.
    """

    features: Tensor | None = None
    logit: Tensor | None = None
    code: Tensor | None = None


class TrainingImages(Protocol):
    """What a system may see of the training images before its first stage."""

    def views(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` of x, (M,C,H,W), mirrored ones among them, and their numbers, (M,) int64."""

    def image_of(self, index: Tensor) -> Tensor:
        """Return which images some numbers stand for, (M,) int64."""

    def pairs(self, most: int) -> tuple[Tensor, Tensor]:
        """Return at most `most` of x and the images that they are of, (M,channels,H,W) in [-1, 1]."""

    def drawn(self, images: int, most: int) -> DrawnMaps:
        """Return at most `most` of x with defects drawn on them, on the first `images` images of `views`."""


class System(nn.Module, ABC):
    """A trained or untrained system; its constructor takes the recipe alone.

    Its formulas are about x: the image, or in feature space the map of a frozen backbone.

    Attributes:
        name: its name in recipes.
        recipe_type: the recipe class with this system's training settings.
        paper_score: name in `ganspect.scoring.SCORES` of the score in its paper.
        views: what `see` gives, perhaps nothing; scores that need another cannot be computed.
        anchored: whether what it sees in an image depends on E(x) too (a discriminator of pairs).
        recipe: the settings.
        latent: what a latent is: a vector, or a map.
        representation: images in [-1, 1] to x; None: x is the image.
        decoder: x to a picture of it; None: x is one.
        pca: what generator and encoder keep from their start in feature space; None in pixels.
        distance: weighs residuals; None without `score.weighing`.
        generator: (N,D) latents to (N,C,H,W) of x; the deployed (averaged) weights.
        encoder: (N,C,H,W) of x to (N,D) latents, or None (AnoGAN as in its paper).
        features: (N,C,H,W) of x to the discriminator's intermediate layer f, (N,F...); only where it is in `views`.
        latent_mean: (D,) of the prior; zeros in most systems.
        latent_deviation: (D,) of the prior: latents are drawn from N(latent_mean, latent_deviation^2); mostly ones.
        score_deviations: deviation of each term of a deployed sum over held-out normal images, by the score's name;
            export measures them.
    """

    name: ClassVar[str]
    recipe_type: ClassVar[type[Recipe]]
    paper_score: ClassVar[str]
    views: ClassVar[tuple[View, ...]] = ("features",)
    anchored: ClassVar[bool] = False

    recipe: Recipe
    latent: LatentLayout
    representation: Representation | None
    decoder: Decoder | None
    pca: PcaPath | None
    distance: Distance | None
    generator: nn.Module
    encoder: nn.Module | None
    features: nn.Module
    latent_mean: Tensor
    latent_deviation: Tensor
    score_deviations: Mapping[str, float]

    @abstractmethod
    def __init__(self, recipe: Recipe) -> None:
        """Build the networks with initial weights drawn from PyTorch's generator."""
        super().__init__()
        self.recipe = recipe
        self.score_deviations = {}
        self.latent = LatentLayout.of(recipe)
        self.register_buffer("latent_mean", torch.zeros(self.latent.size))
        self.register_buffer("latent_deviation", torch.ones(self.latent.size))
        in_features = recipe.backbone is not None
        self.representation = Representation(recipe) if in_features else None
        self.decoder = Decoder(recipe) if in_features else None
        self.pca = PcaPath(self.latent) if in_features else None
        self.distance = None if recipe.score.weighing is None else Distance(recipe)

    @property
    @abstractmethod
    def training_settings(self) -> TrainingSettings:
        """Return the recipe's `training` section."""

    @abstractmethod
    def stages(self, compute: Compute) -> Mapping[str, StagePlan]:
        """Return the training stages by name, in order."""

    def begin(self, images: TrainingImages) -> None:
        """Set initial weights from training images, once, before the first stage.

        A linear path starts at their PCA. Residuals are weighed by what such a PCA, fitted on a part of the images,
        leaves of the others.

        Args:
            images: training images on the CPU.
        """
        if self.pca is None and self.distance is None and not self.recipe.network.linear_path:
            return
        views, index = images.views(LARGEST_SAMPLE)
        if self.recipe.network.linear_path:
            self.latent_deviation.copy_(start_at_pca(self.generator, self.encoder, views))
        groups = images.image_of(index).numpy()
        pcas = pcas_of(views.numpy(), groups, self.latent.stride)
        if self.pca is not None:
            self.latent_deviation.copy_(self.pca.set(pcas.pca(self.recipe.network.latent_size)))
            self.begin_at_pca()
        if self.distance is not None:
            size, weighing = self.recipe.network.latent_size, self.recipe.score.weighing or "plain"
            if self.distance.discriminator is None or self.recipe.discriminator is None:
                self.distance.set(cross_fitted_weights(pcas, size, weighing))
            else:
                self.eval()
                drawn = images.drawn(len(set(index.tolist())), DRAWN_AT_MOST)
                with_drawn = (pcas, size, views.numpy(), groups, drawn)
                near = near_misses_of(self.distance, weighing, *with_drawn, self.generator, self.latent_deviation)
                fit_discriminator(self.distance.discriminator, near, self.recipe.discriminator, self.recipe.seed)
        if self.decoder is not None:
            self.decoder.fit(*images.pairs(LARGEST_SAMPLE))

    def begin_at_pca(self) -> None:
        """Let what stands beside the fixed PCA of generator and encoder start near zero."""
        let_convolutions_start_near_zero(self.generator, self.encoder)

    def represent(self, image: Tensor) -> Tensor:
        """Return x, (N,C,h,w), of (N,channels,H,W) images in [-1, 1]."""
        return image if self.representation is None else self.representation(image)

    def picture(self, x: Tensor) -> Tensor:
        """Return a picture, (N,channels,H,W) in [-1, 1] or a little beyond, of x, (N,C,h,w), for people to see."""
        return x if self.decoder is None else self.decoder(x)

    def heat_map(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """Return where x and a reconstruction differ, (N,H,W) float32 at the image's size.

        In [0, 1], half the mean difference over channels; of weighed residuals in deviations of normal images.
        """
        if self.distance is None:
            residual: Tensor = residual_map(x, reconstruction)
            return residual
        return self.distance.heat_map(self.distance(x, reconstruction))

    def draw_latents(self, count: int, random: torch.Generator) -> Tensor:
        """Return (count,D) latents of the prior, drawn on the CPU, on the system's device."""
        latents = torch.randn((count, len(self.latent_deviation)), generator=random)
        return self.latent_mean + latents.to(self.latent_deviation.device) * self.latent_deviation

    def encode(self, image: Tensor) -> Tensor:
        """Return E(x), (N,D).

        Raises:
            ConfigError: the system has no encoder.
        """
        if self.encoder is None:
            raise ConfigError(f"{self.name} was trained without an encoder; train it with one to use E(x)")
        latent: Tensor = self.encoder(image)
        return latent

    def see(self, image: Tensor, anchor: Tensor | None) -> Seen:
        """Return what the networks see in images, everything in `views`.

        Args:
            image: (N,C,H,W) of x.
            anchor: (N,D) E of the image under inspection, whose reconstruction `image` may be; None where the system
                is not `anchored`.
        """
        return Seen(self.features(image)) if self.views else Seen()

    def match(self, image: Tensor, latent: Tensor) -> Match:
        """Return x beside G(z) and what is seen in both; no pixel statistics."""
        anchor = self.encode(image) if self.anchored or "code" in self.views else None
        reconstruction = self.generator(latent)
        match = matched(image, self.see(image, anchor), reconstruction, self.see(reconstruction, anchor), anchor)
        return self.with_latent(self.with_distance(match), latent)

    def with_distance(self, match: Match) -> Match:
        """Return a match with the weighed distance at each place, where the system weighs residuals."""
        if self.distance is None:
            return match
        pair = match.image, match.reconstruction
        return replace(
            match,
            distance=self.distance(*pair),
            squared_length=self.distance.squared_length(*pair),  # what a loss needs; where none does, it is not traced
            share=self.recipe.score.share,
        )

    def with_latent(self, match: Match, latent: Tensor) -> Match:
        """Return a match with the latent (N,D) that the reconstruction is of, and the prior."""
        return replace(match, latent=latent, latent_mean=self.latent_mean, latent_deviation=self.latent_deviation)

    @classmethod
    def starts_at_pca(cls, recipe: Recipe) -> bool:
        """Return whether a system by that recipe starts at a PCA, whose size can then be chosen."""
        return recipe.backbone is not None or recipe.network.linear_path

    @classmethod
    def has_encoder(cls, recipe: Recipe) -> bool:
        """Return whether a system by that recipe has an encoder."""
        return True

    @classmethod
    def can_score(cls, name: str, recipe: Recipe) -> bool:
        """Return whether the system, by that recipe, sees what a score needs."""
        seen: set[Need] = {"latent", "pair"} if cls.anchored else {"latent"}
        if recipe.backbone is None:
            seen |= {"pixels", "image"}
        if recipe.score.weighing is not None:
            seen.add("distance")
        for view in cls.views:
            seen |= _NEEDS_MET[view]
        return find_score(name).needs <= seen

    def encoder_score(self, image: Tensor) -> Tensor:
        """Return the score of the system's paper at the encoder's latent, (N,)."""
        score: Tensor = SCORES[self.paper_score].of(self.match(image, self.encode(image)), self.score_weights)
        return score

    @property
    def score_weights(self) -> ScoreWeights:
        """Return the weights of its scores."""
        score = self.recipe.score
        return ScoreWeights(score.feature_weight, score.alpha, score.kappa, self.score_deviations)


def matched(image: Tensor, seen: Seen, reconstruction: Tensor, seen_in_it: Seen, anchor: Tensor | None) -> Match:
    """Return a match of an image and its reconstruction from what is seen in them."""
    return Match(
        image,
        reconstruction,
        features=seen.features,
        reconstruction_features=seen_in_it.features,
        anchor=anchor,
        logit=seen.logit,
        reconstruction_logit=seen_in_it.logit,
        reconstruction_code=seen_in_it.code,
    )
