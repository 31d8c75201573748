"""The functions behind the graphs, in PyTorch: a system's folded networks put through `ganspect.scoring`.

Each takes and returns tensors only, so that `ganspect.export.tracing` can turn it into a graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ganspect.export.folding import fold
from ganspect.records import SearchRecord
from ganspect.scoring import (
    Adam,
    Match,
    Need,
    Score,
    ScoreWeights,
    SearchLoss,
    State,
    cleared,
    find_score,
    iterate,
    search_loss,
    to_unit_range,
)
from ganspect.train.system import Seen, System, matched

BESIDE_VIEWS: frozenset[Need] = frozenset({"image", "pixels", "distance", "latent"})
"""What a score may take of a match that is none of the system's views."""


@dataclass(frozen=True)
class Deployed:
    """Names of the scores that a bundle's verdicts come from.

    Attributes:
        search: tracked by the search.
        encoder: taken at E(x); None where the system has no encoder.
    """

    search: str
    encoder: str | None

    @classmethod
    def by(cls, system: System, search: str, encoder: str) -> "Deployed":
        """Return the names for a system, from those that its recipe gives: `paper` is that of the system's paper."""
        if system.encoder is None:
            return cls(search, None)
        return cls(search, system.paper_score if encoder == "paper" else encoder)

    @property
    def names(self) -> tuple[str, ...]:
        """Return those that the score graph gives, in its order: the encoder's, and the search's at its start."""
        return (self.search,) if self.encoder is None else (self.encoder, self.search)

    @property
    def needs_pixel_statistics(self) -> bool:
        """Return whether one of them does; every graph that scores then takes the two maps."""
        return any(find_score(name).needs_pixel_statistics for name in self.names)


@dataclass(frozen=True)
class Formulas:
    """Everything that the graphs of one bundle are composed from.

    Attributes:
        system: its networks folded.
        loss: descended by the search.
        adam: its update.
        deployed: the scores.
        weights: weights of the papers' scores and of sums.
        burn_in: points that the search passes through before scores count.
    """

    system: System
    loss: SearchLoss
    adam: Adam
    deployed: Deployed
    weights: ScoreWeights
    burn_in: int

    @property
    def score(self) -> Score:
        """Return the deployed score, tracked by the search."""
        return find_score(self.deployed.search)

    @property
    def fixed(self) -> tuple[str, ...]:
        """Return what the search computes of an image once, beside x: the fields of `Match` that the body takes."""
        needs = self._needs
        anchor = "code" in needs or (self.system.anchored and bool(needs))
        wanted = {"anchor": anchor, "features": "features" in needs, "logit": "logit" in needs}
        return tuple(name for name, needed in wanted.items() if needed)

    @property
    def seen_inputs(self) -> tuple[str, ...]:
        """Return the inputs of `see`."""
        return ("image", "latent") if self.system.anchored else ("image",)

    def see(self, x: Tensor, anchor: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return everything that the system sees in images, in the order of its `views`: the features graph."""
        return _of(self.system.see(x, anchor), self.system.views)

    def prepare(self, image: Tensor, best_score: Tensor, part: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        """Return x, what is fixed, and whether any row is not done: what the loop needs once."""
        x = self.represent(image)
        anchor = self.system.encode(x) if "anchor" in self.fixed else None
        seen = self.system.see(x, anchor) if set(self.fixed) - {"anchor"} else Seen()
        values = {"anchor": anchor, "features": seen.features, "logit": seen.logit}
        fixed = (value for name in self.fixed if (value := values[name]) is not None)
        return x, *fixed, (~cleared(best_score, part, threshold)).any()

    def iteration(
        self, x: Tensor, fixed: Mapping[str, Tensor], state: State, threshold: Tensor, *pixels: Tensor
    ) -> State:
        """Take one iteration of the search: forward, gradient, best so far, Adam."""

        def loss_and_score(latent: Tensor) -> tuple[Tensor, Tensor]:
            match = self.match(x, fixed, latent, pixels)
            return search_loss(self.loss, match).sum(), self.score.of(match, self.weights)

        gradient, score = torch.func.grad(loss_and_score, has_aux=True)(state.latent)
        return iterate(state, score, gradient, self.adam, threshold, self.burn_in)

    def body(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return the next state without `part`, and whether any row is not done: the loop's body."""
        count = len(self.fixed)
        fixed, rest = dict(zip(self.fixed, rest[:count], strict=True)), rest[count:]
        state, threshold, pixels = State(*rest[:7]), rest[7], rest[8:]
        following = self.iteration(x, fixed, state, threshold, *pixels)
        going = (~cleared(following.best_score, following.part, threshold)).any()
        return (going, *following[:6])

    def finish(self, x: Tensor, best_latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return a picture of the reconstruction (uint8, NHWC) and the heat map (N,H,W) of the best latent."""
        return self.shown(x, self.system.generator(best_latent))

    def scores(self, image: Tensor, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Return latent, encoder score, start score, reconstruction and residual: the score graph."""
        x = self.represent(image)
        latent = self.system.encode(x)
        match = with_pixels(self.system.match(x, latent), pixels)
        scores = (find_score(name).of(match, self.weights) for name in self.deployed.names)
        return latent, *scores, *self.shown(x, match.reconstruction)

    def represent(self, image: Tensor) -> Tensor:
        """Return x, (N,C,h,w), of (N,H,W,channels) uint8 images: the backbone graph."""
        return self.system.represent(to_image(image))

    def distances(self, x: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
        """Return weighed distances (N,h,w) and the heat map (N,H,W): the distance graph."""
        if self.system.distance is None:
            raise ValueError(f"{self.system.name} weighs no residuals by this recipe")
        return self.system.distance(x, reconstruction), self.system.heat_map(x, reconstruction)

    def shown(self, x: Tensor, reconstruction: Tensor) -> tuple[Tensor, Tensor]:
        """Return what people are shown of a reconstruction: a picture (uint8, NHWC) and the heat map (N,H,W)."""
        return to_pixels(self.system.picture(reconstruction)), self.system.heat_map(x, reconstruction)

    def picture(self, x: Tensor) -> Tensor:
        """Return a picture (uint8, NHWC) of x or of a reconstruction: the picture graph."""
        return to_pixels(self.system.picture(x))

    def match(self, x: Tensor, fixed: Mapping[str, Tensor], latent: Tensor, pixels: tuple[Tensor, ...]) -> Match:
        """Return an image beside a latent's reconstruction, with as much of what is seen as loss and score need.

        Args:
            x: (N,C,H,W).
            fixed: what `prepare` returned of it, by the names in `fixed`.
            latent: (N,D).
            pixels: the two pixel maps, or nothing.
        """
        anchor, reconstruction = fixed.get("anchor"), self.system.generator(latent)
        # What nothing needs is not traced; and without its anchor a discriminator of pairs could not see.
        seen = self.system.see(reconstruction, anchor) if self._needs else Seen()
        of_image = Seen(fixed.get("features"), fixed.get("logit"))
        match = matched(x, of_image, reconstruction, seen, anchor)
        if "distance" in self.score.needs | self.loss.needs:
            match = self.system.with_distance(match)
        return with_pixels(self.system.with_latent(match, latent), pixels)

    @property
    def _needs(self) -> frozenset[Need]:
        """Return what the search takes of the system's views."""
        return (self.score.needs | self.loss.needs) - BESIDE_VIEWS


def compose(system: System, search: SearchRecord, score: str, encoder_score: str) -> Formulas:
    """Fold a system's networks and put its formulas together.

    Args:
        system: trained, in eval mode; it is not changed.
        search: the recipe's search.
        score: name of the deployed score.
        encoder_score: `paper`, or a name of a score taken at the encoder's latent.
    """
    return Formulas(
        _fold_system(system),
        loss_of(search),
        adam_of(search),
        Deployed.by(system, score, encoder_score),
        system.score_weights,
        search.burn_in,
    )


def loss_of(search: SearchRecord) -> SearchLoss:
    """Return the loss that a search descends."""
    return SearchLoss(
        search.feature_weight,
        search.reduction,
        search.discrimination,
        search.residual,
        search.huber_delta,
        search.trimmed_share,
    )


def adam_of(search: SearchRecord) -> Adam:
    """Return the update of a search."""
    return Adam(search.learning_rate, search.beta1, search.beta2, search.epsilon, search.clip)


def with_pixels(match: Match, pixels: tuple[Tensor, ...]) -> Match:
    """Return a match with the two pixel maps, if there are any."""
    return replace(match, pixel_mean=pixels[0], pixel_deviation=pixels[1]) if pixels else match


def to_image(pixels: Tensor) -> Tensor:
    """Turn (N,H,W,C) uint8 into (N,C,H,W) float32 in [-1, 1]; uint8 is only cast, as TensorRT takes no more of it."""
    image: Tensor = to_unit_range(pixels.float().permute(0, 3, 1, 2))
    return image


def to_pixels(image: Tensor) -> Tensor:
    """Turn (N,C,H,W) float32 in [-1, 1] into (N,H,W,C) uint8, rounded."""
    return ((image + 1.0) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


def _fold_system(system: System) -> System:
    folded = fold(system)
    if not isinstance(folded, System):
        raise TypeError("folding must keep the system's class")
    return folded


def _of(seen: Seen, names: tuple[str, ...]) -> tuple[Tensor, ...]:
    return tuple(getattr(seen, name) for name in names)
