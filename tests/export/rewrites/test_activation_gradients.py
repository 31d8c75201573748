import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from ganspect.export.rewrites.activation_gradients import simplify_activation_gradients
from tests.export.rewrites.models import model_of, operators, run

VALUES = np.float32([[-2.0, -1e-30, -0.0, 0.0, 1e-30, 3.0, np.inf, np.nan]])
GRADIENT = np.float32([[1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, -8.0]])


def gradient_of_leaky_relu(alpha: float = 0.2, threshold: float = 0.0) -> onnx.ModelProto:
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["y"], alpha=alpha, name="leaky"),
        helper.make_node("Greater", ["x", "zero"], ["mask"], name="mask"),
        helper.make_node("Mul", ["g", "slope"], ["scaled"], name="scaled"),
        helper.make_node("Where", ["mask", "g", "scaled"], ["moved"], name="choice"),
        helper.make_node("Add", ["moved", "y"], ["out"], name="both"),
    ]
    given = [
        numpy_helper.from_array(np.float32(threshold), "zero"),
        numpy_helper.from_array(np.float32(alpha), "slope"),
    ]
    return model_of(nodes, {"x": ["batch", 8], "g": ["batch", 8]}, given)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    taken = ir.from_proto(model)
    simplify_activation_gradients(taken)
    return ir.to_proto(taken)


def test_the_mask_is_read_from_the_activation_and_the_gradient_is_one_product() -> None:
    model = gradient_of_leaky_relu()
    after = simplified(model)
    assert operators(after) == ["LeakyRelu", "Greater", "Where", "Mul", "Add"]
    mask = next(node for node in after.graph.node if node.op_type == "Greater")
    assert mask.input[0] == "y"
    np.testing.assert_array_equal(run(after, x=VALUES, g=GRADIENT), run(model, x=VALUES, g=GRADIENT))


@pytest.mark.parametrize("alpha", [0.0, -0.5])
def test_a_slope_that_loses_the_sign_keeps_its_mask(alpha: float) -> None:
    after = simplified(gradient_of_leaky_relu(alpha))
    assert next(node for node in after.graph.node if node.op_type == "Greater").input[0] == "x"


def test_a_comparison_with_another_number_stays() -> None:
    after = simplified(gradient_of_leaky_relu(threshold=0.5))
    assert next(node for node in after.graph.node if node.op_type == "Greater").input[0] == "x"


def test_a_choice_between_other_things_stays() -> None:
    model = gradient_of_leaky_relu()
    model.graph.node[2].input[1] = "x"
    assert operators(simplified(model)) == ["LeakyRelu", "Greater", "Mul", "Where", "Add"]
