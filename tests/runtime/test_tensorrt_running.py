"""TensorRT's backend with a stand-in for the GPU in `host_gpu`: buffers, streams, recordings, the cache."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, DeviceError
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tensorrt import backend as backend_module
from ganspect.runtime.backends.tensorrt.backend import TensorRtBackend
from ganspect.runtime.backends.tensorrt.flavour import Flavour
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.rows import begin_state
from tests.runtime.host_gpu import LARGEST_BATCH, HostCuda, host_tensorrt


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def reference(bundle):
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        yield backend


@dataclass
class Stand:
    """The stand-in and what is built on it."""

    cuda: HostCuda
    flavour: Flavour
    builds: list[str]

    def open(self, bundle) -> TensorRtBackend:
        return type("Standing", (TensorRtBackend,), {"flavour": self.flavour})(bundle)

    def with_on_host(self, *names: str) -> "Stand":
        api = host_tensorrt(self.cuda, on_host=frozenset(names))
        return replace(self, flavour=replace(self.flavour, api=api))


@pytest.fixture
def stand(monkeypatch):
    """A machine with a driver, cuda-python and a GPU; building an engine notes its file and gives its path."""
    cuda, builds = HostCuda(), []
    package, runtime = ModuleType("cuda.bindings"), cuda
    package.runtime = runtime
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", package)
    for module in ("cuda", "running"):
        monkeypatch.delitem(sys.modules, f"ganspect.runtime.backends.tensorrt.{module}", raising=False)

    def serialize(path: Path, **_: Any) -> bytes:
        builds.append(path.name)
        return str(path).encode()

    monkeypatch.setattr(backend_module, "_DRIVER", None)
    monkeypatch.setattr(backend_module, "parse", lambda flavour, path: path)
    monkeypatch.setattr(backend_module, "serialize", serialize)
    api = host_tensorrt(cuda)
    yield Stand(cuda, Flavour(api, "tensorrt", "TensorRT", {"fp32": ()}, "tensorrt", portable=False), builds)
    for module in ("cuda", "running"):
        sys.modules.pop(f"ganspect.runtime.backends.tensorrt.{module}", None)


def search_inputs(tiles: np.ndarray, **more: Any) -> dict[str, np.ndarray]:
    latent = np.random.default_rng(5).standard_normal((len(tiles), 8)).astype(np.float32)
    state = begin_state(latent, np.arange(len(tiles), dtype=np.int64))._asdict()
    return {"image": tiles, **state, "threshold": np.array(-np.inf, np.float32), **more}


def require_same(backend: Backend, reference: Backend, graph: str, inputs: dict[str, np.ndarray]) -> None:
    found, expected = backend.run(graph, inputs), reference.run(graph, inputs)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_it_says_what_it_runs_on(copy, tiny_bundle, stand):
    backend = stand.open(open_bundle(copy(tiny_bundle)))
    said = (backend.name, backend.version, backend.precision, backend.device)
    assert said == ("tensorrt", "10.3.0", "fp32", "NVIDIA RTX A2000")


def test_graphs_of_any_batch_give_what_they_give_elsewhere(copy, tiny_bundle, stand, reference, tiles):
    with stand.open(open_bundle(copy(tiny_bundle))) as backend:
        for rows in (2, 8, 1, 3):
            require_same(backend, reference, "score", {"image": tiles[:rows]})
            require_same(backend, reference, "search", search_inputs(tiles[:rows], steps=np.array(3)))
    assert stand.builds == ["score.onnx", "search.onnx"]


def test_inputs_that_tensorrt_reads_on_the_host_stay_there(copy, tiny_bundle, stand, reference, tiles):
    with stand.with_on_host("steps").open(open_bundle(copy(tiny_bundle))) as backend:
        for steps in (4, 1):
            require_same(backend, reference, "search", search_inputs(tiles[:2], steps=np.asarray(steps, np.int64)))


def test_single_iterations_are_recorded_once_for_each_batch(copy, tiny_bundle, stand, reference, tiles):
    with stand.open(open_bundle(copy(tiny_bundle))) as backend:
        for rows in (2, 2, 4, 2, 4):
            require_same(backend, reference, "step", search_inputs(tiles[-rows:]))
        assert stand.cuda.launches == 3
        require_same(backend, reference, "search", search_inputs(tiles[:2], steps=np.array(2)))
        require_same(backend, reference, "search", search_inputs(tiles[:2], steps=np.array(2)))
        assert stand.cuda.launches == 3


def test_what_cannot_be_recorded_runs_without(copy, tiny_bundle, stand, reference, tiles):
    stand.cuda.can_record = False
    with stand.open(open_bundle(copy(tiny_bundle))) as backend:
        for _ in range(2):
            require_same(backend, reference, "step", search_inputs(tiles[:2]))
    assert stand.cuda.launches == 0


def test_closing_frees_every_buffer(copy, tiny_bundle, stand, tiles):
    with stand.open(open_bundle(copy(tiny_bundle))) as backend:
        backend.run("score", {"image": tiles[:2]})
        assert stand.cuda.memory
    assert not stand.cuda.memory


def test_more_rows_than_the_engine_takes_are_refused(copy, tiny_bundle, stand, tiles):
    said = (
        rf"the engine of 'score' takes 'image' of at most \[{LARGEST_BATCH}, 32, 32, 1\], \[16, 32, 32, 1\] was given"
    )
    with (
        stand.open(open_bundle(copy(tiny_bundle))) as backend,
        pytest.raises(BundleError, match=said),
    ):
        backend.run("score", {"image": tiles})


def test_an_engine_is_built_once_for_a_kind_of_gpu(copy, tiny_bundle, stand, tiles):
    bundle = open_bundle(copy(tiny_bundle))
    for _ in range(2):
        with stand.open(bundle) as backend:
            backend.run("score", {"image": tiles[:1]})
    assert stand.builds == ["score.onnx"]


def test_a_cached_engine_that_does_not_load_is_built_again_and_that_is_said(
    copy, tiny_bundle, stand, tiles, capsys, monkeypatch
):
    bundle = open_bundle(copy(tiny_bundle))
    with monkeypatch.context() as patch:
        patch.setattr(backend_module, "serialize", lambda path, **_: b"of another kind")
        with stand.open(bundle) as backend, pytest.raises(DeviceError) as raised:
            backend.run("score", {"image": tiles[:1]})
    assert str(raised.value) == (
        "TensorRT 10.3.0 cannot load the engine of 'score' (wrong GPU); update the GPU's driver, "
        "or use --backend onnxruntime"
    )
    with stand.open(bundle) as backend:
        backend.run("score", {"image": tiles[:1]})
    assert "the engine of 'score' in the cache cannot be loaded here; it is built again" in capsys.readouterr().out
    assert stand.builds == ["score.onnx"]


def test_a_call_that_the_gpu_refuses_is_named(copy, tiny_bundle, stand, tiles, monkeypatch):
    monkeypatch.setattr(HostCuda, "cudaMalloc", lambda self, size: (2, None))
    with (
        stand.open(open_bundle(copy(tiny_bundle))) as backend,
        pytest.raises(DeviceError, match=r"the GPU refused a call \(cudaErrorOfSomeKind\); see with nvidia-smi"),
    ):
        backend.run("score", {"image": tiles[:1]})


def test_a_driver_without_a_gpu_is_said(copy, tiny_bundle, stand, monkeypatch):
    monkeypatch.setattr(HostCuda, "cudaSetDevice", lambda self, device: (100,))
    with pytest.raises(DeviceError) as raised:
        stand.open(open_bundle(copy(tiny_bundle)))
    assert str(raised.value) == (
        "TensorRT needs an NVIDIA GPU, and CUDA shows none (cudaErrorOfSomeKind); "
        "see nvidia-smi, or use --backend onnxruntime"
    )
