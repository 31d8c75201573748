"""The rewrite beside ONNX's own transposed convolution, in ONNX Runtime, on fresh weights and images."""

import numpy as np
import pytest
from onnx import helper

from ganspect.export.rewrites.phase_convolutions import rewrite_phase_convolutions
from tests.export.rewrites.models import SIZE, operators, run, upsampling


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(4, 2, 1), (2, 2, 0), (6, 2, 2), (3, 3, 0), (9, 3, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_phases_are_the_transposed_convolution(kernel: int, stride: int, pad: int, bias: bool) -> None:
    random = np.random.default_rng(kernel)
    weight = random.standard_normal((3, 4, kernel, kernel)).astype(np.float32)
    model = upsampling(weight, bias=bias, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2)
    rewritten = rewrite_phase_convolutions(model)
    assert "ConvTranspose" not in operators(rewritten)
    assert operators(rewritten).count("Conv") == stride**2
    image = random.standard_normal((2, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), atol=1e-5)


def test_an_activation_is_computed_with_each_phase() -> None:
    rewritten = rewrite_phase_convolutions(upsampling(np.ones((3, 4, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4))
    found = operators(rewritten)
    assert [*found[found.index("Conv") :]] == ["Conv", "Relu"] * 4 + ["Concat", "DepthToSpace"]
    assert rewritten.graph.output[0].name == "out"


def test_an_activation_stays_where_something_else_reads_what_went_in() -> None:
    model = upsampling(np.ones((3, 4, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4)
    model.graph.node.append(helper.make_node("Mul", ["up", "out"], ["both"]))
    model.graph.output[0].name = "both"
    rewritten = rewrite_phase_convolutions(model)
    assert operators(rewritten)[-4:] == ["Concat", "DepthToSpace", "Relu", "Mul"]
    image = np.random.default_rng(0).standard_normal((1, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), atol=1e-5)


def test_the_model_given_is_not_changed() -> None:
    model = upsampling(np.ones((3, 4, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4)
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
    model = upsampling(np.ones((3, 4, 4, 4), np.float32), **attributes)
    assert operators(rewrite_phase_convolutions(model)) == ["ConvTranspose", "Relu"]


def test_one_weight_is_taken_apart_once() -> None:
    model = upsampling(np.ones((3, 3, 4, 4), np.float32), bias=False, strides=[2, 2], pads=[1] * 4)
    again = helper.make_node("ConvTranspose", ["out", "weight"], ["twice"], name="again", strides=[2, 2], pads=[1] * 4)
    model.graph.node.append(again)
    model.graph.output[0].name = "twice"
    rewritten = rewrite_phase_convolutions(model)
    assert operators(rewritten).count("Conv") == 8
    assert operators(rewritten).count("Transpose") == 4
    image = np.random.default_rng(0).standard_normal((1, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), atol=1e-5)
