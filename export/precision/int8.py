"""The score graph with its large convolutions in INT8, by Q/DQ: weights by channel, activations by tensor.

Quantized are the convolutions that `lowering` lowers too, those with many channels. The image side (first and last
convolution), linear layers and scores stay in float32, and what is not quantized reads the weights file that all graphs
share. Transposed convolutions are quantized as phase convolutions, since no runtime on a CPU has them in INT8; their
kernels, which the graph derives from the weights, are folded first, because a quantizer takes constants only.

Ranges of activations come from normal images, the lowest and the highest value seen. Only `score` is forward only.
In `step` and `search` gradients flow back, whose range shrinks as a search goes on and is another for each image: no
fixed scale fits them. So they have no INT8 form, and a backend in int8 scores the encoder's start in INT8 and searches
in float32.

There are two forms. `int8` is for CPUs (ONNX Runtime, OpenVINO): activations are uint8, whose zero lies anywhere, and
biases int32. TensorRT takes neither, so `int8-symmetric` has int8 activations around zero and float32 biases.

    write_int8(folder, [{"image": tiles}])          # score.int8.onnx, score.int8-symmetric.onnx
"""

import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxscript.optimizer import fold_constants

from ganspect.errors import ConfigError
from ganspect.export.precision.lowering import is_large_convolution
from ganspect.export.variants import INT8_FORMS, check_form, file_name, find_forms

Feeds: TypeAlias = Sequence[Mapping[str, np.ndarray[Any, Any]]]
"""Inputs of a graph, a batch each."""

QUANTIZED = "score"
"""The one graph that has an INT8 form."""

_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Key and value by which ONNX Runtime's quantizer knows that a model was folded."""


def write_int8(folder: Path, feeds: Feeds) -> list[Path]:
    """Quantize the score graph of a folder, write its INT8 forms beside it, and return the new files.

    Args:
        folder: graphs and weights, as `ganspect.export.exporter.write_graphs` wrote them.
        feeds: inputs made of normal images.

    Raises:
        ConfigError: none of its convolutions is large.
        VerificationError: what was written is not valid ONNX.
    """
    source = folder / find_forms(QUANTIZED, folder).get("phases", file_name(QUANTIZED))
    paths = []
    for form in INT8_FORMS:
        quantized = quantize(onnx.load(source), feeds, symmetric=form == "int8-symmetric")
        _refer(quantized, onnx.load(source, load_external_data=False))
        paths.append(folder / file_name(QUANTIZED, form))
        onnx.save(quantized, paths[-1])
        check_form(paths[-1])
    return paths


def quantize(model: onnx.ModelProto, feeds: Feeds, *, symmetric: bool = False) -> onnx.ModelProto:
    """Return a model with its large convolutions in INT8.

    Args:
        model: in float32 with its weights in it, forward only; transposed convolutions stay as they are. It is not
            changed.
        feeds: inputs from which the ranges of activations are measured.
        symmetric: as TensorRT takes it.

    Raises:
        ConfigError: none of its convolutions is large.
    """
    folded = ir.from_proto(model)
    # Before kernels are folded: what a kernel was taken from says whether its convolution is one at the image.
    large = [str(node.name) for node in folded.graph if node.op_type == "Conv" and is_large_convolution(node)]
    _fold_kernels(folded, large)
    if not large:
        raise ConfigError(
            "int8 was asked for, but the networks have no convolution with many channels, and those at the image stay "
            "in float32; leave out --precision int8, or train with a larger network.width"
        )
    folded.metadata_props.update([_PREPARED])
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "quantized.onnx"
        quantize_static(
            ir.to_proto(folded),
            out,
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=large,
            per_channel=True,
            # Unsigned by signed is what x86-64 multiplies; with int8 for both ONNX Runtime is slower than in float32.
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric, "QuantizeBias": not symmetric},
        )
        return onnx.load(out)


class _Reader:
    """Hands out inputs as the quantizer asks for them."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds: Iterator[Mapping[str, np.ndarray[Any, Any]]] = iter(feeds)

    def get_next(self) -> Mapping[str, np.ndarray[Any, Any]] | None:
        return next(self._feeds, None)


def _fold_kernels(model: ir.Model, large: Collection[str]) -> None:
    """Make constants of large convolutions' kernels; the others and linear weights stay derived from shared ones."""
    kernels = set()
    for node in model.graph:
        value = node.inputs[1] if node.name in large else None
        while value is not None and (maker := value.producer()) is not None:
            kernels.add(maker)
            value = maker.inputs[0] if maker.inputs else None
    fold_constants(
        model,
        input_size_limit=sys.maxsize,
        output_size_limit=sys.maxsize,
        should_fold=lambda node: node in kernels or node.op_type == "Constant",
    )
    RemoveUnusedNodesPass()(model)


def _refer(quantized: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Let a model take from the weights file what its source takes from there and quantization left as it was."""
    external = {tensor.name: tensor for tensor in source.graph.initializer if tensor.external_data}
    for tensor in quantized.graph.initializer:
        if tensor.name in external:
            tensor.CopyFrom(external[tensor.name])
