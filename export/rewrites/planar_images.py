"""What is computed pixel by pixel on images of few channels is computed on planes, (N,C,H,W) as (N*C,H,W).

OpenVINO keeps the values beside a convolution with the channels last, and its elementwise kernels go along the
channels: over one channel they take a pixel at a time, a sixteenth of what they can. On planes of three axes they go
along the rows.
"""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ganspect.export.rewrites.graphs import Dimensions, appended, constant, graphs_of, shapes_of

_MOST_CHANNELS = 4
_ELEMENTWISE = frozenset(("Abs", "Add", "Div", "Mul", "Neg", "Pow", "Sigmoid", "Sign", "Sqrt", "Sub", "Tanh"))


def rewrite_planar_images(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose elementwise operators and slices of images work on planes; others stay as they are.

    A model's batches are all one: images whose first axis has no fixed size go together.

    Args:
        model: as traced or joined; loop bodies are rewritten too. It is not changed.
    """
    shapes = shapes_of(model)
    rewritten = ir.from_proto(model)
    for graph in graphs_of(rewritten):
        _Planes(graph, shapes).run()
    return ir.to_proto(rewritten)


class _Planes:
    """Rewrites one graph."""

    def __init__(self, graph: ir.Graph, shapes: dict[str, Dimensions]) -> None:
        self._graph = graph
        self._shapes = shapes
        self._planes: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        region = [node for node in self._graph if self._fits(node)]
        for node in region:
            self._flatten(node)
        inside = set(region)
        for node in region:
            self._restore(node, inside)

    def _image(self, value: ir.Value | None) -> tuple[int, ...] | None:
        """Return (C,H,W) if a value is a batch of images with few channels; a batch of 1 that is fixed is none."""
        shape = self._shapes.get(str(value.name)) if value is not None else None
        if shape is None or len(shape) != 4 or shape[0] is not None:
            return None
        image = tuple(size for size in shape[1:] if size)
        return image if len(image) == 3 and image[0] <= _MOST_CHANNELS else None

    def _fits(self, node: ir.Node) -> bool:
        image = self._image(node.outputs[0])
        if image is None or node.outputs[0].is_graph_output():
            return False
        if node.op_type == "Slice":
            axes = _axes(node)
            return self._image(node.inputs[0]) is not None and axes is not None and set((axes % 4).tolist()) <= {2, 3}
        if node.op_type not in _ELEMENTWISE:
            return False
        return all(self._image(value) == image or _is_scalar(value) for value in node.inputs)

    def _flatten(self, node: ir.Node) -> None:
        before: list[ir.Node] = []
        for index, value in enumerate(node.inputs):
            if value is not None and (image := self._image(value)) is not None:
                node.replace_input_with(index, self._plane(value, image))
            elif node.op_type == "Slice" and index == 3:
                axes = _axes(node)
                if axes is not None:
                    name = f"{node.outputs[0].name}_plane_axes"
                    node.replace_input_with(index, constant(before, name, axes % 4 - 1, axes.dtype.type))
        self._graph.insert_before(node, before)
        # The value is a plane from here on; `_restore` makes the image again for whoever wants one.
        self._planes[node.outputs[0]] = node.outputs[0]
        node.outputs[0].shape = None

    def _plane(self, value: ir.Value, image: tuple[int, ...]) -> ir.Value:
        if value not in self._planes:
            nodes: list[ir.Node] = []
            name = f"{value.name}_{self._graph.name}_planes"
            sizes = constant(nodes, f"{name}_sizes", [-1, *image[1:]])
            self._planes[value] = appended(nodes, name, "Reshape", [value, sizes])
            self._insert_after(value, nodes)
        return self._planes[value]

    def _restore(self, node: ir.Node, region: set[ir.Node]) -> None:
        value, image = node.outputs[0], self._image(node.outputs[0])
        users = [(user, index) for user, index in value.uses() if user not in region]
        if not users or image is None:
            return
        nodes: list[ir.Node] = []
        sizes = constant(nodes, f"{value.name}_image_sizes", [-1, *image])
        restored = appended(nodes, f"{value.name}_image", "Reshape", [value, sizes])
        self._graph.insert_after(node, nodes)
        for user, index in users:
            user.replace_input_with(index, restored)

    def _insert_after(self, value: ir.Value, nodes: list[ir.Node]) -> None:
        producer = value.producer()
        if producer is not None and producer.graph is self._graph:
            self._graph.insert_after(producer, nodes)
        else:
            self._graph.insert_before(self._graph[0], nodes)


def _axes(node: ir.Node) -> np.ndarray[tuple[int], np.dtype[np.signedinteger[Any]]] | None:
    """Return a slice's axes, of four, in their order; None where they are left out or not known."""
    value = node.inputs[3] if len(node.inputs) > 3 else None
    known = ir.convenience.get_const_tensor(value) if value is not None else None
    return None if known is None else known.numpy()


def _is_scalar(value: ir.Value | None) -> bool:
    """Return whether a value is a constant number that broadcasts to planes too."""
    known = ir.convenience.get_const_tensor(value) if value is not None else None
    return known is not None and known.size == 1 and len(known.shape) <= 3
