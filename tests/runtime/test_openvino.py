"""The OpenVINO backend beside ONNX Runtime on a real bundle, and what it says when it cannot run."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, ConfigError, DeviceError, MissingDependencyError
from ganspect.files import sha256_of
from ganspect.runtime.backends import offered_precisions, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.building import build_bundle
from ganspect.runtime.search import LatentSearch
from tests.runtime.conftest import change_manifest

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return open_bundle(tiny_bundle)


def searched(bundle, tiles, name, precision="fp32"):
    with open_backend(name, bundle, tuning=Tuning(threads=1), precision=precision) as backend:
        search = LatentSearch(bundle, backend)
        return search.score(tiles), search.full(tiles, steps=5)


def test_scores_are_those_of_onnxruntime(bundle, tiles):
    start, found = searched(bundle, tiles, "onnxruntime")
    other_start, other = searched(bundle, tiles, "openvino")
    np.testing.assert_allclose(other_start.encoder_score, start.encoder_score, rtol=1e-4)
    np.testing.assert_allclose(other.score, found.score, rtol=2e-2)
    assert other.reconstruction.dtype == np.uint8
    assert other.steps.tolist() == found.steps.tolist()


def test_the_threads_asked_for_are_taken(bundle):
    for asked, taken in ((1, 1), (None, len(os.sched_getaffinity(0)))):
        with open_backend("openvino", bundle, tuning=Tuning(threads=asked)) as backend:
            assert backend.load("encoder").get_property("INFERENCE_NUM_THREADS") == taken


def test_outputs_are_new_arrays(bundle, tiles):
    with open_backend("openvino", bundle, tuning=Tuning(threads=1)) as backend:
        first = backend.run("encoder", {"image": np.zeros((2, 1, 32, 32), np.float32)})["latent"]
        kept = first.copy()
        backend.run("encoder", {"image": np.ones((2, 1, 32, 32), np.float32)})
    np.testing.assert_array_equal(first, kept)


def test_bf16_is_offered_where_the_processor_has_it_and_close(bundle, tiles):
    offered = offered_precisions("openvino", bundle)
    assert offered[0] == "fp32"
    if "bf16" not in offered:
        pytest.skip("this processor has no bfloat16")
    start, _ = searched(bundle, tiles, "openvino")
    lowered, _ = searched(bundle, tiles, "openvino", "bf16")
    assert not np.array_equal(lowered.encoder_score, start.encoder_score)
    np.testing.assert_allclose(lowered.encoder_score, start.encoder_score, rtol=2e-2)


def test_a_device_that_is_not_there(bundle):
    with pytest.raises(DeviceError, match="OpenVINO sees no NPU here, only CPU"):
        open_backend("openvino:NPU", bundle)


def test_a_precision_that_it_does_not_run(bundle):
    with pytest.raises(ConfigError, match="OpenVINO on CPU does not run fp16; it runs fp32, bf16, int8"):
        open_backend("openvino", bundle, precision="fp16")


def test_a_precision_that_the_bundle_has_not(bundle):
    with pytest.raises(
        BundleError, match="has no int8 graphs for OpenVINO on CPU, only fp32, bf16; make them with: ganspect export"
    ):
        open_backend("openvino", bundle, precision="int8")


def test_without_the_package_the_error_names_the_extra(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "ganspect.runtime.backends.openvino_devices", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"OpenVINO is not installed; .*pip install 'ganspect\[openvino\]'"
    ):
        open_backend("openvino", bundle)


def test_a_graph_that_it_cannot_compile_is_a_bundle_error(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    (folder / "score.phases.onnx").write_bytes(b"no graph")
    change_manifest(folder, sha256={"score.phases.onnx": sha256_of(folder / "score.phases.onnx")})
    with (
        open_backend("openvino", open_bundle(folder)) as backend,
        pytest.raises(BundleError, match=r"cannot compile .*score\.phases\.onnx"),
    ):
        backend.run("score", {})


def test_a_graph_from_the_engines_gives_the_same(copy, tiny_bundle, tiles, capsys):
    bundle = open_bundle(copy(tiny_bundle))
    plain, _ = searched(bundle, tiles, "openvino")
    build_bundle(bundle.folder, ["openvino"], ["fp32"])
    with open_backend("openvino", bundle, tuning=Tuning(threads=1)) as backend:
        built = backend.run("score", {"image": tiles})
    np.testing.assert_array_equal(built["start_score"], plain.start_score)
    engine = next((bundle.folder / "engines").glob("openvino-score-fp32-*.engine"))
    engine.write_bytes(engine.read_bytes()[:-1] + b"\x00\x01")
    capsys.readouterr()
    with open_backend("openvino", bundle, tuning=Tuning(threads=1)) as backend:
        np.testing.assert_array_equal(backend.run("score", {"image": tiles})["start_score"], plain.start_score)
    assert "is damaged or gone; the graph is compiled instead" in capsys.readouterr().out


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from ganspect.bundle import open_bundle
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning

def opened():
    backend = open_backend("openvino", open_bundle(Path(sys.argv[1])), tuning=Tuning(threads=1))
    backend.load("encoder")
    return [backend]

signal.signal(signal.SIGTERM, lambda number, frame: print("told", flush=True))
backends = opened(), opened()
if sys.argv[2] == "elsewhere":
    let_go = threading.Thread(target=lambda: [backend.clear() for backend in backends])
    let_go.start()
    let_go.join()
else:
    for backend in backends:
        backend.clear()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("how", ["in the order they came", "elsewhere"])
def test_a_signal_is_handled_when_backends_are_gone(tiny_bundle, how):
    command = [sys.executable, "-c", INTERRUPTED, str(tiny_bundle), how]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "told\n"), ended.stderr
