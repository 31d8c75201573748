"""The graphs of a bundle: which function each is, and its inputs and outputs by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor

from ganspect.export.formulas import Formulas
from ganspect.export.search_loop import CARRIED, Pieces, build_search, build_step
from ganspect.export.tracing import example_batch, trace
from ganspect.scoring import State

PIXEL_MAPS = ("pixel_mean", "pixel_deviation")
STATE = State._fields
STATE_OUT = tuple(f"{name}_out" for name in CARRIED)
SCORE_OUTPUTS = ("latent", "encoder_score", "start_score", "reconstruction", "residual")


@dataclass(frozen=True)
class Sizes:
    """The sizes that are fixed in the graphs.

    Attributes:
        size_hw: height and width of a tile in pixels.
        channels: 1 or 3.
        latent_size: D.
    """

    size_hw: tuple[int, int]
    channels: int
    latent_size: int


def graph_builders(formulas: Formulas, sizes: Sizes) -> dict[str, Callable[[], onnx.ModelProto]]:
    """Return, by name, what traces each graph.

    Without an encoder there is no `encoder` and no `score`; without networks that see anything, no `features`. In
    feature space there are `backbone` (images to x) and `picture` (x to pixels), and where residuals are weighed
    `distance` (x and a reconstruction to distances and the heat map).
    """
    example = _Example(formulas, sizes)
    search = _Search(formulas, example)
    builders = {
        "generator": lambda: trace(formulas.system.generator, [example.latent], ["latent"], ["image"]),
        "step": search.step,
        "search": search.search,
    }
    if views := list(formulas.system.views):
        builders["features"] = lambda: trace(formulas.see, example.seen_inputs, formulas.seen_inputs, views)
    if (encoder := formulas.system.encoder) is not None:
        builders["encoder"] = lambda: trace(encoder, [example.x], ["image"], ["latent"])
        builders["score"] = lambda: example.trace(formulas.scores, ["image", *example.maps], SCORE_OUTPUTS)
    if formulas.system.representation is not None:
        builders["backbone"] = lambda: trace(formulas.represent, [example.image], ["image"], ["x"])
        builders["picture"] = lambda: trace(formulas.picture, [example.x], ["x"], ["reconstruction"])
    if formulas.system.distance is not None:
        pair = [example.x, example.x * 0.5]
        builders["distance"] = lambda: trace(
            formulas.distances, pair, ["x", "reconstruction"], ["distance", "residual"]
        )
    return builders


class _Example:
    """Example inputs by name, and tracing by those names."""

    def __init__(self, formulas: Formulas, sizes: Sizes) -> None:
        random = torch.Generator().manual_seed(0)
        one = torch.zeros(1, *sizes.size_hw, sizes.channels, dtype=torch.uint8)
        with torch.no_grad():
            x = formulas.represent(one)
            seen = formulas.see(x, torch.zeros(1, sizes.latent_size) if formulas.system.anchored else None)
            inner = {size for tensor in (x, *seen) for size in tensor.shape}
            batch = example_batch({*sizes.size_hw, sizes.channels, sizes.latent_size, *inner})
            image = torch.randint(0, 256, (batch, *sizes.size_hw, sizes.channels), dtype=torch.uint8, generator=random)
            self.x = formulas.represent(image).contiguous()
        self.image = image
        self.latent = torch.randn(batch, sizes.latent_size, generator=random)
        self.seen_inputs = [self.x, self.latent] if formulas.system.anchored else [self.x]
        with torch.no_grad():
            seen = formulas.see(*self.seen_inputs)
        self.maps = PIXEL_MAPS if formulas.deployed.needs_pixel_statistics else ()
        zeros = torch.zeros_like(self.latent)
        self._tensors: dict[str, Tensor] = {
            "image": image,
            "x": self.x,
            "anchor": self.latent.clone(),
            **dict(zip(formulas.system.views, seen, strict=True)),
            **dict(zip(STATE, _state(self.latent, zeros), strict=True)),
            "threshold": torch.tensor(0.0),
            "pixel_mean": torch.zeros(sizes.size_hw),
            "pixel_deviation": torch.ones(sizes.size_hw),
        }

    def trace(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        differentiates: bool = False,
    ) -> onnx.ModelProto:
        tensors = [self._tensors[name] for name in inputs]
        return trace(function, tensors, inputs, outputs, differentiates=differentiates)


def _state(latent: Tensor, zeros: Tensor) -> State:
    rows = torch.arange(latent.shape[0])
    # Every start tensor is its own: tracing treats one tensor given twice as one input.
    return State(
        latent, zeros.clone(), zeros.clone(), torch.zeros_like(rows), zeros[:, 0] + torch.inf, latent.clone(), rows
    )


class _Search:
    """The graphs made of the search's pieces, which are traced when the first of them is asked for."""

    def __init__(self, formulas: Formulas, example: _Example) -> None:
        self._formulas = formulas
        self._example = example

    def step(self) -> onnx.ModelProto:
        return build_step(self._pieces, self._inputs(["image", *STATE, "threshold", *self._example.maps]))

    def search(self) -> onnx.ModelProto:
        return build_search(self._pieces, self._inputs(["image", *STATE, "steps", "threshold", *self._example.maps]))

    @cached_property
    def _pieces(self) -> Pieces:
        formulas, example = self._formulas, self._example
        once = ["x", *formulas.fixed]
        body_inputs = [*once, *STATE, "threshold", *example.maps]
        return Pieces(
            example.trace(formulas.prepare, ["image", "best_score", "part", "threshold"], [*once, "going"]),
            example.trace(formulas.body, body_inputs, ["going", *STATE_OUT], differentiates=True),
            example.trace(formulas.finish, ["x", "best_latent"], ["reconstruction", "residual"]),
        )

    def _inputs(self, names: Sequence[str]) -> list[onnx.ValueInfoProto]:
        pieces = self._pieces
        known = {value.name: value for piece in (pieces.prepare, pieces.body) for value in piece.graph.input}
        known["steps"] = helper.make_tensor_value_info("steps", TensorProto.INT64, [])
        return [known[name] for name in names]
