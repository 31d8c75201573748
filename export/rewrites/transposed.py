"""Which transposed convolutions can be rewritten: those that make an image exactly s times as large."""

from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution whose output is s times as large as its input.

    Attributes:
        weight: (Cin, Cout, H, W), a constant.
        channels_in: Cin.
        channels_out: Cout.
        kernel_hw: a multiple of the stride on both axes.
        stride: s, of 2 or more, on both axes.
        pads_hw: (kernel - s) / 2, on both sides of an axis.
    """

    weight: ir.Value
    channels_in: int
    channels_out: int
    kernel_hw: tuple[int, int]
    stride: int
    pads_hw: tuple[int, int]


def transposed_convolution(node: ir.Node) -> Transposed | None:
    """Return what a node is if it fits, else None; DCGAN's 4x4 with stride 2 and padding 1 does."""
    if node.op_type != "ConvTranspose" or len(node.inputs) < 2:
        return None
    weight = node.inputs[1]
    if weight is None or not weight.is_initializer() or weight.shape is None or len(weight.shape) != 4:
        return None
    if "output_shape" in node.attributes or _text(node, "auto_pad") != "NOTSET":
        return None
    plain = {"dilations": [1, 1], "output_padding": [0, 0], "group": [1]}
    if any(_integers(node, name, value) != value for name, value in plain.items()):
        return None
    channels_in, channels_out, *kernel = (int(size) for size in weight.shape)  # type: ignore[arg-type]
    strides = _integers(node, "strides", [1, 1])
    pads = _integers(node, "pads", [0, 0, 0, 0])
    fits = strides[0] == strides[1] and all(
        stride > 1 and size % stride == 0 and pads[axis] == pads[axis + 2] and 2 * pads[axis] == size - stride
        for axis, (size, stride) in enumerate(zip(kernel, strides, strict=True))
    )
    if not fits:
        return None
    return Transposed(weight, channels_in, channels_out, (kernel[0], kernel[1]), strides[0], (pads[0], pads[1]))


def _integers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    attribute = node.attributes.get(name)
    if attribute is None:
        return default
    value = attribute.value
    return [int(value)] if isinstance(value, int) else [int(entry) for entry in value]


def _text(node: ir.Node, name: str) -> str:
    attribute = node.attributes.get(name)
    return "NOTSET" if attribute is None else attribute.as_string()
