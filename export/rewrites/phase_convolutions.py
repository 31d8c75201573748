"""A transposed convolution of stride s is s*s plain convolutions, one for each phase of the output.

Output pixel s*i + r gets only those taps k of the kernel for which (r + pad - k) is a multiple of s, so each phase r of
rows and columns is a convolution of the input with every s-th tap, and DepthToSpace lays the phases side by side. The
sums are the same as before; nothing is multiplied by zeros, as it is where one convolution makes all phases.

The kernels of the phases are taken out of the transposed convolution's own weight by nodes that read nothing but
constants. Every runtime folds these when it loads, and the bundle holds each weight once.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from ganspect.export.rewrites.graphs import graphs_of, insert_first


@dataclass(frozen=True)
class _Phase:
    """Taps of the kernel along one axis, in the order of the input pixels, and how far the input is padded."""

    taps: tuple[int, ...]
    pad_before: int
    pad_after: int


def rewrite_phase_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without the transposed convolutions that fit; others stay as they are.

    One fits if its weight is a constant, its kernel a multiple of the stride (of 2 or more) on both axes, and its
    output s times as large as its input: DCGAN's 4x4 with stride 2 and padding 1.

    Args:
        model: as traced or joined; loop bodies are rewritten too. It is not changed.
    """
    rewritten = ir.from_proto(model)
    kernels: dict[str, dict[tuple[int, int], ir.Value]] = {}
    for graph in graphs_of(rewritten):
        for node in list(graph):
            phases = _phases(node)
            weight = node.inputs[1] if phases is not None else None
            if phases is None or weight is None or not weight.is_initializer():
                continue
            if str(weight.name) not in kernels:
                kernels[str(weight.name)] = _take_kernels(weight, phases)
            _replace(graph, node, phases, kernels[str(weight.name)])
    return ir.to_proto(rewritten)


def _phases(node: ir.Node) -> tuple[list[_Phase], list[_Phase]] | None:
    """Return the phases of rows and columns, or None where the node is no transposed convolution that fits."""
    if node.op_type != "ConvTranspose" or len(node.inputs) < 2 or node.inputs[1] is None:
        return None
    shape = node.inputs[1].shape
    if shape is None or len(shape) != 4 or any(not isinstance(size, int) for size in shape):
        return None
    kernel = [int(size) for size in shape[2:]]  # type: ignore[arg-type]
    strides = _integers(node, "strides", [1, 1])
    pads = _integers(node, "pads", [0, 0, 0, 0])
    plain = {"dilations": [1, 1], "output_padding": [0, 0], "group": [1]}
    if any(_integers(node, name, value) != value for name, value in plain.items()):
        return None
    if "output_shape" in node.attributes or _text(node, "auto_pad") != "NOTSET":
        return None
    fits = all(
        stride > 1 and size % stride == 0 and pads[axis] == pads[axis + 2] and 2 * pads[axis] == size - stride
        for axis, (size, stride) in enumerate(zip(kernel, strides, strict=True))
    )
    if not fits or strides[0] != strides[1]:
        return None
    rows, columns = (_of_axis(*axis) for axis in zip(kernel, strides, pads[:2], strict=True))
    return rows, columns


def _of_axis(kernel: int, stride: int, pad: int) -> list[_Phase]:
    phases = []
    for remainder in range(stride):
        # Tap k reads the input at i + (remainder + pad - k) / stride.
        taps = [tap for tap in reversed(range(kernel)) if (remainder + pad - tap) % stride == 0]
        offsets = [(remainder + pad - tap) // stride for tap in taps]
        phases.append(_Phase(tuple(taps), -offsets[0], offsets[-1]))
    return phases


def _take_kernels(weight: ir.Value, phases: tuple[list[_Phase], list[_Phase]]) -> dict[tuple[int, int], ir.Value]:
    """Insert, at the start of the weight's graph, nodes that take each phase's (Cout,Cin,h,w) out of (Cin,Cout,H,W)."""
    kernels: dict[tuple[int, int], ir.Value] = {}
    nodes: list[ir.Node] = []
    for (row, rows), (column, columns) in itertools.product(*map(enumerate, phases)):
        name = f"{weight.name}_phase_{row}{column}"
        of_rows = ir.node("Gather", [weight, _constant(nodes, f"{name}_rows", rows.taps)], {"axis": 2})
        taken = ir.node("Gather", [of_rows.outputs[0], _constant(nodes, f"{name}_columns", columns.taps)], {"axis": 3})
        turned = ir.node("Transpose", [taken.outputs[0]], {"perm": [1, 0, 2, 3]})
        for node, suffix in ((of_rows, "of_rows"), (taken, "taken"), (turned, "kernel")):
            node.outputs[0].name = node.name = f"{name}_{suffix}"
        nodes += [of_rows, taken, turned]
        kernels[row, column] = turned.outputs[0]
    insert_first(weight, nodes)
    return kernels


def _constant(nodes: list[ir.Node], name: str, taps: tuple[int, ...]) -> ir.Value:
    node = ir.node("Constant", [], {"value": ir.tensor(np.array(taps, np.int64), name=name)})
    node.name = node.outputs[0].name = name
    nodes.append(node)
    return node.outputs[0]


def _replace(
    graph: ir.Graph,
    node: ir.Node,
    phases: tuple[list[_Phase], list[_Phase]],
    kernels: dict[tuple[int, int], ir.Value],
) -> None:
    convolutions = []
    for (row, rows), (column, columns) in itertools.product(*map(enumerate, phases)):
        pads = [rows.pad_before, columns.pad_before, rows.pad_after, columns.pad_after]
        inputs = [node.inputs[0], kernels[row, column], *node.inputs[2:]]
        convolution = ir.node("Conv", inputs, {"pads": pads, "strides": [1, 1]})
        convolution.name = convolution.outputs[0].name = f"{node.name}_phase_{row}{column}"
        convolutions.append(convolution)
    together = ir.node("Concat", [convolution.outputs[0] for convolution in convolutions], {"axis": 1})
    together.name = together.outputs[0].name = f"{node.name}_phases"
    placed = ir.node("DepthToSpace", [together.outputs[0]], {"blocksize": len(phases[0]), "mode": "DCR"})
    placed.name = f"{node.name}_placed"
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], [*convolutions, together, placed], node.outputs, placed.outputs
    )


def _integers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    if attribute is None:
        return default
    value = attribute.value
    return [int(value)] if isinstance(value, int) else [int(entry) for entry in value]


def _text(node: ir.Node, name: str) -> str:
    attribute = node.attributes.get(name)
    return "NOTSET" if attribute is None else attribute.as_string()
