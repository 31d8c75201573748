"""Proof that exported graphs compute what PyTorch computes, on fresh random images and latents.

Exporters have frozen gradients into constants without a word (pytorch issue 89675), so the inputs here are never
those that were traced, and the batch sizes (1 and 5) are others too. Free runs are compared by their best score
only: the L1 loss has a sign gradient, and under Adam two correct searches drift apart.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from ganspect.errors import VerificationError
from ganspect.export.formulas import Deployed, to_image, to_pixels, with_pixels
from ganspect.export.graphs import PIXEL_MAPS, STATE, STATE_OUT, Sizes
from ganspect.export.reference import ReferenceSearch, initial_state
from ganspect.export.variants import file_name
from ganspect.scoring import State, find_score

BATCHES: Mapping[int, int] = {1: 3, 5: 1}
"""Batch sizes, and on how many batches of fresh images single steps are compared: a median is of three rows or more."""

STEPS = (0, 5, 19)
FREE_STEPS = 20
_FORM_BATCHES: Mapping[int, int] = {5: 1}
_FORM_STEPS = (0,)
_SEED = 20_170_317
_LEAST_GRADIENT = 1e-15
"""Squares of smaller gradients, as Adam takes them, are subnormal in float32 (a generator that never learnt)."""

Figures: TypeAlias = dict[str, float]

TOLERANCES: Mapping[str, float] = {
    "function": 1e-4,
    "score": 1e-4,
    "gradient_median": 1e-4,
    "gradient_worst": 5e-2,
    "latent": 1e-3,
    "free_run": 2e-2,
    "pixels": 0.02,
}
"""Largest allowed differences.

function, score: relative to the largest value. gradient_median, gradient_worst: relative error of a row's gradient in
the 2-norm; a pixel or feature whose difference is within rounding of zero changes the sign that L1's gradient takes
there, and an activation near zero its slope, which is why single rows may be off by more than the median. latent:
difference after one Adam step, in learning rates, of the median row, latents weighted by their gradients: Adam moves
one whose gradient is nothing but rounding by a full learning rate as well. free_run: relative difference of best
scores after 20 counted iterations. pixels: share of reconstruction pixels that differ by more than one grey level.
"""


@dataclass(frozen=True)
class _StepErrors:
    """How far a graph's step of a batch is from PyTorch's: (N,) gradients, (N,) latents, and scores if they count."""

    gradient: Tensor
    latent: Tensor
    score: Tensor | None


class ParityCheck:
    """Compares the graphs in a folder with a system in PyTorch."""

    def __init__(
        self, folder: Path, reference: ReferenceSearch, sizes: Sizes, encoder_score: str, *, form: str | None = None
    ) -> None:
        """Prepare the comparison.

        Args:
            folder: the graphs'.
            reference: what they are compared with.
            sizes: sizes of images and latents.
            encoder_score: the encoder's score as the recipe names it.
            form: the form that is compared (`ganspect.export.variants`); a graph without it is compared as it is.
        """
        self._folder = folder
        self._form = form
        self._reference = reference
        self._sizes = sizes
        self._deployed = Deployed.by(reference.system, reference.score, encoder_score)
        self._random = torch.Generator().manual_seed(_SEED)
        self._figures: Figures = {}
        self._batches: Mapping[int, int] = BATCHES
        self._steps: tuple[int, ...] = STEPS

    def run(self) -> Figures:
        """Compare every graph at every batch size.

        Returns:
            The largest difference found, by what was compared.

        Raises:
            VerificationError: a difference is over its tolerance or not a number; says which and by how much.
        """
        system = self._reference.system
        # A rewritten form computes the same nodes in another shape: a batch of fresh rows shows whether it does.
        if self._form is not None:
            self._batches, self._steps = _FORM_BATCHES, _FORM_STEPS
        for batch in self._batches:
            self._function("generator", {"latent": self._latent(batch)}, system.generator)
            self._seen(batch)
            if system.encoder is not None:
                self._function("encoder", {"image": self._x(self._image(batch))}, system.encoder)
            self._representation(batch)
            if self._deployed.encoder is not None:
                self._scores(batch, self._deployed.encoder)
            self._one_step(batch)
            self._free_run(batch)
        return self._figures

    def _function(self, name: str, inputs: dict[str, Tensor], function: Callable[[Tensor], Tensor]) -> None:
        with torch.no_grad():
            expected = function(*inputs.values())
        (given,) = self._graph(name, inputs)
        self._note("function", name, _relative(given, expected))

    def _representation(self, batch: int) -> None:
        """Compare what only bundles in feature space, or with weighed residuals, have."""
        system, image = self._reference.system, self._image(batch)
        x = self._x(image)
        if system.representation is not None:
            self._function("backbone", {"image": image}, self._x)
            (picture,) = self._graph("picture", {"x": x})
            with torch.no_grad():
                self._note("pixels", "picture", _pixels_off(picture, to_pixels(system.picture(x))))
        if system.distance is not None:
            with torch.no_grad():
                reconstruction = system.generator(self._latent(batch))
                expected = system.distance(x, reconstruction), system.heat_map(x, reconstruction)
            given = self._graph("distance", {"x": x, "reconstruction": reconstruction})
            for name, got, wanted in zip(("distance", "heat map"), given, expected, strict=True):
                self._note("function", name, _relative(got, wanted))

    def _x(self, image: Tensor) -> Tensor:
        with torch.no_grad():
            return self._reference.system.represent(to_image(image))

    def _seen(self, batch: int) -> None:
        system, inputs = self._reference.system, {"image": self._x(self._image(batch))}
        if not system.views:
            return
        if system.anchored:
            inputs["latent"] = self._latent(batch)
        with torch.no_grad():
            expected = system.see(inputs["image"], inputs.get("latent"))
        for view, given in zip(system.views, self._graph("features", inputs), strict=True):
            self._note("function", f"features graph, {view}", _relative(given, getattr(expected, view)))

    def _scores(self, batch: int, encoder_score: str) -> None:
        system, image, pixels = self._reference.system, self._image(batch), self._pixels()
        with torch.no_grad():
            x = self._x(image)
            latent = system.encode(x)
            matched = with_pixels(system.match(x, latent), pixels)
            weights = system.score_weights
            start, encoder = (find_score(name).of(matched, weights) for name in (self._deployed.search, encoder_score))
            residual, picture = system.heat_map(x, matched.reconstruction), system.picture(matched.reconstruction)
        inputs = {"image": image} | dict(zip(PIXEL_MAPS, pixels, strict=False))
        got_latent, got_encoder, got_start, got_pixels, got_residual = self._graph("score", inputs)
        self._note("function", "score latent", _relative(got_latent, latent))
        self._note("score", "encoder_score", _relative(got_encoder, encoder))
        self._note("score", "start_score", _relative(got_start, start))
        self._note("function", "score residual", _relative(got_residual, residual))
        self._note("pixels", "score reconstruction", _pixels_off(got_pixels, to_pixels(picture)))

    def _one_step(self, batch: int) -> None:
        errors: dict[str, list[_StepErrors]] = {}
        for _ in range(self._batches[batch]):
            for name, found in self._trajectory(batch):
                errors.setdefault(name, []).append(found)
        for name, of_batches in errors.items():
            gradients = torch.cat([found.gradient for found in of_batches])
            self._note("gradient_median", name, gradients.median())
            self._note("gradient_worst", name, gradients.max())
            self._note("latent", name, torch.cat([found.latent for found in of_batches]).median())
            for found in of_batches:
                if found.score is not None:
                    self._note("score", name, found.score)

    def _trajectory(self, batch: int) -> Iterator[tuple[str, "_StepErrors"]]:
        """Search fresh images from fresh latents in PyTorch; yield how far one step of either graph is from its own."""
        image, pixels = self._image(batch), self._pixels()
        never = torch.tensor(float("-inf"))
        state = initial_state(self._latent(batch))
        for step in range(max(self._steps) + 1):
            # With the best score forgotten, the next best score is the score at this latent.
            forgetful = state._replace(best_score=torch.full((batch,), float("inf")))
            following, gradient = self._reference.iteration_and_gradient(image, forgetful, never, pixels)
            if step in self._steps:
                inputs = _search_inputs(image, forgetful, pixels) | {"threshold": never}
                for graph, limits in (("step", {}), ("search", {"steps": torch.tensor(1)})):
                    given = dict(zip(STATE_OUT, self._graph(graph, inputs | limits), strict=False))
                    yield f"{graph} graph, iteration {step}", self._errors(given, forgetful, following, gradient)
            state = following

    def _errors(self, given: Mapping[str, Tensor], state: State, following: State, gradient: Tensor) -> "_StepErrors":
        settings = self._reference.search
        got_gradient = (given["adam_m_out"] - state.adam_m * settings.beta1) / (1 - settings.beta1)
        weights = torch.where(gradient.abs() > _LEAST_GRADIENT, gradient.abs(), 0)
        weights = weights / weights.sum(1, keepdim=True).clamp(min=_LEAST_GRADIENT)
        counted = bool(torch.isfinite(following.best_score).all())
        return _StepErrors(
            (got_gradient - gradient).norm(dim=1) / gradient.norm(dim=1).clamp(min=_LEAST_GRADIENT),
            ((given["latent_out"] - following.latent).abs() * weights).sum(1) / settings.learning_rate,
            _relative(given["best_score_out"], following.best_score) if counted else None,
        )

    def _free_run(self, batch: int) -> None:
        image, pixels = self._image(batch), self._pixels()
        state = initial_state(self._latent(batch))
        steps = FREE_STEPS + self._reference.search.burn_in
        expected = self._reference.run(image, state, steps, pixels).best_score
        limits = {"steps": torch.tensor(steps), "threshold": torch.tensor(float("-inf"))}
        outputs = self._graph("search", _search_inputs(image, state, pixels) | limits)
        given = dict(zip((*STATE_OUT, "reconstruction", "residual"), outputs, strict=True))
        self._note("free_run", "search", ((given["best_score_out"] - expected).abs() / expected.abs()).max())
        with torch.no_grad():
            system = self._reference.system
            best = system.generator(given["best_latent_out"])
            picture, residual = system.picture(best), system.heat_map(self._x(image), best)
        self._note("pixels", "search reconstruction", _pixels_off(given["reconstruction"], to_pixels(picture)))
        self._note("function", "search residual", _relative(given["residual"], residual))

    def _graph(self, name: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        outputs = self._session(name).run(
            None, {key: np.ascontiguousarray(tensor.numpy()) for key, tensor in inputs.items()}
        )
        return [torch.from_numpy(np.array(output)) for output in outputs]

    @cache  # noqa: B019 - a check lives for a moment
    def _session(self, name: str) -> onnxruntime.InferenceSession:
        formed = self._folder / file_name(name, self._form)
        path = formed if formed.is_file() else self._folder / file_name(name)
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def _note(self, kind: str, what: str, difference: Tensor) -> None:
        value = float(difference)
        key = f"{what}: {kind}" if self._form is None else f"{self._form}: {what}: {kind}"
        if not value <= TOLERANCES[kind]:
            raise VerificationError(
                f"the exported graphs differ from PyTorch: {key}: {value:.3g}, at most {TOLERANCES[kind]:.3g} "
                "is allowed; nothing was written: report this with the run's config.yaml"
            )
        self._figures[key] = max(value, self._figures.get(key, 0.0))

    def _image(self, batch: int) -> Tensor:
        shape = (batch, *self._sizes.size_hw, self._sizes.channels)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=self._random)

    def _latent(self, batch: int) -> Tensor:
        return torch.randn(batch, self._sizes.latent_size, generator=self._random)

    def _pixels(self) -> tuple[Tensor, ...]:
        if not self._deployed.needs_pixel_statistics:
            return ()
        mean = torch.rand(self._sizes.size_hw, generator=self._random)
        return mean, torch.rand(self._sizes.size_hw, generator=self._random) + 0.1


def _search_inputs(image: Tensor, state: State, pixels: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return {"image": image, **dict(zip(STATE, state, strict=True)), **dict(zip(PIXEL_MAPS, pixels, strict=False))}


def _relative(given: Tensor, expected: Tensor) -> Tensor:
    return (given - expected).abs().max() / expected.abs().max().clamp(min=_LEAST_GRADIENT)


def _pixels_off(given: Tensor, expected: Tensor) -> Tensor:
    return ((given.int() - expected.int()).abs() > 1).float().mean()
