"""What several rewrites need of onnx_ir: every graph of a model, and where the constants of one are derived."""

from collections.abc import Sequence

import onnx_ir as ir


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
