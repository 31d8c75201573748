"""A tensor whose elements are all one number is that number.

The gradient of a mean is the same number for every pixel. PyTorch makes a tensor of it, of the batch's size, so no
optimizer of graphs can fold it: each iteration would expand, divide and reshape it, and read it pixel by pixel.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ganspect.export.rewrites.graphs import constant

Number: TypeAlias = np.ndarray[tuple[()], np.dtype[np.float32]]

_ARITHMETIC: Mapping[str, Callable[[Number, Number], Number]] = {
    "Add": np.add,
    "Div": np.divide,
    "Mul": np.multiply,
    "Sub": np.subtract,
}
_REARRANGING = frozenset(("Expand", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))


def take_uniform_as_numbers(model: ir.Model) -> None:
    """Let arithmetic take a number where it takes a tensor of nothing but that number, in place.

    A model's batches are all one: a tensor of the batch's size has it under whatever name.

    Args:
        model: as traced, with the shapes of its values.
    """
    numbers: dict[ir.Value, Number] = {}
    for node in list(model.graph):
        number = _number_of(node, numbers)
        if number is not None:
            numbers[node.outputs[0]] = number
        elif node.op_type in _ARITHMETIC:
            _take_number(model.graph, node, numbers)
    RemoveUnusedNodesPass()(model)


def _number_of(node: ir.Node, numbers: Mapping[ir.Value, Number]) -> Number | None:
    """Return the one number that all elements of a node's output are, or None."""
    known = [_known(value, numbers) for value in node.inputs]
    if node.op_type in _REARRANGING or node.op_type == "Neg":
        number = known[0]
        return number if number is None or node.op_type != "Neg" else np.negative(number)
    if node.op_type in _ARITHMETIC and known[0] is not None and known[1] is not None:
        return _ARITHMETIC[node.op_type](known[0], known[1])
    return None


def _known(value: ir.Value | None, numbers: Mapping[ir.Value, Number]) -> Number | None:
    if value is None or value in numbers:
        return numbers[value] if value is not None else None
    given = ir.convenience.get_const_tensor(value)
    if given is None or given.size != 1 or given.dtype != ir.DataType.FLOAT:
        return None
    return np.asarray(given.numpy(), np.float32).reshape(())


def _take_number(graph: ir.Graph, node: ir.Node, numbers: Mapping[ir.Value, Number]) -> None:
    for index, other in ((0, 1), (1, 0)):
        value, beside = node.inputs[index], node.inputs[other]
        if value in numbers and value is not None and beside is not None and _same_shape(value, beside):
            before: list[ir.Node] = []
            number = constant(before, f"{node.outputs[0].name}_number", numbers[value], np.float32)
            graph.insert_before(node, before)
            node.replace_input_with(index, number)


def _same_shape(one: ir.Value, other: ir.Value) -> bool:
    """Return whether the result keeps its shape without `one`; the batch may go by another name."""
    if one.shape is None or other.shape is None or len(one.shape) != len(other.shape):
        return False
    return all(a == b for a, b in list(zip(one.shape, other.shape, strict=True))[1:]) and (
        one.shape[0] == other.shape[0] or not isinstance(other.shape[0], int)
    )
