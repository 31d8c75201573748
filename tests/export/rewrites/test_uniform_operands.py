import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from ganspect.export.rewrites.uniform_operands import take_uniform_as_numbers
from tests.export.rewrites.models import model_of, operators, run

IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 2, 4)).astype(np.float32)


def gradient_of_a_mean(operator: str = "Mul", to: tuple[int, ...] = (-1, 2, 4)) -> onnx.ModelProto:
    """Return sign(x) times what PyTorch makes of the gradient of a mean: ones, expanded, over their count."""
    nodes = [
        helper.make_node("Shape", ["x"], ["batch"], start=0, end=1, name="batch"),
        helper.make_node("Concat", ["batch", "eight"], ["rows"], axis=0, name="rows"),
        helper.make_node("Expand", ["one", "rows"], ["ones"], name="expand"),
        helper.make_node("Neg", ["ones"], ["negative"], name="neg"),
        helper.make_node("Div", ["negative", "count"], ["shares"], name="div"),
        helper.make_node("Reshape", ["shares", "shape"], ["like_x"], name="reshape"),
        helper.make_node("Sign", ["x"], ["sign"], name="sign"),
        helper.make_node(operator, ["like_x", "sign"], ["out"], name="product"),
    ]
    given = {
        "eight": np.array([8]),
        "one": np.float32([1.0]),
        "count": np.float32(8.0),
        "shape": np.array(to),
    }
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in given.items()]
    model = model_of(nodes, {"x": ["batch", 2, 4]}, constants)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    taken = ir.from_proto(model)
    take_uniform_as_numbers(taken)
    return ir.to_proto(taken)


def test_the_gradient_of_a_mean_is_a_number() -> None:
    for operator in ("Mul", "Sub"):
        model = gradient_of_a_mean(operator)
        after = simplified(model)
        assert operators(after) == ["Sign", operator]
        np.testing.assert_array_equal(run(after, x=IMAGES), run(model, x=IMAGES))


def test_a_tensor_that_broadcasts_the_other_stays() -> None:
    model = gradient_of_a_mean()
    product = model.graph.node[-1]
    model.graph.node.insert(7, helper.make_node("ReduceSum", ["sign", "eight_axis"], ["few"], keepdims=1, name="few"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "eight_axis"))
    product = model.graph.node[-1]
    product.input[1] = "few"
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    after = simplified(model)
    assert "Expand" in operators(after)
    assert run(after, x=IMAGES).shape == (3, 2, 4)


def test_a_tensor_of_an_unknown_number_stays() -> None:
    model = gradient_of_a_mean()
    model.graph.node[2].input[0] = "start"
    model.graph.input.append(helper.make_tensor_value_info("start", onnx.TensorProto.FLOAT, [1]))
    assert operators(simplified(model)) == operators(model)
