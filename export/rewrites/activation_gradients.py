"""The gradient of a leaky ReLU, asked of what came out of it, and as one product.

PyTorch writes it as `where(x > 0, g, g * slope)`. What came out of the activation has the sign of what went in; read
from there, the mask leaves the layer before with one reader, so that every runtime computes the activation with the
convolution. And `g * where(y > 0, 1, slope)` goes over the gradient once, and stores it once, not twice.
"""

import itertools

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ganspect.export.rewrites.graphs import appended, constant


def simplify_activation_gradients(model: ir.Model) -> None:
    """Rewrite the gradients of leaky ReLUs with a positive slope, in place; every value stays what it is.

    Args:
        model: as traced.
    """
    for node in list(model.graph):
        if node.op_type == "LeakyRelu" and node.attributes.get_float("alpha", 0.01) > 0:
            _take_mask(model.graph, node)
        elif node.op_type == "Where":
            _take_slope(model.graph, node)
    RemoveUnusedNodesPass()(model)


def _take_mask(graph: ir.Graph, activation: ir.Node) -> None:
    value = activation.inputs[0]
    uses = [] if value is None else list(value.uses())
    masks = [user for user, index in uses if user.graph is graph and _is_mask(user, index)]
    after = set(itertools.dropwhile(lambda node: node is not activation, graph)) if masks else set()
    for mask in masks:
        if mask in after:
            mask.replace_input_with(0, activation.outputs[0])


def _is_mask(node: ir.Node, index: int) -> bool:
    return node.op_type == "Greater" and index == 0 and _number(node.inputs[1]) == 0.0


def _take_slope(graph: ir.Graph, node: ir.Node) -> None:
    condition, gradient, scaled = node.inputs
    product = scaled.producer() if scaled is not None else None
    if gradient is None or product is None or product.op_type != "Mul" or gradient not in product.inputs:
        return
    slope = next((value for value in product.inputs if value is not gradient), None)
    if slope is None or _number(slope) is None:
        return
    nodes: list[ir.Node] = []
    one = constant(nodes, f"{node.outputs[0].name}_one", 1.0, np.float32)
    slopes = appended(nodes, f"{node.outputs[0].name}_slopes", "Where", [condition, one, slope])
    moved = appended(nodes, f"{node.outputs[0].name}_moved", "Mul", [gradient, slopes])
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, [moved])


def _number(value: ir.Value | None) -> float | None:
    known = ir.convenience.get_const_tensor(value) if value is not None else None
    return float(known.numpy().reshape(())) if known is not None and known.size == 1 else None
