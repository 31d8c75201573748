"""A transposed convolution as a model of its own, and running one."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = (5, 7)


def upsampling(weight: np.ndarray, *, bias: bool = True, **attributes: object) -> onnx.ModelProto:
    """Return image (N,Cin,5,7) -> ConvTranspose -> Relu, as a model."""
    constants = [numpy_helper.from_array(weight, "weight")]
    inputs = ["image", "weight"]
    if bias:
        constants.append(numpy_helper.from_array(np.arange(weight.shape[1], dtype=np.float32), "bias"))
        inputs.append("bias")
    nodes = [
        helper.make_node("ConvTranspose", inputs, ["up"], name="up", **attributes),
        helper.make_node("Relu", ["up"], ["out"], name="active"),
    ]
    return model_of(nodes, {"image": ["batch", weight.shape[0], *SIZE]}, constants)


def model_of(
    nodes: list[onnx.NodeProto], inputs: dict[str, list[object]], constants: list[onnx.TensorProto] | None = None
) -> onnx.ModelProto:
    """Return a model of nodes whose output is `out`."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "test", given, [out], constants or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    """Run a model in ONNX Runtime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def operators(model: onnx.ModelProto) -> list[str]:
    """Return its operators in order, without constants."""
    return [node.op_type for node in model.graph.node if node.op_type != "Constant"]
