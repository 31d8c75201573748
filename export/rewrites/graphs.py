"""What several rewrites need of onnx_ir: every graph of a model, its constants, and the shapes of its values."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import ArrayLike

from ganspect.export.rewrites.loop_weights import move_loop_weights

Dimensions = tuple[int | None, ...]
"""A value's shape; None: not known, or the batch."""


def graphs_of(model: ir.Model) -> list[ir.Graph]:
    """Return the model's graph and the bodies of its loops."""
    attributes = (attribute for node in model.graph for attribute in node.attributes.values())
    bodies = [attribute.as_graph() for attribute in attributes if attribute.type == ir.AttributeType.GRAPH]
    return [model.graph, *bodies]


def insert_first(weight: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Insert nodes before all others in the graph whose initializer `weight` is."""
    graph = weight.graph
    if not isinstance(graph, ir.Graph):
        raise ValueError(f"{weight.name} is no initializer of a graph")
    graph.insert_before(graph[0], nodes)


def constant(nodes: list[ir.Node], name: str, values: ArrayLike, dtype: type = np.int64) -> ir.Value:
    """Append a constant to nodes that are still to be inserted, and return its value."""
    node = ir.node("Constant", [], {"value": ir.tensor(np.asarray(values, dtype), name=name)})
    node.name = node.outputs[0].name = name
    nodes.append(node)
    return node.outputs[0]


def appended(
    nodes: list[ir.Node], name: str, operator: str, inputs: Sequence[ir.Value | None], **attributes: object
) -> ir.Value:
    """Append a node with one output to nodes that are still to be inserted, and return its value; both get the name."""
    node = ir.node(operator, inputs, attributes)  # type: ignore[arg-type]
    node.name = node.outputs[0].name = name
    nodes.append(node)
    return node.outputs[0]


def shapes_of(model: onnx.ModelProto) -> dict[str, Dimensions]:
    """Return the shapes of values by name, those in loop bodies too, as far as they can be inferred."""
    # Inference does not see what a body captures; declared inside, a reshape's sizes are known to it.
    inferred = onnx.shape_inference.infer_shapes(move_loop_weights(model), data_prop=True).graph
    bodies = [attribute.g for node in inferred.node for attribute in node.attribute if attribute.HasField("g")]
    values = (value for graph in (inferred, *bodies) for value in (*graph.input, *graph.output, *graph.value_info))
    return {value.name: _dimensions(value) for value in values if value.type.tensor_type.HasField("shape")}


def _dimensions(value: onnx.ValueInfoProto) -> Dimensions:
    sizes = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in sizes)
