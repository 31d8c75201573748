from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from ganspect.export.joining import loop_body
from ganspect.export.rewrites.loop_weights import move_loop_weights
from tests.export.test_search_graph import FIELDS, search, start


def test_the_body_declares_what_it_uses(toy_folder: Path) -> None:
    model = move_loop_weights(onnx.load(toy_folder / "search.onnx", load_external_data=False))
    body = loop_body(next(node for node in model.graph.node if node.op_type == "Loop"))
    declared = {tensor.name for tensor in model.graph.initializer}
    assert body.initializer
    assert not declared & {name for node in body.node for name in node.input}
    used_outside = {name for node in model.graph.node for name in node.input}
    assert declared <= used_outside


def test_the_search_is_the_same(toy_folder: Path) -> None:
    model = move_loop_weights(onnx.load(toy_folder / "search.onnx", load_external_data=False))
    path = toy_folder / "search.moved.onnx"
    onnx.save(model, path)
    whole, moved = (
        onnxruntime.InferenceSession(one, providers=["CPUExecutionProvider"])
        for one in (toy_folder / "search.onnx", path)
    )
    state = start(4)
    one, other = search(whole, state, 1), search(moved, state, 1)
    for name in FIELDS:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_graph_without_a_loop_stays(toy_folder: Path) -> None:
    model = onnx.load(toy_folder / "score.onnx", load_external_data=False)
    assert move_loop_weights(model) == model
