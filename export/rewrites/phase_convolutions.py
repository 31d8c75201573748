"""A transposed convolution of stride s is s*s plain convolutions, one for each phase of the output.

Output pixel s*i + r gets only those taps k of the kernel for which (r + pad - k) is a multiple of s, so each phase r of
rows and columns is a convolution of the input with every s-th tap, and DepthToSpace lays the phases side by side. The
sums are the same as before; nothing is multiplied by zeros, as it is where one convolution makes all phases.

The kernels of the phases are taken out of the transposed convolution's own weight by nodes that read nothing but
constants. Every runtime folds these when it loads, and the bundle holds each weight once.
"""

import itertools
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from ganspect.export.rewrites.graphs import appended, constant, graphs_of, insert_first
from ganspect.export.rewrites.transposed import transposed_convolution

_ACTIVATIONS = ("Relu", "LeakyRelu")


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
    kernels: dict[tuple[ir.Value, int], dict[tuple[int, int], ir.Value]] = {}
    for graph in graphs_of(rewritten):
        for node in list(graph):
            found = transposed_convolution(node)
            if found is None:
                continue
            axes = zip(found.kernel_hw, found.pads_hw, strict=True)
            rows, columns = (_of_axis(kernel, found.stride, pad) for kernel, pad in axes)
            key = (found.weight, found.stride)
            if key not in kernels:
                kernels[key] = _take_kernels(found.weight, (rows, columns))
            _replace(graph, node, (rows, columns), kernels[key])
    return ir.to_proto(rewritten)


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
        name = f"{weight.name}_phase_{len(phases[0])}_{row}{column}"
        row_taps = constant(nodes, f"{name}_rows", rows.taps)
        column_taps = constant(nodes, f"{name}_columns", columns.taps)
        of_rows = appended(nodes, f"{name}_of_rows", "Gather", [weight, row_taps], axis=2)
        taken = appended(nodes, f"{name}_taken", "Gather", [of_rows, column_taps], axis=3)
        kernels[row, column] = appended(nodes, f"{name}_kernel", "Transpose", [taken], perm=[1, 0, 2, 3])
    insert_first(weight, nodes)
    return kernels


def _replace(
    graph: ir.Graph,
    node: ir.Node,
    phases: tuple[list[_Phase], list[_Phase]],
    kernels: dict[tuple[int, int], ir.Value],
) -> None:
    nodes: list[ir.Node] = []
    activation = _activation(node)
    together = []
    for (row, rows), (column, columns) in itertools.product(*map(enumerate, phases)):
        name = f"{node.outputs[0].name}_phase_{row}{column}"
        pads = [rows.pad_before, columns.pad_before, rows.pad_after, columns.pad_after]
        inputs = [node.inputs[0], kernels[row, column], *node.inputs[2:]]
        phase = appended(nodes, name, "Conv", inputs, pads=pads, strides=[1, 1])
        if activation is not None:
            # A runtime computes it with the convolution, which it cannot once the phases are laid side by side.
            phase = appended(nodes, f"{name}_active", activation.op_type, [phase], **activation.attributes)
        together.append(phase)
    joined = appended(nodes, f"{node.outputs[0].name}_phases", "Concat", together, axis=1)
    placed = appended(
        nodes, f"{node.outputs[0].name}_placed", "DepthToSpace", [joined], blocksize=len(phases[0]), mode="DCR"
    )
    replaced = [node] if activation is None else [node, activation]
    ir.convenience.replace_nodes_and_values(graph, node, replaced, nodes, replaced[-1].outputs, [placed])


def _activation(node: ir.Node) -> ir.Node | None:
    """Return the activation that alone reads a node's output, if there is one."""
    users = list(node.outputs[0].consumers())
    if len(users) != 1 or node.outputs[0].is_graph_output() or users[0].graph is not node.graph:
        return None
    return users[0] if users[0].op_type in _ACTIVATIONS else None
