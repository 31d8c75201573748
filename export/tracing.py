"""From a PyTorch function, gradient included, to an ONNX model with a dynamic batch.

`torch.onnx.export` fails on code that calls autograd, so a function that does is first traced with its gradient into
plain operators (`make_fx`), then exported; any other is exported as it is, which takes less time. The one
operator without a core ATen decomposition is `convolution_backward`: for the input it is the transposed convolution
with the same weight, and back.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import onnx
import onnx_ir
import torch
from onnxscript import optimizer
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from ganspect.export.rewrites.activation_gradients import simplify_activation_gradients
from ganspect.export.rewrites.uniform_operands import take_uniform_as_numbers

OPSET = 20
IR_VERSION = 10
_TRACE_BATCHES = (3, 5, 7, 11, 13, 17, 19, 23)


def trace(
    function: Callable[..., tuple[Tensor, ...] | Tensor],
    example: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    differentiates: bool = False,
) -> onnx.ModelProto:
    """Export a function to ONNX; the first axis of every input that has one is the batch.

    Args:
        function: a function of tensors.
        example: inputs with a batch of `example_batch`; scalars and (H,W) maps named `pixel_…` have no batch axis.
        inputs: a name for each.
        outputs: a name for each tensor that the function returns.
        differentiates: the function calls `torch.func.grad`.

    Returns:
        A model of plain operators, opset 20, IR 10, weights inside.
    """
    _read_operators_once()
    module = _Module(_with_gradient(function, example) if differentiates else function)
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple(
        {0: batch} if _has_batch(name, tensor) else None for name, tensor in zip(inputs, example, strict=True)
    )
    with _quietly():
        # A module of *tensors has one argument for torch.export.
        exported = torch.export.export(module, tuple(example), dynamic_shapes=(shapes,))
        program = torch.onnx.export(
            exported,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    optimizer.optimize_ir(program.model, should_fold=_unless_copies_a_weight)
    take_uniform_as_numbers(program.model)
    simplify_activation_gradients(program.model)
    return _plain(program.model_proto)


def example_batch(taken: Collection[int]) -> int:
    """Return a batch size to trace with that is none of the sizes `taken`.

    Symbolic tracing takes equal sizes for one and the same: a batch of 3 would be tied to the 3 channels.
    """
    return next(batch for batch in _TRACE_BATCHES if batch not in taken)


class _Module(torch.nn.Module):
    """A function as the module that `torch.export` takes."""

    def __init__(self, function: Callable[..., tuple[Tensor, ...] | Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...] | Tensor:
        return self.function(*tensors)


def _with_gradient(function: Callable[..., Any], example: Sequence[Tensor]) -> torch.fx.GraphModule:
    table: dict[Any, Callable[..., Any]] = dict(core_aten_decompositions())
    table[torch.ops.aten.convolution_backward.default] = _convolution_backward
    # make_fx counts the arguments of a bound method wrongly; a function of *tensors it takes as it is.
    tracer = make_fx(
        lambda *tensors: function(*tensors),
        decomposition_table=table,
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,
    )
    traced: torch.fx.GraphModule = tracer(*example)
    return traced


@lru_cache(maxsize=1)
def _read_operators_once() -> None:
    """Let the exporter keep its table of operators, which it would read again for every graph: a third of its time."""
    try:
        from torch.onnx._internal.exporter import _registration
    except ImportError:  # a PyTorch that has moved it: slower, no more
        return
    registry: Any = getattr(_registration, "ONNXRegistry", None)
    if hasattr(registry, "from_torchlib"):
        read = lru_cache(maxsize=None)(registry.from_torchlib)
        registry.from_torchlib = classmethod(lambda _, *arguments, **options: read(*arguments, **options))


def _convolution_backward(
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor, None, None]:
    if transposed:
        no_padding = [0] * len(stride)
        back = torch.ops.aten.convolution(gradient, weight, None, stride, padding, dilation, False, no_padding, groups)
        return back, None, None
    missing = [
        inputs.shape[2 + i]
        - ((gradient.shape[2 + i] - 1) * stride[i] - 2 * padding[i] + dilation[i] * (weight.shape[2 + i] - 1) + 1)
        for i in range(len(stride))
    ]
    back = torch.ops.aten.convolution(gradient, weight, None, stride, padding, dilation, True, missing, groups)
    return back, None, None


def _unless_copies_a_weight(node: onnx_ir.Node) -> bool | None:
    # A transposed weight would be stored beside the weight; every runtime transposes constants when it loads.
    return False if node.op_type == "Transpose" else None


def _has_batch(name: str, tensor: Tensor) -> bool:
    return tensor.ndim > 0 and not name.startswith("pixel_")


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    if model.functions or {entry.domain for entry in model.opset_import} - {""}:
        raise RuntimeError("the exporter left operators outside the standard ONNX domain")
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions and dimensions[0].dim_param:
            dimensions[0].dim_param = "batch"
    model.ir_version = IR_VERSION
    return model


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
