"""The search graph: prepare once, then an ONNX Loop whose body is one iteration, then the best latent's residual.

Weights, x, f(x), `part` and `threshold` are taken by the body from the outer graph; only the state is carried. So
the memory does not grow with the steps. TensorRT's parser wants a real tensor for the Loop's condition and
names that are unique across body and outer graph.
"""

import sys
from collections.abc import Sequence

import onnx
import onnx_ir
from onnx import TensorProto, helper
from onnx_ir.passes.common import DeduplicateInitializersPass

CARRIED = ("latent", "adam_m", "adam_v", "step", "best_score", "best_latent")
"""The state's fields that an iteration changes; `part` is constant."""

_GOING = "search_is_going"


def build_search(
    prepare: onnx.ModelProto, body: onnx.ModelProto, finish: onnx.ModelProto, inputs: Sequence[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """Join three traced models into the search graph.

    Args:
        prepare: image, best_score, part, threshold -> x, features, going.
        body: x, features, the state, threshold[, pixel maps] -> going, the carried state.
        finish: x, best_latent -> reconstruction, residual.
        inputs: the search graph's, `steps` among them.

    Returns:
        The model; outputs are the carried state with the suffix `_out`, `reconstruction` and `residual`.
    """
    before = _renamed(prepare.graph, "prepare_", {"x": "x", "features": "features", "going": _GOING})
    inner = _renamed(body.graph, "body_", {})
    carried_out = {"best_latent": "best_latent_out", "reconstruction": "reconstruction", "residual": "residual"}
    after = _renamed(finish.graph, "finish_", carried_out)
    outputs = [*_carried_outputs(body.graph), *after.output]
    graph = helper.make_graph(
        [*before.node, _loop(body.graph, inner), *after.node],
        "search",
        list(inputs),
        outputs,
        [*before.initializer, *inner.initializer, *after.initializer],
    )
    model = helper.make_model(graph, opset_imports=list(body.opset_import), producer_name="ganspect")
    model.ir_version = body.ir_version
    return _with_each_constant_once(model)


def _with_each_constant_once(model: onnx.ModelProto) -> onnx.ModelProto:
    # The generator stands in the body and after it: without this a runtime would load its weights twice.
    merged = onnx_ir.from_proto(model)
    DeduplicateInitializersPass(size_limit=sys.maxsize)(merged)
    return onnx_ir.to_proto(merged)


def _loop(original: onnx.GraphProto, inner: onnx.GraphProto) -> onnx.NodeProto:
    """Make the Loop node; `inner` is `original` with its names made unique."""
    by_name = dict(zip((value.name for value in original.input), inner.input, strict=True))
    iteration = helper.make_tensor_value_info("body_iteration", TensorProto.INT64, [])
    condition = helper.make_tensor_value_info("body_condition", TensorProto.BOOL, [])
    carried = [by_name[name] for name in CARRIED]
    # What is not carried keeps the outer graph's name and is captured from there.
    for name, value in by_name.items():
        if name not in CARRIED:
            _replace(inner, value.name, name)
    loop_body = helper.make_graph(list(inner.node), "iteration", [iteration, condition, *carried], list(inner.output))
    outputs = [f"{name}_out" for name in CARRIED]
    return helper.make_node("Loop", ["steps", _GOING, *CARRIED], outputs, name="search_loop", body=loop_body)


def _carried_outputs(body: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    infos = []
    for value in body.input:
        if value.name in CARRIED:
            info = onnx.ValueInfoProto()
            info.CopyFrom(value)
            info.name = f"{value.name}_out"
            infos.append(info)
    return sorted(infos, key=lambda info: CARRIED.index(info.name.removesuffix("_out")))


def _renamed(graph: onnx.GraphProto, prefix: str, kept: dict[str, str]) -> onnx.GraphProto:
    """Return a copy in which every value has the prefix, except inputs of the whole graph and those in `kept`."""
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    shared = {} if prefix == "body_" else {value.name: value.name for value in graph.input} | kept
    produced = [*graph.input, *graph.output, *graph.initializer]
    names = {value.name for value in produced} | {name for node in graph.node for name in (*node.input, *node.output)}
    mapping = {name: shared.get(name, prefix + name) for name in names if name}
    for node in copy.node:
        node.name = prefix + node.name
        node.input[:] = [mapping.get(name, "") for name in node.input]
        node.output[:] = [mapping.get(name, "") for name in node.output]
    for value in (*copy.input, *copy.output, *copy.initializer):
        value.name = mapping[value.name]
    return copy


def _replace(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
