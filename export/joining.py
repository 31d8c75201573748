"""Traced models joined by value names: the means by which `step` and `search` are made of the same pieces."""

import sys
from collections.abc import Mapping, Sequence

import onnx
import onnx_ir
from onnx import helper
from onnx_ir.passes.common import DeduplicateInitializersPass, RemoveUnusedNodesPass


def renamed(graph: onnx.GraphProto, prefix: str, kept: Mapping[str, str]) -> onnx.GraphProto:
    """Return a copy whose values are called `kept[name]` where that is given, else `prefix` and their name."""
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    for node in copy.node:
        node.name = prefix + node.name
        node.input[:] = [name and kept.get(name, prefix + name) for name in node.input]
        node.output[:] = [name and kept.get(name, prefix + name) for name in node.output]
    for value in (*copy.input, *copy.output, *copy.initializer):
        value.name = kept.get(value.name, prefix + value.name)
    return copy


def joined(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    pieces: Sequence[onnx.GraphProto],
    like: onnx.ModelProto,
) -> onnx.ModelProto:
    """Return a model of the nodes, with the pieces' constants; equal constants once, unused nodes removed.

    Args:
        name: of the graph.
        nodes: in order.
        inputs: of the graph.
        outputs: of the graph.
        pieces: graphs whose initializers the nodes use.
        like: the model whose opset and IR version are taken.
    """
    constants = [tensor for piece in pieces for tensor in piece.initializer]
    graph = helper.make_graph(list(nodes), name, list(inputs), list(outputs), constants)
    model = helper.make_model(graph, opset_imports=list(like.opset_import), producer_name="ganspect")
    model.ir_version = like.ir_version
    tidy = onnx_ir.from_proto(model)
    RemoveUnusedNodesPass()(tidy)
    # The generator stands in the loop's body and after it: without this a runtime would load its weights twice.
    DeduplicateInitializersPass(size_limit=sys.maxsize)(tidy)
    return onnx_ir.to_proto(tidy)


def with_suffix(values: Sequence[onnx.ValueInfoProto], names: Sequence[str], suffix: str) -> list[onnx.ValueInfoProto]:
    """Return copies of the values with these names, in the names' order, renamed with the suffix."""
    by_name = {value.name: value for value in values}
    copies = []
    for name in names:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(by_name[name])
        copy.name = name + suffix
        copies.append(copy)
    return copies


def loop_body(loop: onnx.NodeProto) -> onnx.GraphProto:
    """Return the body of a Loop node."""
    body: onnx.GraphProto = next(attribute.g for attribute in loop.attribute if attribute.name == "body")
    return body
