"""The convolutions of a graph, and what lies between them, in float16 or bfloat16; everything else stays in float32.

Lowered are the convolutions with many channels and the activations, gradients of activations and rearrangements that
pass values from one to the next. The image side (first and last convolution), linear layers, sums of the loss, scores
and Adam's state stay in float32: pixels in bfloat16 are off by a grey level, and the search adds up its steps. The
graph says so with casts, so every runtime that takes it computes the same, and none has to guess.

Weights are cast in the graph, from the float32 ones that all graphs share; a runtime folds that when it loads.
"""

from collections.abc import Collection
from typing import Literal, TypeAlias

import onnx
import onnx_ir as ir

from ganspect.export.rewrites.graphs import graphs_of

LowPrecision: TypeAlias = Literal["fp16", "bf16"]

BF16_OPSET = 22
"""The first opset whose convolutions take bfloat16."""

_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
_CONVOLUTIONS = ("Conv", "ConvTranspose")
_LEAST_CHANNELS = 8
_PASSING = {"Relu": (0,), "LeakyRelu": (0,), "DepthToSpace": (0,), "Concat": None, "Where": (1, 2), "Mul": (0, 1)}
"""Operators that pass values on, and which of their inputs are floats (None: all)."""
_ENDING = ("Relu", "DepthToSpace", "Concat", "Where", "Mul")
"""Those that may end a chain: results are values that went in, or zero, or a gradient times a slope."""

_COMPARING = {"Greater": (0, 1), "Less": (0, 1), "LessOrEqual": (0, 1), "GreaterOrEqual": (0, 1)}


def lower(model: onnx.ModelProto, precision: LowPrecision) -> onnx.ModelProto:
    """Return a model with its large convolutions in a lower precision; inputs and outputs keep their types.

    Args:
        model: in float32, loop bodies included; rewrites go before. It is not changed.
        precision: `fp16` or `bf16`; a bf16 model has opset 22.
    """
    lowered = ir.from_proto(model)
    for graph in graphs_of(lowered):
        _Lowering(graph, _TYPES[precision], precision).run()
    if precision == "bf16":
        lowered.graph.opset_imports[""] = BF16_OPSET
    return ir.to_proto(lowered)


class _Lowering:
    """Lowers one graph."""

    def __init__(self, graph: ir.Graph, dtype: ir.DataType, name: str) -> None:
        self._graph = graph
        self._dtype = dtype
        self._name = name
        self._casts: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        region = self._region()
        for node in [node for node in self._graph if node in region]:
            for index in self._floats(node):
                value = node.inputs[index]
                if value is not None and value.producer() not in region:
                    node.replace_input_with(index, self._cast(value))
        for node in [node for node in self._graph if node in region and node.op_type not in _COMPARING]:
            self._raise(node, region)

    def _region(self) -> set[ir.Node]:
        region = {node for node in self._graph if is_large_convolution(node)}
        while found := {node for node in self._graph if node not in region and self._joins(node, region)}:
            region |= found
        return region

    def _joins(self, node: ir.Node, region: Collection[ir.Node]) -> bool:
        """Return whether a node passes on, or compares, values that are in low precision, or soon will be."""
        if node.op_type not in _PASSING and node.op_type not in _COMPARING:
            return False
        values = [value for index in self._floats(node) if not _is_free(value := node.inputs[index])]
        inside = [value is not None and value.producer() in region for value in values]
        if node.op_type in _COMPARING:
            known = zip(inside, values, strict=True)
            return bool(values) and all(is_inside or _is_lowered(value, region) for is_inside, value in known)
        return self._passes(node, region, len(values), all(inside))

    def _passes(self, node: ir.Node, region: Collection[ir.Node], count: int, inside: bool) -> bool:
        """Return whether a node with `count` values, all of the region or not, passes them on in low precision."""
        users = list(node.outputs[0].consumers())
        if node.op_type == "Mul" and count > 1:
            return False  # a square, say, of which a loss is made: only a product with a slope passes values on
        if count and inside:
            # The end of a chain, which only float32 reads, gains nothing where it would round once more.
            return node.op_type in _ENDING or any(user in region or user.op_type in _PASSING for user in users)
        # What only low precision reads is rounded in any case: before rather than after, at half the bytes. But an
        # activation belongs to the convolution before it.
        read = [user for user in users if user.op_type not in _COMPARING]
        is_read = bool(read) and all(user in region for user in read) and not node.outputs[0].is_graph_output()
        return node.op_type == "Where" and count <= 1 and is_read

    def _floats(self, node: ir.Node) -> Collection[int]:
        table = {**_PASSING, **_COMPARING}
        wanted = table.get(node.op_type)
        return range(len(node.inputs)) if wanted is None else wanted

    def _cast(self, value: ir.Value) -> ir.Value:
        if value not in self._casts:
            cast = ir.node("Cast", [value], {"to": self._dtype})
            cast.name = cast.outputs[0].name = f"{value.name}_{self._graph.name}_{self._name}"
            producer = value.producer()
            if producer is not None and producer.graph is self._graph:
                self._graph.insert_after(producer, [cast])
            else:
                self._graph.insert_before(self._graph[0], [cast])
            self._casts[value] = cast.outputs[0]
        return self._casts[value]

    def _raise(self, node: ir.Node, region: Collection[ir.Node]) -> None:
        value = node.outputs[0]
        users = [(user, index) for user, index in value.uses() if user not in region]
        is_output = value in self._graph.outputs
        if not users and not is_output:
            return
        cast = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
        widened = cast.outputs[0]
        widened.name = cast.name = f"{value.name}_fp32"
        self._graph.insert_after(node, [cast])
        for user, index in users:
            user.replace_input_with(index, widened)
        if is_output:
            widened.shape, widened.type = value.shape, value.type
            widened.name, value.name = value.name, f"{value.name}_{self._name}"
            value.type = None
            self._graph.outputs[self._graph.outputs.index(value)] = widened


def is_large_convolution(node: ir.Node) -> bool:
    """Return whether a node is a convolution with many channels on both sides, so not the one at the image."""
    if node.op_type not in _CONVOLUTIONS:
        return False
    weight = node.inputs[1]
    while weight is not None and (maker := weight.producer()) is not None and maker.inputs:
        # A phase's kernel is taken out of the weight that it is derived from.
        weight = maker.inputs[0]
    if weight is None or not weight.is_initializer() or weight.shape is None:
        return False  # a kernel of ones and zeros, say, that a rewrite put there
    return all(isinstance(size, int) and size >= _LEAST_CHANNELS for size in weight.shape[:2])


def _is_lowered(value: ir.Value | None, region: Collection[ir.Node]) -> bool:
    """Return whether something in the region reads a value, so that it is there in low precision too."""
    return value is not None and any(user in region and user.op_type not in _COMPARING for user in value.consumers())


def _is_free(value: ir.Value | None) -> bool:
    """Return whether a value can be had in any precision: a constant, or a choice between constants."""
    if value is None or value.is_initializer():
        return True
    producer = value.producer()
    if producer is None:
        return False
    chooses = producer.op_type == "Where" and all(_is_free(choice) for choice in producer.inputs[1:])
    return producer.op_type == "Constant" or chooses
