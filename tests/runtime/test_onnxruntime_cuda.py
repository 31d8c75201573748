"""What a GPU's backends say where there is none, and their arrays that stay on a device, here the CPU."""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import onnxruntime
import pytest

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import BundleError, ConfigError, DeviceError
from ganspect.files import sha256_of
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.onnxruntime_binding import CHECK_EVERY, BoundGraph, Place, StepLoop
from ganspect.runtime.backends.onnxruntime_cuda import OnnxRuntimeCuda, device_name
from ganspect.runtime.backends.onnxruntime_tensorrt import MAX_ROWS, OnnxRuntimeTensorRt
from ganspect.runtime.rows import begin_state
from tests.runtime.conftest import change_manifest

CPU = Place("cpu")


class OnCpu(OnnxRuntimeCuda):
    """The CUDA backend's own code, with the CPU provider in its place."""

    provider: ClassVar[str] = "CPUExecutionProvider"
    _kind: ClassVar[str] = "cpu"


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def on_cpu(bundle) -> Iterator[OnCpu]:
    with OnCpu(bundle) as backend:
        yield backend


@pytest.fixture
def gpu_build(monkeypatch):
    """An ONNX Runtime that was built for CUDA, on a machine without a GPU."""
    offered = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)


def session_of(bundle: Bundle, graph: str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(bundle.graph_path(graph)), providers=["CPUExecutionProvider"])


def search_inputs(tiles: np.ndarray, latent_size: int = 8, threshold: float = -np.inf) -> dict[str, np.ndarray]:
    latent = np.random.default_rng(5).standard_normal((len(tiles), latent_size)).astype(np.float32)
    state = begin_state(latent, np.arange(len(tiles), dtype=np.int64))._asdict()
    return {"image": tiles, **state, "threshold": np.asarray(threshold, np.float32)}


def steps_one_by_one(bundle: Bundle, inputs: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    session, names = session_of(bundle, "step"), bundle.manifest.graphs["step"].outputs
    outputs = {}
    for _ in range(steps):
        outputs = dict(zip(names, session.run(names, inputs), strict=True))
        inputs = inputs | {name.removesuffix("_out"): array for name, array in outputs.items()}
    return outputs


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt", "onnxruntime-cuda:1"])
def test_an_onnxruntime_without_the_provider_says_what_it_offers_and_what_to_install(bundle, name):
    with pytest.raises(DeviceError, match=r"ExecutionProvider, but the one .* offers only .*CPU.*'ganspect\[gpu\]'"):
        open_backend(name, bundle)


@pytest.mark.parametrize("backend", [OnnxRuntimeCuda, OnnxRuntimeTensorRt])
def test_precisions_are_not_offered_without_a_gpu(bundle, backend):
    with pytest.raises(DeviceError, match="offers only"):
        backend.offers(bundle)


@pytest.mark.usefixtures("gpu_build")
def test_a_gpu_that_is_not_there_is_a_device_error(bundle):
    with pytest.raises(DeviceError, match=r"GPU 1 was asked for, but ONNX Runtime .* look at nvidia-smi"):
        open_backend("onnxruntime-cuda:1", bundle)


def test_a_device_that_is_no_number_is_refused(bundle):
    with pytest.raises(ConfigError, match="takes the number of a GPU, not 'front'; write for instance onnxruntime-cu"):
        open_backend("onnxruntime-cuda:front", bundle)


def test_a_precision_that_a_gpu_is_not_given_is_refused(bundle):
    with pytest.raises(ConfigError, match="ONNX Runtime on a GPU does not run int8; it runs fp32, fp16"):
        open_backend("onnxruntime-cuda", bundle, precision="int8")


def test_falling_back_to_the_cpu_is_a_device_error(bundle, tiles, monkeypatch):
    class Silent(OnCpu):
        provider: ClassVar[str] = "CUDAExecutionProvider"

        def _providers(self, graph, options):
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(Silent, "_require_provider", classmethod(lambda cls: None))
    with Silent(bundle) as backend, pytest.raises(DeviceError, match="fell back to CPUExecutionProvider: a CUDA, cuDN"):
        backend.run("score", {"image": tiles})


def test_a_graph_that_the_engine_cannot_load_is_a_bundle_error(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    (folder / "score.onnx").write_bytes(b"no graph")
    change_manifest(folder, sha256={"score.onnx": sha256_of(folder / "score.onnx")})
    with OnCpu(open_bundle(folder)) as backend, pytest.raises(BundleError, match=r"cannot load .*score\.onnx"):
        backend.run("score", {})


def test_an_unknown_graph_is_named(on_cpu):
    with pytest.raises(BundleError, match="has no graph 'discriminator'; it has"):
        on_cpu.run("discriminator", {})


def test_bound_runs_give_what_plain_runs_give_in_new_arrays(bundle, tiles, on_cpu):
    plain, names = session_of(bundle, "score"), bundle.manifest.graphs["score"].outputs
    kept = on_cpu.run("score", {"image": tiles[:4]})
    for batch in (tiles[4:8], tiles[:1], tiles[8:12]):
        found = on_cpu.run("score", {"image": batch})
        assert_same(found, dict(zip(names, plain.run(names, {"image": batch}), strict=True)))
    assert_same(kept, dict(zip(names, plain.run(names, {"image": tiles[:4]}), strict=True)))


def test_more_shapes_than_are_kept_run_all_the_same(bundle, tiles):
    bound = BoundGraph(session_of(bundle, "encoder"), CPU)
    images = np.random.default_rng(0).random((20, 1, 32, 32)).astype(np.float32)
    first = bound.run({"image": images[:1]})
    for rows in range(2, 20):
        assert bound.run({"image": images[:rows]})["latent"].shape == (rows, 8)
    assert_same(bound.run({"image": images[:1]}), first)


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_steps_on_the_device_are_the_same_steps_one_by_one(bundle, tiles, on_cpu, steps):
    inputs = search_inputs(tiles[:5])
    expected = steps_one_by_one(bundle, inputs, steps)
    if steps == 0:
        expected = {name: inputs[name.removesuffix("_out")] for name in bundle.manifest.graphs["step"].outputs}
    assert_same(on_cpu.run_steps(inputs, steps), expected)
    assert on_cpu.captures is False


def test_a_second_search_of_a_shape_starts_from_its_own_state(bundle, tiles, on_cpu):
    first = on_cpu.run_steps(search_inputs(tiles[:3]), 3)
    kept = {name: array.copy() for name, array in first.items()}
    second = search_inputs(tiles[3:6])
    assert_same(on_cpu.run_steps(second, 4), steps_one_by_one(bundle, second, 4))
    assert_same(first, kept)


def test_chunks_of_steps_compose(tiles, on_cpu):
    inputs = search_inputs(tiles[:3])
    half = on_cpu.run_steps(inputs, 3)
    rest = on_cpu.run_steps(inputs | {name.removesuffix("_out"): array for name, array in half.items()}, 4)
    assert_same(rest, on_cpu.run_steps(inputs, 7))


def test_the_early_exit_saves_runs_and_changes_nothing(bundle, tiles):
    runs = []

    class Counting:
        def __init__(self, session):
            self._session = session
            self.get_outputs, self.io_binding = session.get_outputs, session.io_binding

        def run_with_iobinding(self, binding, options):
            runs.append(options)
            self._session.run_with_iobinding(binding, options)

    inputs = search_inputs(tiles[:2], threshold=1e9)
    loop = StepLoop(Counting(session_of(bundle, "step")), CPU, capture=False)
    assert_same(loop.run(inputs, 50), steps_one_by_one(bundle, inputs, 50))
    assert len(runs) == CHECK_EVERY


def test_a_search_by_steps_is_the_search(bundle, tiles, on_cpu):
    inputs = search_inputs(tiles[:3]) | {"steps": np.asarray(6, np.int64)}
    found, expected = on_cpu.run_search_by_steps(inputs), on_cpu.run("search", inputs)
    assert set(found) == set(expected)
    np.testing.assert_array_equal(found["step_out"], expected["step_out"])
    np.testing.assert_allclose(found["best_score_out"], expected["best_score_out"], rtol=1e-4)
    np.testing.assert_allclose(found["residual"], expected["residual"], atol=1e-3)


def test_pixel_statistics_are_taken_to_the_device_too(rescored_bundle, tiles):
    bundle = open_bundle(rescored_bundle)
    maps = bundle.pixel_statistics()
    pixels = {"pixel_mean": maps.mean, "pixel_deviation": maps.deviation}
    inputs = search_inputs(tiles[:2]) | pixels | {"steps": np.asarray(3, np.int64)}
    plain, names = session_of(bundle, "search"), bundle.manifest.graphs["search"].outputs
    with OnCpu(bundle) as backend:
        assert_same(backend.run("search", inputs), dict(zip(names, plain.run(names, inputs), strict=True)))


def test_engines_of_the_tensorrt_provider_have_a_folder_and_a_profile(tiny_bundle, copy, monkeypatch):
    monkeypatch.setattr(OnnxRuntimeTensorRt, "_open", classmethod(lambda cls, device: Place("cuda")))
    backend = OnnxRuntimeTensorRt(open_bundle(copy(tiny_bundle)))
    (tensorrt, options), (cuda, _), cpu = backend._providers("search", {})
    assert (tensorrt, cuda, cpu) == ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["trt_engine_cache_path"] == str(backend.engines_folder())
    assert backend.engines_folder().is_dir()
    assert "trt_fp16_enable" not in options
    assert f"image:{MAX_ROWS}x32x32x1,latent:{MAX_ROWS}x8" in options["trt_profile_max_shapes"]
    assert "trt_profile_max_shapes" not in backend._providers("encoder", {})[0][1]


def test_a_device_has_a_name_where_the_driver_gives_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert device_name(Place("cuda", 1)) == "cuda:1"
    assert device_name(CPU) == "CPU"
