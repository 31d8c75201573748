from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ganspect.export.graphs import graph_builders
from ganspect.export.weights import WEIGHTS
from tests.export.toy import SIZES, Toy, toy_formulas


@pytest.mark.parametrize("name", ["generator", "encoder", "features", "score", "step", "search"])
def test_graph_is_plain_onnx_with_a_dynamic_batch(toy_folder: Path, name: str) -> None:
    model = onnx.load(toy_folder / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    assert {entry.domain for entry in model.opset_import} == {""}
    assert model.opset_import[0].version <= 20
    assert model.ir_version <= 10
    batched = [value for value in model.graph.input if value.type.tensor_type.shape.dim]
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "batch" for value in batched)


def test_images_are_uint8(toy_folder: Path) -> None:
    for name in ("score", "step", "search"):
        session = onnxruntime.InferenceSession(toy_folder / f"{name}.onnx")
        assert session.get_inputs()[0].type == "tensor(uint8)"
        assert session.get_inputs()[0].shape == ["batch", 12, 16, 3]


def test_each_weight_is_stored_once(toy: Toy, toy_folder: Path) -> None:
    weights = sum(tensor.numel() * 4 for tensor in toy.parameters() if tensor.numel() * 4 >= 1024)
    assert weights <= (toy_folder / WEIGHTS).stat().st_size <= weights * 1.01 + 1024


def test_without_an_encoder_there_is_no_score_graph() -> None:
    builders = graph_builders(toy_formulas(Toy(with_encoder=False)), SIZES)
    assert sorted(builders) == ["features", "generator", "search", "step"]


def test_pixel_statistics_are_inputs_where_a_score_needs_them(toy: Toy) -> None:
    model = graph_builders(toy_formulas(toy, "residual_calibrated"), SIZES)["score"]()
    assert [value.name for value in model.graph.input][-2:] == ["pixel_mean", "pixel_deviation"]
    assert [len(value.type.tensor_type.shape.dim) for value in model.graph.input][-2:] == [2, 2]


def test_reconstruction_is_the_generators_in_grey_levels(toy: Toy, toy_folder: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (2, 12, 16, 3), np.uint8)
    session = onnxruntime.InferenceSession(toy_folder / "score.onnx")
    latent, _, _, pixels, residual = session.run(None, {"image": image})
    expected = toy.generator(torch.from_numpy(latent)).permute(0, 2, 3, 1).numpy()
    assert np.abs(pixels / 127.5 - 1 - expected).max() < 1 / 127
    assert residual.shape == (2, 12, 16)
    assert residual.min() >= 0
    assert residual.max() <= 1
