"""AnoGAN's search in PyTorch without anything that it could do without: what a benchmark sets the graphs against.

search = LeanSearch(formulas_of(run.system, bundle))
state = search.run(image, latent, steps=20)

Weights as trained, batch norm in its place; what is fixed of an image is computed once; no gradient is recorded where
none is needed; the gradient is autograd's, loss, score and Adam are `ganspect.scoring`'s, and without an early exit
none of its masks are computed.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from ganspect.bundle import Bundle
from ganspect.export.formulas import BESIDE_VIEWS, Deployed, Formulas, adam_of, loss_of, with_pixels
from ganspect.export.reference import initial_state
from ganspect.scoring import Match, ScoreWeights, State, adam_step, find_score, search_loss
from ganspect.train.system import System, matched


class Prepared(NamedTuple):
    """What a search needs of its images, computed once.

    Attributes:
        x: (N,C,H,W) in [-1, 1].
        fixed: what the networks see in them.
        pixels: the two pixel maps, or nothing.
    """

    x: Tensor
    fixed: dict[str, Tensor]
    pixels: tuple[Tensor, ...]


class LeanSearch:
    """AnoGAN's search in PyTorch without anything that it could do without.

    Attributes:
        formulas: the bundle's formulas on networks as trained.
    """

    def __init__(self, formulas: Formulas, *, compiled: bool = False) -> None:
        """Take the formulas; compiled: an iteration goes through torch.compile when first taken."""
        self.formulas = formulas
        self._iterate: Callable[[Prepared, State], State] = self._by_autograd
        if compiled:
            self._iterate = torch.compile(self._by_function, dynamic=False)

    def prepare(self, image: Tensor, pixels: tuple[Tensor, ...] = ()) -> Prepared:
        """Return what is fixed of (N,H,W,C) uint8 images."""
        rows = len(image)
        with torch.no_grad():
            x, *fixed, _ = self.formulas.prepare(
                image, torch.full((rows,), torch.inf), torch.arange(rows), torch.tensor(-torch.inf)
            )
        return Prepared(x, dict(zip(self.formulas.fixed, fixed, strict=True)), pixels)

    def iteration(self, prepared: Prepared, state: State) -> State:
        """Take one iteration."""
        return self._iterate(prepared, state)

    def run(self, image: Tensor, latent: Tensor, steps: int, pixels: tuple[Tensor, ...] = ()) -> State:
        """Take K iterations from (N,D) start latents, then reconstruct the best point, as the search graph does."""
        prepared, state = self.prepare(image, pixels), initial_state(latent)
        for _ in range(steps):
            state = self._iterate(prepared, state)
        with torch.inference_mode():
            reconstruction = self.formulas.system.generator(state.best_latent)
            self.formulas.shown(prepared.x, reconstruction)
        return state

    def scores(self, image: Tensor, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Return what the score graph returns of (N,H,W,C) uint8 images, and see in them only what its scores need."""
        formulas, x = self.formulas, self.formulas.represent(image)
        system, names = formulas.system, formulas.deployed.names
        latent = system.encode(x)
        reconstruction = system.generator(latent)
        if frozenset().union(*(find_score(name).needs for name in names)) <= BESIDE_VIEWS:
            match = Match(x, reconstruction)
        else:
            anchor = latent if system.anchored or "code" in system.views else None
            seen, seen_in_it = system.see(x, anchor), system.see(reconstruction, anchor)
            match = matched(x, seen, reconstruction, seen_in_it, anchor)
        match = with_pixels(system.with_latent(system.with_distance(match), latent), pixels)
        scores = (find_score(name).of(match, formulas.weights) for name in names)
        return latent, *scores, *formulas.shown(x, reconstruction)

    def _by_autograd(self, prepared: Prepared, state: State) -> State:
        formulas, latent = self.formulas, state.latent.detach().requires_grad_()
        match = formulas.match(prepared.x, prepared.fixed, latent, prepared.pixels)
        (gradient,) = torch.autograd.grad(search_loss(formulas.loss, match).sum(), latent)
        with torch.no_grad():
            return self._advance(state, formulas.score.of(match, formulas.weights), gradient)

    def _by_function(self, prepared: Prepared, state: State) -> State:
        formulas = self.formulas

        def loss_and_score(latent: Tensor) -> tuple[Tensor, Tensor]:
            match = formulas.match(prepared.x, prepared.fixed, latent, prepared.pixels)
            return search_loss(formulas.loss, match).sum(), formulas.score.of(match, formulas.weights)

        gradient, score = torch.func.grad(loss_and_score, has_aux=True)(state.latent)
        return self._advance(state, score, gradient)

    def _advance(self, state: State, score: Tensor, gradient: Tensor) -> State:
        better = (score < state.best_score) & (state.step >= self.formulas.burn_in)
        step = state.step + 1
        latent, adam_m, adam_v = adam_step(state, gradient, step, self.formulas.adam)
        return State(
            latent,
            adam_m,
            adam_v,
            step,
            torch.where(better, score, state.best_score),
            torch.where(better[:, None], state.latent, state.best_latent),
            state.part,
        )


def formulas_of(system: System, bundle: Bundle) -> Formulas:
    """Return a bundle's formulas on networks as trained; weights that are computed from others are computed once."""
    for module in list(system.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)
    search, scores = bundle.manifest.search, bundle.manifest.scores
    return Formulas(
        system.requires_grad_(False),
        loss_of(search),
        adam_of(search),
        Deployed(scores.search, scores.encoder),
        ScoreWeights(scores.feature_weight, scores.alpha, scores.kappa, scores.deviations),
        search.burn_in,
    )
