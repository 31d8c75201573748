"""The rewrite beside ONNX's own transposed convolution, in ONNX Runtime, on fresh weights and images."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper

from ganspect.export.rewrites.overlap_add import rewrite_overlap_add
from ganspect.export.rewrites.phase_convolutions import rewrite_phase_convolutions
from tests.export.rewrites.models import SIZE, operators, run, upsampling


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(4, 2, 1), (2, 2, 0), (6, 2, 2), (3, 3, 0), (9, 3, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_sum_is_the_transposed_convolution(kernel: int, stride: int, pad: int, channels: int, bias: bool) -> None:
    random = np.random.default_rng(kernel)
    weight = random.standard_normal((5, channels, kernel, kernel)).astype(np.float32)
    model = upsampling(weight, bias=bias, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2)
    rewritten = rewrite_overlap_add(model)
    assert "ConvTranspose" not in operators(rewritten)
    image = random.standard_normal((2, 5, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), atol=1e-5)


def test_kernels_and_padding_may_differ_between_the_axes() -> None:
    random = np.random.default_rng(1)
    weight = random.standard_normal((5, 2, 4, 2)).astype(np.float32)
    model = upsampling(weight, strides=[2, 2], pads=[1, 0, 1, 0])
    rewritten = rewrite_overlap_add(model)
    assert operators(rewritten).count("Slice") == 1
    image = random.standard_normal((2, 5, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), atol=1e-5)


def test_one_to_many_channels_is_left_to_the_phases() -> None:
    model = upsampling(np.ones((3, 8, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4)
    assert operators(rewrite_overlap_add(model)) == ["ConvTranspose", "Relu"]


def test_one_weight_is_taken_apart_once() -> None:
    model = upsampling(np.ones((3, 3, 4, 4), np.float32), bias=False, strides=[2, 2], pads=[1] * 4)
    again = helper.make_node("ConvTranspose", ["out", "weight"], ["twice"], name="again", strides=[2, 2], pads=[1] * 4)
    model.graph.node.append(again)
    model.graph.output[0].name = "twice"
    rewritten = rewrite_overlap_add(model)
    assert operators(rewritten).count("Transpose") == 1
    image = np.random.default_rng(0).standard_normal((1, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewritten, image=image), run(model, image=image), rtol=1e-5)


@pytest.mark.parametrize("rewrite", [rewrite_overlap_add, rewrite_phase_convolutions])
def test_one_weight_at_two_strides_is_taken_apart_twice(rewrite: Callable[..., onnx.ModelProto]) -> None:
    random = np.random.default_rng(2)
    weight = random.standard_normal((3, 3, 4, 4)).astype(np.float32)
    model = upsampling(weight, bias=False, strides=[2, 2], pads=[1] * 4)
    model.graph.node.append(helper.make_node("ConvTranspose", ["out", "weight"], ["far"], name="far", strides=[4, 4]))
    model.graph.output[0].name = "far"
    image = random.standard_normal((1, 3, *SIZE)).astype(np.float32)
    np.testing.assert_allclose(run(rewrite(model), image=image), run(model, image=image), rtol=1e-4, atol=1e-4)


def test_the_model_given_is_not_changed() -> None:
    model = upsampling(np.ones((3, 1, 4, 4), np.float32), strides=[2, 2], pads=[1] * 4)
    before = model.SerializeToString()
    rewrite_overlap_add(model)
    assert model.SerializeToString() == before
