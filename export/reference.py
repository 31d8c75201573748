"""The latent search in plain PyTorch with autograd, on the networks as trained: what every graph is compared with."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganspect.export.formulas import adam_of, loss_of, to_image, with_pixels
from ganspect.records import SearchRecord
from ganspect.scoring import State, find_score, iterate, search_loss
from ganspect.train.system import System


@dataclass(frozen=True)
class ReferenceSearch:
    """AnoGAN's search as one would write it in PyTorch; batch norm unfolded, gradient by autograd.

    Attributes:
        system: the trained system in evaluation mode.
        search: its settings.
        score: name of the tracked score.
    """

    system: System
    search: SearchRecord
    score: str
    _latest: list[Tensor] = field(default_factory=list)

    def iteration(self, image: Tensor, state: State, threshold: Tensor, pixels: tuple[Tensor, ...] = ()) -> State:
        """Take one iteration from `state`; `image` is (N,H,W,C) uint8."""
        following, _ = self.iteration_and_gradient(image, state, threshold, pixels)
        return following

    def iteration_and_gradient(
        self, image: Tensor, state: State, threshold: Tensor, pixels: tuple[Tensor, ...] = ()
    ) -> tuple[State, Tensor]:
        """Take one iteration and return the gradient of the search loss as well, (N,D)."""
        settings, weights = self.search, self.system.score_weights
        latent = state.latent.detach().requires_grad_()
        matched = self.system.match(self._represented(image), latent)
        loss = search_loss(loss_of(settings), matched).sum()
        (gradient,) = torch.autograd.grad(loss, latent)
        with torch.no_grad():
            score = find_score(self.score).of(with_pixels(matched, pixels), weights)
            return iterate(state, score, gradient, adam_of(settings), threshold, settings.burn_in), gradient

    def run(self, image: Tensor, state: State, steps: int, pixels: tuple[Tensor, ...] = ()) -> State:
        """Take `steps` iterations without early exit."""
        never = torch.tensor(float("-inf"))
        for _ in range(steps):
            state = self.iteration(image, state, never, pixels)
        return state

    def _represented(self, image: Tensor) -> Tensor:
        """Return x of images; a backbone sees the images of a search once, not at each of its iterations."""
        if not self._latest or self._latest[0] is not image:
            with torch.no_grad():
                self._latest[:] = [image, self.system.represent(to_image(image))]
        return self._latest[1]


def initial_state(latent: Tensor, part: Tensor | None = None) -> State:
    """Return the state before the first iteration from (N,D) start latents; each row its own part by default."""
    rows = latent.shape[0]
    zeros = torch.zeros_like(latent)
    return State(
        latent,
        zeros,
        zeros,
        torch.zeros(rows, dtype=torch.int64),
        torch.full((rows,), float("inf")),
        latent,
        torch.arange(rows) if part is None else part,
    )
