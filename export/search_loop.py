"""The step and search graphs, joined from the same traced pieces: prepare once, iterate, finish.

The search is an ONNX Loop whose body is one iteration. Weights, x, f(x), `part` and `threshold` are taken by the body
from the outer graph and only the state is carried, so the memory does not grow with the steps. TensorRT's parser
wants a real tensor for the Loop's condition and names that are unique across body and outer graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from ganspect.export.joining import joined, renamed, with_suffix

CARRIED = ("latent", "adam_m", "adam_v", "step", "best_score", "best_latent")
"""The state's fields that an iteration changes; `part` is constant."""

_GOING = "search_is_going"


@dataclass(frozen=True)
class Pieces:
    """Traced models of one search.

    Attributes:
        prepare: image, best_score, part, threshold -> x, what is fixed of it (features, …), going.
        body: x, what is fixed, the state, threshold[, pixel maps] -> going, the carried state.
        finish: x, best_latent -> reconstruction, residual.
    """

    prepare: onnx.ModelProto
    body: onnx.ModelProto
    finish: onnx.ModelProto

    def prepared(self) -> onnx.GraphProto:
        """Return `prepare` under the names that the other pieces use."""
        shared = {value.name: value.name for value in (*self.prepare.graph.input, *self.prepare.graph.output)}
        return renamed(self.prepare.graph, "prepare_", shared | {"going": _GOING})

    def carried_out(self) -> list[onnx.ValueInfoProto]:
        """Return the carried state as outputs, with the suffix `_out`."""
        return with_suffix(list(self.body.graph.input), CARRIED, "_out")


def build_step(pieces: Pieces, inputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """Join prepare and body into the step graph: one iteration, no Loop."""
    before = pieces.prepared()
    outputs = pieces.carried_out()
    names = {value.name: value.name for value in (*pieces.body.graph.input, *outputs)}
    body = renamed(pieces.body.graph, "body_", names)
    return joined("step", [*before.node, *body.node], inputs, outputs, [before, body], pieces.body)


def build_search(pieces: Pieces, inputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """Join the pieces into the search graph; `inputs` has `steps` beside the state."""
    before = pieces.prepared()
    names = {"x": "x", "best_latent": "best_latent_out", "reconstruction": "reconstruction", "residual": "residual"}
    after = renamed(pieces.finish.graph, "finish_", names)
    body = _loop_body(pieces.body.graph)
    loop = helper.make_node(
        "Loop",
        ["steps", _GOING, *CARRIED],
        [value.name for value in pieces.carried_out()],
        name="search_loop",
        body=helper.make_graph(list(body.node), "iteration", list(body.input), list(body.output)),
    )
    outputs = [*pieces.carried_out(), *after.output]
    return joined("search", [*before.node, loop, *after.node], inputs, outputs, [before, body, after], pieces.body)


def _loop_body(body: onnx.GraphProto) -> onnx.GraphProto:
    """Return the body with a Loop's inputs; what is not carried keeps the outer graph's name and is captured."""
    captured = {value.name: value.name for value in body.input if value.name not in CARRIED}
    inner = renamed(body, "body_", captured)
    carried = {value.name: value for value in inner.input}
    iteration = helper.make_tensor_value_info("body_iteration", TensorProto.INT64, [])
    condition = helper.make_tensor_value_info("body_condition", TensorProto.BOOL, [])
    inputs = [iteration, condition, *(carried[f"body_{name}"] for name in CARRIED)]
    del inner.input[:]
    inner.input.extend(inputs)
    return inner
