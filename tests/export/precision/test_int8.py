"""What of the score graph is quantized and what is not, that the result is close, and that both CPU backends run it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, ConfigError
from ganspect.export.precision.int8 import quantize
from ganspect.export.variants import FORMS, INT8_FORMS
from ganspect.runtime.backends import offered_precisions, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.search import LatentSearch


def as_exported(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the form that int8 is made of."""
    for rewrite in FORMS["phases"]:
        model = rewrite(model)
    return model


@pytest.fixture(scope="module")
def phases(toy_folder: Path) -> onnx.ModelProto:
    return as_exported(onnx.load(toy_folder / "score.onnx"))


@pytest.fixture(scope="module")
def quantized(phases: onnx.ModelProto) -> onnx.ModelProto:
    return quantize(phases, [{"image": toy_images(1)}, {"image": toy_images(2)}])


def toy_images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (8, 12, 16, 3), np.uint8)


def kernels(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Return what each convolution's kernel is made from, by the convolution's name."""
    producers = {name: node for node in model.graph.node for name in node.output}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            name = node.input[1]
            while name in producers and producers[name].input:
                name = producers[name].input[0]
            if name in tensors:  # not the ones and zeros of an overlap-add
                found[node.name] = tensors[name]
    return found


def run(model: onnx.ModelProto, images: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["start_score", "encoder_score"], {"image": images})


def test_large_convolutions_are_quantized_and_the_image_side_is_not(quantized: onnx.ModelProto) -> None:
    types: dict[int, set[int]] = {}
    for tensor in kernels(quantized).values():
        types.setdefault(tensor.data_type, set()).add(min(tensor.dims[:2]))
    # The phases of 16-8 channels, and f's 8-16 of the image and of its reconstruction; those with 3 channels stay.
    assert types == {TensorProto.INT8: {8}, TensorProto.FLOAT: {3}}
    assert sum(tensor.data_type == TensorProto.INT8 for tensor in kernels(quantized).values()) == 6


def test_weights_are_quantized_by_channel(quantized: onnx.ModelProto) -> None:
    tensors = {tensor.name: tensor for tensor in quantized.graph.initializer}
    for node in quantized.graph.node:
        if (
            node.op_type == "DequantizeLinear"
            and tensors.get(node.input[0], TensorProto()).data_type == TensorProto.INT8
        ):
            assert list(tensors[node.input[1]].dims) == [tensors[node.input[0]].dims[0]]


def test_linear_layers_and_scores_stay_in_float32(quantized: onnx.ModelProto, phases: onnx.ModelProto) -> None:
    def count(model: onnx.ModelProto, *operators: str) -> int:
        return sum(node.op_type in operators for node in model.graph.node)

    for operator in ("Gemm", "ReduceMean", "Tanh"):
        assert count(quantized, operator) == count(phases, operator)
    made = {node.output[0] for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    assert not [node for node in quantized.graph.node if node.op_type == "Gemm" and made & set(node.input)]
    assert {entry.domain for entry in quantized.opset_import} == {""}


def test_the_model_given_is_not_changed(toy_folder: Path) -> None:
    model = as_exported(onnx.load(toy_folder / "score.onnx"))
    before = model.SerializeToString()
    quantize(model, [{"image": toy_images(1)}])
    assert model.SerializeToString() == before


def test_scores_are_close(quantized: onnx.ModelProto, phases: onnx.ModelProto) -> None:
    images = toy_images(3)
    for one, other in zip(run(phases, images), run(quantized, images), strict=True):
        assert not np.array_equal(one, other)
        np.testing.assert_allclose(other, one, rtol=2e-2)


def test_networks_without_a_large_convolution_are_refused(toy_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no convolution with many channels, .* train with a larger network\.width"):
        quantize(onnx.load(toy_folder / "encoder.onnx"), [])


def test_the_symmetric_form_has_zeros_at_zero_and_float32_biases(phases: onnx.ModelProto) -> None:
    model = quantize(phases, [{"image": toy_images(1)}], symmetric=True)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    zeros = {node.input[2] for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    assert {tensors[name].data_type for name in zeros} == {TensorProto.INT8}
    assert not any(numpy_helper.to_array(tensors[name]).any() for name in zeros)
    for one, other in zip(run(phases, toy_images(3)), run(model, toy_images(3)), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-2)


def test_nvidias_parser_takes_the_symmetric_form(int8_bundle: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    from ganspect.runtime.backends.tensorrt.parsing import parse
    from ganspect.runtime.backends.tensorrt.rtx import TensorRtRtx

    assert parse(TensorRtRtx.flavour, int8_bundle / "score.int8-symmetric.onnx").network.num_outputs == 5
    with pytest.raises(BundleError, match="cannot read"):
        parse(TensorRtRtx.flavour, int8_bundle / "score.int8.onnx")


@pytest.mark.parametrize("form", INT8_FORMS)
def test_float32_weights_are_not_stored_again(int8_bundle: Path, form: str) -> None:
    model = onnx.load(int8_bundle / f"score.{form}.onnx", load_external_data=False)
    places = {entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"}
    assert places == {"weights.bin"}
    inline = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and not t.external_data]
    assert max(len(tensor.raw_data) for tensor in inline) < 2048


def test_the_bundle_names_the_form(int8_bundle: Path) -> None:
    bundle = open_bundle(int8_bundle)
    assert bundle.has_variant("int8")
    assert bundle.graph_path("score", "int8").name == "score.int8.onnx"
    assert bundle.graph_path("search", "int8").name == "search.onnx"
    assert offered_precisions("onnxruntime", bundle) == ("fp32", "int8")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_in_int8_starts_in_int8_and_searches_in_float32(int8_bundle: Path, backend: str) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    bundle = open_bundle(int8_bundle)
    tiles = bundle.calibration_tiles()
    with (
        open_backend(backend, bundle, tuning=Tuning(threads=1)) as exact,
        open_backend(backend, bundle, tuning=Tuning(threads=1), precision="int8") as low,
    ):
        one, other = (LatentSearch(bundle, opened).score(tiles) for opened in (exact, low))
        assert one is not None
        assert other is not None
        assert not np.array_equal(one.latent, other.latent)
        np.testing.assert_allclose(other.start_score, one.start_score, rtol=0.05)
        searched = [LatentSearch(bundle, opened).full(tiles, steps=3, start="random") for opened in (exact, low)]
    np.testing.assert_array_equal(searched[0].score, searched[1].score)
