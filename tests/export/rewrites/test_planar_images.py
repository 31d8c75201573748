"""What is moved to planes, what is not, and that the values stay the same, in ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from ganspect.export.joining import loop_body
from ganspect.export.rewrites.planar_images import rewrite_planar_images
from tests.export.rewrites.models import model_of, operators, run

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 9)).astype(np.float32)
OTHER = np.random.default_rng(1).uniform(-1, 1, (2, 3, 8, 9)).astype(np.float32)


def constants(**values: object) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def smoothed(channels: int = 3) -> onnx.ModelProto:
    """Return the mean over channels of |x - tanh(y)| with two rows cut off."""
    shape: list[object] = ["batch", channels, 8, 9]
    nodes = [
        helper.make_node("Tanh", ["y"], ["t"], name="tanh"),
        helper.make_node("Sub", ["x", "t"], ["d"], name="sub"),
        helper.make_node("Mul", ["d", "half"], ["h"], name="half_of"),
        helper.make_node("Slice", ["h", "begin", "end", "axes"], ["s"], name="cut"),
        helper.make_node("Abs", ["s"], ["a"], name="abs"),
        helper.make_node("ReduceMean", ["a", "one"], ["out"], keepdims=0, name="mean"),
    ]
    given = constants(half=np.float32(0.5), begin=np.array([1]), end=np.array([-1]), axes=np.array([-2]), one=[1])
    return model_of(nodes, {"x": shape, "y": shape}, given)


@pytest.mark.parametrize("channels", [1, 3])
def test_elementwise_operators_and_slices_of_images_work_on_planes(channels: int) -> None:
    model = smoothed(channels)
    rewritten = rewrite_planar_images(model)
    # Both images are laid out once, and once the result is an image again, for the mean over its channels.
    assert sorted(operators(rewritten)) == sorted([*operators(model), "Reshape", "Reshape", "Reshape"])
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in onnx.shape_inference.infer_shapes(rewritten, data_prop=True).graph.value_info
    }
    assert {name: ranks[name] for name in "tdhsa"} == dict.fromkeys("tdhsa", 3)
    given = {"x": IMAGES[:, :channels], "y": OTHER[:, :channels]}
    np.testing.assert_array_equal(run(rewritten, **given), run(model, **given))


def test_what_is_no_image_stays() -> None:
    model = smoothed(8)
    assert operators(rewrite_planar_images(model)) == operators(model)


def test_what_meets_another_shape_stays() -> None:
    node = helper.make_node("Mul", ["x", "scale"], ["scaled"], name="scale")
    model = model_of(
        [node, helper.make_node("Identity", ["scaled"], ["out"])],
        {"x": ["batch", 3, 8, 9]},
        constants(scale=np.ones((3, 1, 1), np.float32)),
    )
    assert operators(rewrite_planar_images(model)) == ["Mul", "Identity"]


def test_a_slice_of_channels_stays() -> None:
    nodes = [
        helper.make_node("Slice", ["x", "begin", "end", "axes"], ["s"], name="cut"),
        helper.make_node("Identity", ["s"], ["out"]),
    ]
    given = constants(begin=np.array([1]), end=np.array([3]), axes=np.array([1]))
    model = model_of(nodes, {"x": ["batch", 3, 8, 9]}, given)
    assert operators(rewrite_planar_images(model)) == ["Slice", "Identity"]


def test_outputs_of_the_graph_stay_images() -> None:
    model = model_of([helper.make_node("Tanh", ["x"], ["out"], name="tanh")], {"x": ["batch", 3, 8, 9]})
    assert operators(rewrite_planar_images(model)) == ["Tanh"]


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_slices_keep_the_order_of_their_axes(dtype: type) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "begin", "end", "axes", "steps"], ["s"], name="cut"),
        helper.make_node("Identity", ["s"], ["out"]),
    ]
    bounds = {"begin": [1, 0], "end": [9, -1], "axes": [3, -2], "steps": [3, 2]}
    given = constants(**{name: np.array(value, dtype) for name, value in bounds.items()})
    model = model_of(nodes, {"x": ["batch", 3, 8, 9]}, given)
    rewritten = rewrite_planar_images(model)
    assert "Reshape" in operators(rewritten)
    np.testing.assert_array_equal(run(rewritten, x=IMAGES), run(model, x=IMAGES))


@pytest.mark.parametrize("shape", [(1, 3, 8, 9), (1, 1, 1, 1)])
def test_one_image_beside_a_batch_stays_what_it_is(shape: tuple[int, ...]) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "one"], ["product"], name="product"),
        helper.make_node("Slice", ["product", "begin", "end", "axes"], ["s"], name="cut"),
        helper.make_node("Identity", ["s"], ["out"]),
    ]
    one = np.full(shape, 2, np.float32)
    given = constants(one=one, begin=np.array([1]), end=np.array([5]), axes=np.array([2]))
    model = model_of(nodes, {"x": ["batch", 3, 8, 9]}, given)
    np.testing.assert_array_equal(run(rewrite_planar_images(model), x=IMAGES), run(model, x=IMAGES))


def test_an_input_of_one_image_beside_a_batch_stays_what_it_is() -> None:
    nodes = [helper.make_node("Sub", ["x", "y"], ["d"], name="sub"), helper.make_node("Identity", ["d"], ["out"])]
    model = model_of(nodes, {"x": ["batch", 3, 8, 9], "y": [1, 3, 8, 9]})
    given = {"x": IMAGES, "y": OTHER[:1]}
    np.testing.assert_array_equal(run(rewrite_planar_images(model), **given), run(model, **given))


def test_loop_bodies_are_rewritten_too(toy_folder: object) -> None:
    plain = onnx.load(f"{toy_folder}/search.onnx")
    body, before = (
        loop_body(next(node for node in model.graph.node if node.op_type == "Loop"))
        for model in (rewrite_planar_images(plain), plain)
    )
    made = [node.op_type for node in body.node].count("Reshape") - [node.op_type for node in before.node].count(
        "Reshape"
    )
    assert made >= 3
    onnx.checker.check_model(rewrite_planar_images(plain), full_check=True)
