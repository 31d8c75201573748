"""What is lowered and what is not, and that the result is close, in ONNX Runtime where it can run float16."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from ganspect.export.joining import loop_body
from ganspect.export.precision.lowering import BF16_OPSET, LowPrecision, lower

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def traced(folder: Path, name: str) -> onnx.ModelProto:
    return onnx.load(folder / f"{name}.onnx")


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values} | {
        tensor.name: tensor.data_type for tensor in inferred.initializer
    }


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_large_convolutions_are_lowered_and_the_image_side_is_not(toy_folder: Path, precision: LowPrecision) -> None:
    model = lower(traced(toy_folder, "step"), precision)
    types = types_of(model)
    found: dict[int, list[int]] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            found.setdefault(types[node.output[0]], []).append(types[node.input[1]])
    # Of 16-8 and 8-16 channels, forth and back; of f(x) once; those with 3 channels stay.
    assert set(found) == {TensorProto.FLOAT, TYPES[precision]}
    assert set(found[TYPES[precision]]) == {TYPES[precision]}
    assert len(found[TYPES[precision]]) == 5


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("graph", ["step", "search", "score", "encoder", "generator", "features"])
def test_what_comes_out_has_the_types_it_had(toy_folder: Path, graph: str, precision: LowPrecision) -> None:
    plain = traced(toy_folder, graph)
    model = lower(plain, precision)
    onnx.checker.check_model(model, full_check=True)
    assert list(model.graph.output) == list(plain.graph.output)
    assert list(model.graph.input) == list(plain.graph.input)


def test_linear_layers_and_sums_stay_in_float32(toy_folder: Path) -> None:
    model = lower(traced(toy_folder, "step"), "bf16")
    types = types_of(model)
    for node in model.graph.node:
        if node.op_type in ("Gemm", "MatMul", "ReduceSum", "ReduceMean", "Tanh", "Sqrt", "Pow"):
            assert types[node.output[0]] != TensorProto.BFLOAT16, node


def test_the_loop_is_lowered_inside(toy_folder: Path) -> None:
    model = lower(traced(toy_folder, "search"), "fp16")
    body = loop_body(next(node for node in model.graph.node if node.op_type == "Loop"))
    assert any(node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16 for node in body.node)


def test_bfloat16_says_the_opset_that_has_it(toy_folder: Path) -> None:
    assert lower(traced(toy_folder, "step"), "bf16").opset_import[0].version == BF16_OPSET
    assert lower(traced(toy_folder, "step"), "fp16").opset_import[0].version == 20


def test_scores_in_float16_are_close(toy_folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 16, 3), np.uint8)
    plain, lowered = (
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            ["start_score", "encoder_score"], {"image": images}
        )
        for model in (traced(toy_folder, "score"), lower(traced(toy_folder, "score"), "fp16"))
    )
    for one, other in zip(plain, lowered, strict=True):
        assert not np.array_equal(one, other)
        np.testing.assert_allclose(other, one, rtol=2e-3)


def test_masked_gradients_are_rounded_before_the_mask_and_activations_stay_with_their_convolution(
    toy_folder: Path,
) -> None:
    model = lower(traced(toy_folder, "step"), "bf16")
    types, makers = types_of(model), {name: node for node in model.graph.node for name in node.output}
    masked = [node for node in model.graph.node if node.op_type == "Where" and types[node.output[0]] == TYPES["bf16"]]
    # The gradient that the convolution from 3 channels gives, in float32, and the large one takes.
    assert "Cast" in {makers[name].op_type for node in masked for name in node.input[1:] if name in makers}
    activations = [node for node in model.graph.node if node.op_type == "LeakyRelu"]
    assert {types[node.output[0]] for node in activations} == {TensorProto.FLOAT}


def test_masks_and_slopes_of_gradients_are_taken_in_low_precision(toy_folder: Path) -> None:
    model = lower(traced(toy_folder, "step"), "bf16")
    types = types_of(model)
    masks = [node for node in model.graph.node if node.op_type in ("Greater", "LessOrEqual")]
    lowered = [node for node in masks if types[node.input[0]] == TensorProto.BFLOAT16]
    # Of the discriminator's first activation and of the generator's; the others compare scores, counts and features.
    assert len(lowered) == 2
    slopes = [node for node in model.graph.node if node.name.endswith("_slopes")]
    assert {types[node.output[0]] for node in slopes} == {TensorProto.BFLOAT16, TensorProto.FLOAT}


def test_values_that_only_float32_reads_are_widened_once(toy_folder: Path) -> None:
    model = lower(traced(toy_folder, "step"), "bf16")
    types, makers = types_of(model), {name: node for node in model.graph.node for name in node.output}
    widened = [
        makers[node.input[0]].op_type
        for node in model.graph.node
        if node.op_type == "Cast"
        and types[node.input[0]] == TensorProto.BFLOAT16
        and types[node.output[0]] == TensorProto.FLOAT
    ]
    # The generator's last ReLU, and the gradients that leave for the first convolution and the linear layer.
    assert "Relu" in widened
    assert "Mul" in widened


def chain(*after: onnx.NodeProto, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """Return x (N,8,6,6) -> Conv(8, 8) -> `c` -> nodes -> output."""
    weight = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32) * 0.1
    given = [
        onnx.numpy_helper.from_array(weight, "weight"),
        onnx.numpy_helper.from_array(np.float32(2.0), "two"),
        onnx.numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
    ]
    nodes = [onnx.helper.make_node("Conv", ["x", "weight"], ["c"], name="conv", pads=[1] * 4), *after]
    x = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, 6, 6])
    outputs = [onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", *shape])]
    graph = onnx.helper.make_graph(nodes, "chain", [x], outputs, given)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (None, (8, 6, 6)),
        (onnx.helper.make_node("Relu", ["c"], ["y"]), (8, 6, 6)),
        (onnx.helper.make_node("Mul", ["c", "two"], ["y"]), (8, 6, 6)),
        (onnx.helper.make_node("Concat", ["c", "c"], ["y"], axis=1), (16, 6, 6)),
        (onnx.helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2), (2, 12, 12)),
    ],
)
def test_an_output_of_the_graph_keeps_its_name_and_type(node: onnx.NodeProto | None, shape: tuple[int, ...]) -> None:
    model = chain(output="c", shape=shape) if node is None else chain(node, output="y", shape=shape)
    lowered = lower(model, "fp16")
    onnx.checker.check_model(lowered, full_check=True)
    x = np.random.default_rng(1).standard_normal((2, 8, 6, 6)).astype(np.float32)
    plain, low = (
        onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for one in (model, lowered)
    )
    assert low.dtype == np.float32
    assert not np.array_equal(low, plain)
    np.testing.assert_allclose(low, plain, rtol=2e-2, atol=2e-3)


def test_squares_of_which_a_loss_is_made_stay_in_float32() -> None:
    square = onnx.helper.make_node("Mul", ["c", "c"], ["square"])
    mean = onnx.helper.make_node("ReduceMean", ["square", "axes"], ["y"], keepdims=0)
    assert types_of(lower(chain(square, mean, output="y", shape=()), "fp16"))["square"] == TensorProto.FLOAT
