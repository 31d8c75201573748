"""A transposed convolution to the image is a 1x1 convolution to all taps at once, and a sum of what overlaps.

The last layer of a generator, and the gradient of a discriminator's first, end in one channel or three. A convolution
that makes one channel fills one lane of sixteen. Here a 1x1 convolution makes what every input pixel adds to each of
the output's pixels that it touches: k*k values, all lanes filled. A second convolution, with ones and zeros, adds those
that fall on the same pixel, block by block of s*s pixels; DepthToSpace lays the blocks out, and the border, which is
the transposed convolution's padding, is cut off.

The sums are those of the transposed convolution, but for values without end: a zero times infinity is no number.

As in the phase convolutions, the 1x1 kernel is the transposed convolution's own weight, rearranged when it is loaded.
"""

import numpy as np
import onnx
import onnx_ir as ir

from ganspect.export.rewrites.graphs import appended, constant, graphs_of, insert_first
from ganspect.export.rewrites.transposed import Transposed, transposed_convolution

_MOST_CHANNELS = 4
"""Of the output; with more, the convolutions of the phases fill their lanes by themselves."""


def rewrite_overlap_add(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model without the transposed convolutions to few channels; others stay as they are.

    Args:
        model: as traced or joined; loop bodies are rewritten too. It is not changed.
    """
    rewritten = ir.from_proto(model)
    kernels: dict[tuple[ir.Value, int], tuple[ir.Value, ir.Value]] = {}
    for graph in graphs_of(rewritten):
        for node in list(graph):
            found = transposed_convolution(node)
            if found is None or found.channels_out > _MOST_CHANNELS:
                continue
            key = (found.weight, found.stride)
            if key not in kernels:
                kernels[key] = _take_kernels(found)
            _replace(graph, node, found, *kernels[key])
    return ir.to_proto(rewritten)


def _take_kernels(found: Transposed) -> tuple[ir.Value, ir.Value]:
    """Insert the kernels of both convolutions at the start of the weight's graph.

    The first gives channels (block row, block column, row, column, Cout), the second adds over the blocks.
    """
    nodes: list[ir.Node] = []
    stride = found.stride
    name = f"{found.weight.name}_taps_{stride}"
    rows, columns = (size // stride for size in found.kernel_hw)
    taps = rows * columns * stride**2 * found.channels_out
    split = constant(nodes, f"{name}_split", [found.channels_in, found.channels_out, rows, stride, columns, stride])
    flat = constant(nodes, f"{name}_flat", [taps, found.channels_in, 1, 1])
    apart = appended(nodes, f"{name}_apart", "Reshape", [found.weight, split])
    turned = appended(nodes, f"{name}_turned", "Transpose", [apart], perm=[2, 4, 3, 5, 1, 0])
    kernel = appended(nodes, f"{name}_kernel", "Reshape", [turned, flat])
    sums = constant(nodes, f"{name}_sums", _sums(rows, columns, stride**2 * found.channels_out), np.float32)
    insert_first(found.weight, nodes)
    return kernel, sums


def _sums(rows: int, columns: int, channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return ones and zeros that add channel (row, column, c) of the block at (y - row, x - column) to c at (y, x)."""
    kernel = np.zeros((channels, rows, columns, channels, rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            # A convolution is a correlation: the block before is at the kernel's begin.
            kernel[:, row, column, :, rows - 1 - row, columns - 1 - column] = np.eye(channels)
    return kernel.reshape(channels, -1, rows, columns)


def _replace(graph: ir.Graph, node: ir.Node, found: Transposed, kernel: ir.Value, sums: ir.Value) -> None:
    nodes: list[ir.Node] = []
    bias = [_bias(nodes, node, found.stride**2)] if len(node.inputs) > 2 and node.inputs[2] is not None else []
    rows, columns = (size // found.stride for size in found.kernel_hw)
    taps = appended(nodes, f"{node.outputs[0].name}_taps", "Conv", [node.inputs[0], kernel])
    pads = [rows - 1, columns - 1] * 2
    summed = appended(nodes, f"{node.outputs[0].name}_summed", "Conv", [taps, sums, *bias], pads=pads)
    placed = appended(
        nodes, f"{node.outputs[0].name}_placed", "DepthToSpace", [summed], blocksize=found.stride, mode="DCR"
    )
    if any(found.pads_hw):
        placed = _without_border(nodes, node, placed, found.pads_hw)
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, [placed])


def _bias(nodes: list[ir.Node], node: ir.Node, times: int) -> ir.Value:
    return appended(nodes, f"{node.outputs[0].name}_bias", "Concat", [node.inputs[2]] * times, axis=0)


def _without_border(nodes: list[ir.Node], node: ir.Node, placed: ir.Value, pads_hw: tuple[int, int]) -> ir.Value:
    for axis, pad in zip((2, 3), pads_hw, strict=True):
        if pad:
            bounds = [
                constant(nodes, f"{node.outputs[0].name}_{name}{axis}", [value])
                for name, value in (("begin", pad), ("end", -pad), ("axis", axis))
            ]
            placed = appended(nodes, f"{node.outputs[0].name}_cut{axis}", "Slice", [placed, *bounds])
    return placed
