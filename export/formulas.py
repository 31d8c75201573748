"""The functions behind the graphs, in PyTorch: a system's folded networks put through `ganspect.scoring`.

Each takes and returns tensors only, so that `ganspect.export.tracing` can turn it into a graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganspect.export.folding import fold
from ganspect.records import SearchRecord
from ganspect.scoring import (
    SCORES,
    Adam,
    Match,
    Score,
    SearchLoss,
    State,
    cleared,
    iterate,
    residual_map,
    search_loss,
    to_unit_range,
)
from ganspect.train.system import System


@dataclass(frozen=True)
class Formulas:
    """Everything that the graphs of one bundle are composed from.

    Attributes:
        generator: (N,D) to (N,C,H,W).
        encoder: (N,C,H,W) to (N,D), or None.
        features: (N,C,H,W) to (N,...).
        loss: descended by the search.
        adam: its update.
        score: the deployed one, tracked by the search.
        encoder_score: of an image in [-1, 1] and its match at E(x), in encoder mode; None without an encoder.
        burn_in: points that the search passes through before scores count.
        needs_pixel_statistics: whether a score does; every graph that scores then takes the two maps.
    """

    generator: nn.Module
    encoder: nn.Module | None
    features: nn.Module
    loss: SearchLoss
    adam: Adam
    score: Score
    encoder_score: Callable[[Tensor, Match], Tensor] | None
    burn_in: int
    needs_pixel_statistics: bool

    def prepare(self, image: Tensor, best_score: Tensor, part: Tensor, threshold: Tensor) -> tuple[Tensor, ...]:
        """Return x, f(x) and whether any row is not done: what the loop needs once."""
        x = to_image(image)
        return x, self.features(x), (~cleared(best_score, part, threshold)).any()

    def iteration(self, x: Tensor, features: Tensor, state: State, threshold: Tensor, *pixels: Tensor) -> State:
        """Take one iteration of the search: forward, gradient, best so far, Adam."""

        def loss_and_score(latent: Tensor) -> tuple[Tensor, Tensor]:
            reconstruction = self.generator(latent)
            match = Match(x, reconstruction, features, self.features(reconstruction), *pixels)
            return search_loss(self.loss, match).sum(), self.score.of(match)

        gradient, score = torch.func.grad(loss_and_score, has_aux=True)(state.latent)
        return iterate(state, score, gradient, self.adam, threshold, self.burn_in)

    def body(self, x: Tensor, features: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return the next state without `part`, and whether any row is not done: the loop's body."""
        state, threshold, pixels = State(*rest[:7]), rest[7], rest[8:]
        following = self.iteration(x, features, state, threshold, *pixels)
        going = (~cleared(following.best_score, following.part, threshold)).any()
        return (going, *following[:6])

    def finish(self, x: Tensor, best_latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction (uint8, NHWC) and the residual (N,H,W) of the best latent."""
        reconstruction = self.generator(best_latent)
        return to_pixels(reconstruction), residual_map(x, reconstruction)

    def scores(self, image: Tensor, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Return latent, encoder score, start score, reconstruction and residual: the score graph."""
        if self.encoder is None or self.encoder_score is None:
            raise ValueError("the score graph needs an encoder")
        x = to_image(image)
        latent = self.encoder(x)
        reconstruction = self.generator(latent)
        match = Match(x, reconstruction, self.features(x), self.features(reconstruction), *pixels)
        encoder_score = self.encoder_score(x, match)
        residual = residual_map(x, reconstruction)
        return latent, encoder_score, self.score.of(match), to_pixels(reconstruction), residual


def compose(system: System, search: SearchRecord, score: str, encoder_score: str) -> Formulas:
    """Fold a system's networks and put its formulas together.

    Args:
        system: trained, in eval mode; it is not changed.
        search: the recipe's search.
        score: name of the deployed score.
        encoder_score: `paper`, or a name of a score taken at the encoder's latent.
    """
    folded = _fold_system(system)
    adam = Adam(search.learning_rate, search.beta1, search.beta2, search.epsilon, search.clip)
    loss = SearchLoss(search.feature_weight, search.reduction)
    return Formulas(
        folded.generator,
        folded.encoder,
        folded.features,
        loss,
        adam,
        SCORES[score],
        _encoder_score(folded, encoder_score) if folded.encoder is not None else None,
        search.burn_in,
        needs_pixel_statistics(score, encoder_score),
    )


def needs_pixel_statistics(*scores: str) -> bool:
    """Return whether one of the named scores does; `paper` never does."""
    return any(name in SCORES and SCORES[name].needs_pixel_statistics for name in scores)


def to_image(pixels: Tensor) -> Tensor:
    """Turn (N,H,W,C) uint8 into (N,C,H,W) float32 in [-1, 1]."""
    image: Tensor = to_unit_range(pixels.permute(0, 3, 1, 2).float())
    return image


def to_pixels(image: Tensor) -> Tensor:
    """Turn (N,C,H,W) float32 in [-1, 1] into (N,H,W,C) uint8, rounded."""
    return ((image + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _fold_system(system: System) -> System:
    folded = fold(system)
    if not isinstance(folded, System):
        raise TypeError("folding must keep the system's class")
    return folded


def _encoder_score(system: System, name: str) -> Callable[[Tensor, Match], Tensor]:
    if name == "paper":
        return lambda image, match: system.encoder_score(image)
    return lambda image, match: SCORES[name].of(match)
