import sys

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, ConfigError, MissingDependencyError
from ganspect.files import sha256_of
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from tests.runtime.conftest import change_manifest


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


def test_a_graph_gives_every_output_by_name(bundle, tiles):
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        outputs = backend.run("score", {"image": tiles})
    assert list(outputs) == bundle.manifest.graphs["score"].outputs
    assert outputs["reconstruction"].shape == tiles.shape
    assert outputs["reconstruction"].dtype == np.uint8


def test_threads_change_no_shape(bundle, tiles):
    with open_backend("onnxruntime", bundle) as backend:
        assert backend.run("score", {"image": tiles[:1]})["residual"].shape == (1, 32, 32)


def test_a_mistyped_backend_gets_the_nearest_name(bundle):
    with pytest.raises(ConfigError, match=r"unknown backend 'onnxruntim'; did you mean 'onnxruntime'\?"):
        open_backend("onnxruntim", bundle)


def test_an_unknown_backend_gets_the_list(bundle):
    with pytest.raises(ConfigError, match="unknown backend 'abacus'; expected one of onnxruntime"):
        open_backend("abacus", bundle)


def test_no_threads_are_refused(bundle):
    with pytest.raises(ConfigError, match="0 threads were asked for"):
        open_backend("onnxruntime", bundle, tuning=Tuning(threads=0))


def test_threads_spinning_and_arena_reach_onnx_runtime(bundle, tiles):
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1, spinning=False, arena=False)) as backend:
        frugal = backend.run("score", {"image": tiles})
        options = backend._sessions["score"].get_session_options()
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_cpu_mem_arena
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        usual = backend.run("score", {"image": tiles})
        options = backend._sessions["score"].get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert options.enable_cpu_mem_arena
    assert all(np.array_equal(frugal[name], usual[name]) for name in usual)


def test_without_the_package_the_error_names_the_pip_command(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "ganspect.runtime.backends.onnxruntime_cpu", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ganspect\[cpu\]'"):
        open_backend("onnxruntime", bundle)


def test_an_unknown_graph_is_named(bundle):
    with (
        open_backend("onnxruntime", bundle) as backend,
        pytest.raises(BundleError, match="has no graph 'discriminator'; it has"),
    ):
        backend.run("discriminator", {})


def test_a_graph_that_the_engine_cannot_load_is_a_bundle_error(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    (folder / "score.onnx").write_bytes(b"no graph")
    change_manifest(folder, sha256={"score.onnx": sha256_of(folder / "score.onnx")})
    with (
        open_backend("onnxruntime", open_bundle(folder)) as backend,
        pytest.raises(BundleError, match=r"cannot load .*score\.onnx"),
    ):
        backend.run("score", {})
