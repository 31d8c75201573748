"""The rewrite beside ONNX's own transposed convolution, in ONNX Runtime, on fresh weights and images."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ganspect.export.rewrites.phase_convolutions import rewrite_phase_convolutions

SIZE = (5, 7)


def model_of(weight: np.ndarray, *, bias: bool = True, **attributes: object) -> onnx.ModelProto:
    """Return image (N,3,5,7) -> ConvTranspose -> Relu, as a model."""
    constants = [numpy_helper.from_array(weight, "weight")]
    inputs = ["image", "weight"]
    if bias:
        constants.append(numpy_helper.from_array(np.arange(weight.shape[1], dtype=np.float32), "bias"))
        inputs.append("bias")
    nodes = [
        helper.make_node("ConvTranspose", inputs, ["up"], name="up", **attributes),
        helper.make_node("Relu", ["up"], ["out"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *SIZE])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "test", [image], [out], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(4, 2, 1), (2, 2, 0), (6, 2, 2), (3, 3, 0), (9, 3, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_phases_are_the_transposed_convolution(kernel: int, stride: int, pad: int, bias: bool) -> None:
    random = np.random.default_rng(kernel)
    weight = random.standard_normal((3, 4, kernel, kernel)).astype(np.float32)
    model = model_of(weight, bias=bias, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2)
    rewritten = rewrite_phase_convolutions(model)
    assert "ConvTranspose" not in operators(rewritten)
    assert operators(rewritten).count("Conv") == stride**2
    image = random.standard_normal((2, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image), run(model, image), atol=1e-5)


def test_the_model_given_is_not_changed() -> None:
    model = model_of(np.ones((3, 4, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4)
    before = model.SerializeToString()
    rewrite_phase_convolutions(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [1, 1], "pads": [1] * 4},
        {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]},
        {"strides": [2, 2], "pads": [0] * 4},
        {"strides": [2, 2], "pads": [1, 1, 0, 0]},
        {"strides": [2, 4], "pads": [1, 0, 1, 0]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "pads": [1] * 4, "dilations": [2, 2]},
    ],
)
def test_what_does_not_fit_stays(attributes: dict[str, object]) -> None:
    model = model_of(np.ones((3, 4, 4, 4), np.float32), **attributes)
    assert operators(rewrite_phase_convolutions(model)) == ["ConvTranspose", "Relu"]


def test_one_weight_is_taken_apart_once() -> None:
    model = model_of(np.ones((3, 3, 4, 4), np.float32), bias=False, strides=[2, 2], pads=[1] * 4)
    again = helper.make_node("ConvTranspose", ["out", "weight"], ["twice"], name="again", strides=[2, 2], pads=[1] * 4)
    model.graph.node.append(again)
    model.graph.output[0].name = "twice"
    rewritten = rewrite_phase_convolutions(model)
    assert operators(rewritten).count("Conv") == 8
    assert operators(rewritten).count("Transpose") == 4
    image = np.random.default_rng(0).standard_normal((1, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image), run(model, image), rtol=1e-5)
