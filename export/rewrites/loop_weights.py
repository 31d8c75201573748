"""Weights that a loop's body alone uses are declared in the body, so that ONNX Runtime lays them out when it loads.

ONNX Runtime rearranges a convolution's weight into its blocked layout only where the weight is an initializer of the
very graph that the convolution stands in. In the search as joined, the body captures its weights from outside, and its
convolutions run in the plain layout, a third slower. A weight that is used inside and outside is declared in both
places; the file has it once, and memory twice.
"""

import onnx

from ganspect.export.joining import loop_body


def move_loop_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose loop bodies declare the initializers that they use; one without a loop stays as it is.

    Args:
        model: as joined. It is not changed.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    loops = [node for node in moved.graph.node if node.op_type == "Loop"]
    outside = {name for node in moved.graph.node for name in node.input} | {value.name for value in moved.graph.output}
    for number, loop in enumerate(loops):
        body = loop_body(loop)
        used = {name for node in body.node for name in node.input}
        inner = {}
        for weight in [tensor for tensor in moved.graph.initializer if tensor.name in used]:
            inner[weight.name] = f"loop{number}_{weight.name}"
            copy = body.initializer.add()
            copy.CopyFrom(weight)
            copy.name = inner[weight.name]
            if weight.name not in outside and len(loops) == 1:
                moved.graph.initializer.remove(weight)
        for node in body.node:
            node.input[:] = [inner.get(name, name) for name in node.input]
    return moved
