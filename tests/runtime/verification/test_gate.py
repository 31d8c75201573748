"""`ganspect verify` on real bundles: sound ones pass, ones with a spoiled graph do not."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ganspect.bundle import open_bundle
from ganspect.errors import BundleError, CalibrationError, ConfigError, DeviceError, VerificationError
from ganspect.files import sha256_of
from ganspect.runtime import Inspector
from ganspect.runtime.backends import offered_precisions, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.guard import Guarded
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verification import gate
from ganspect.runtime.verification.choice import open_verified
from ganspect.runtime.verification.command import require_passed, verify_bundle
from ganspect.runtime.verification.gate import Gate
from ganspect.runtime.verification.nudged import Nudged
from ganspect.runtime.verification.record import VERIFICATION, read_verified
from tests.runtime.conftest import CountingBackend, change_manifest, set_threshold

pytest.importorskip("openvino", reason="OpenVINO is not installed")


def spoil(folder: Path, name: str) -> Path:
    """Scale the constants of a graph by a fifth, and give it a fitting hash: a fault that no hash shows."""
    model = onnx.load(folder / name, load_external_data=False)
    scaled = 0
    for node in model.graph.node:
        for pads in (attribute for attribute in node.attribute if node.op_type == "Conv" and attribute.name == "pads"):
            pads.ints[:] = [pads.ints[2], pads.ints[3], pads.ints[0], pads.ints[1]]
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.external_data:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.2, tensor.name))
            scaled += 1
    assert scaled
    onnx.save(model, folder / name)
    change_manifest(folder, sha256={name: sha256_of(folder / name)})
    return folder


@pytest.fixture(scope="module")
def verified(tmp_path_factory, tiny_bundle):
    """The tiny bundle, verified in float32."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("verified") / "bundle")
    return folder, verify_bundle(folder, ["onnxruntime", "openvino"], ["fp32"], tuning=Tuning(threads=1))


def test_sound_backends_pass_and_are_kept(verified):
    folder, results = verified
    assert [(result.backend, result.precision) for result in results] == [("onnxruntime", "fp32"), ("openvino", "fp32")]
    assert all(result.passed for result in results)
    assert all(result.search.n_straddling > 50 for result in results)
    assert all(result.encoder is not None and result.frame_ms > 0 for result in results)
    assert read_verified(open_bundle(folder)) == results


def test_the_table_shows_rank_and_flips(verified, capsys):
    folder, _ = verified
    verify_bundle(folder, ["openvino"], ["fp32"], tuning=Tuning(threads=1))
    printed = capsys.readouterr().out
    assert "rank" in printed
    assert "flips" in printed
    assert "verdicts hold" in printed


def test_a_spoiled_form_fails_and_says_why(copy, tiny_bundle):
    folder = spoil(copy(tiny_bundle), "score.phases.onnx")
    with pytest.raises(VerificationError, match=r"openvino in fp32 does not give the reference's verdicts: of the "):
        verify_bundle(folder, ["openvino"], ["fp32"], tuning=Tuning(threads=1))
    assert [entry.passed for entry in read_verified(open_bundle(folder))] == [False]


def test_the_plain_graph_is_the_reference_for_onnxruntime_too(copy, tiny_bundle):
    folder = spoil(copy(tiny_bundle), "search.loop-weights.onnx")
    with pytest.raises(VerificationError, match="onnxruntime in fp32 does not give"):
        verify_bundle(folder, ["onnxruntime"], tuning=Tuning(threads=1))


def test_a_changed_file_fails_verification(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    (folder / "search.phases.onnx").write_bytes(b"other")
    with pytest.raises(VerificationError, match=r"search\.phases\.onnx was changed"):
        verify_bundle(folder, ["openvino"])


def test_a_bundle_whose_calibration_kept_no_tiles(copy, tiny_bundle):
    folder = copy(tiny_bundle)
    content = json.loads((folder / "calibration.json").read_text())
    content["entries"][-1].update(tiles_file=None, tiles_sha256=None)
    (folder / "calibration.json").write_text(json.dumps(content))
    with pytest.raises(CalibrationError, match="kept no images to compare on; calibrate it again"):
        verify_bundle(folder, ["onnxruntime"])


def test_a_precision_that_nothing_here_runs(tiny_bundle):
    with pytest.raises(BundleError, match=r"no backend here runs .* in int8"):
        verify_bundle(tiny_bundle, [], ["int8"])


def test_an_unknown_precision(tiny_bundle):
    with pytest.raises(ConfigError, match="unknown precision 'bf61'; did you mean 'bf16'"):
        verify_bundle(tiny_bundle, ["openvino"], ["bf61"])


def test_auto_takes_the_fastest_that_passed(verified, capsys):
    folder, _ = verified
    # Another test has verified again: what the file says counts.
    fastest = min(read_verified(open_bundle(folder)), key=lambda result: result.frame_ms)
    with Inspector.load(folder, backend="auto", tuning=Tuning(threads=1)) as inspector:
        assert (inspector.backend.name, inspector.backend.precision) == (fastest.backend, fastest.precision)
    assert f"auto: {fastest.backend} in {fastest.precision}, verified here" in capsys.readouterr().err


def test_auto_takes_the_fastest_of_the_mode(verified, copy, capsys):
    folder = copy(verified[0])
    record = json.loads((folder / VERIFICATION).read_text())
    for entry in record["entries"]:
        fast = entry["backend"] == "openvino"
        entry["frame_ms"], entry["encoder_ms"] = (1.0, 9.0) if fast else (8.0, 2.0)
    (folder / VERIFICATION).write_text(json.dumps(record))
    bundle = open_bundle(folder)
    for mode, name, said in (("search", "openvino", "1.0 ms"), ("encoder", "onnxruntime", "2.0 ms")):
        with open_verified("auto", bundle, mode=mode) as backend:
            assert backend.name == name
        assert f"auto: {name} in fp32, verified here, {said}" in capsys.readouterr().err


def test_the_encoder_alone_is_timed_too_and_the_inspector_asks_for_its_mode(verified, copy, capsys):
    folder = copy(verified[0])
    record = json.loads((folder / VERIFICATION).read_text())
    assert all(0 < entry["encoder_ms"] < entry["frame_ms"] for entry in record["entries"])
    for entry in record["entries"]:
        entry["encoder_ms"] = 1.0 if entry["backend"] == "onnxruntime" else 9.0
    (folder / VERIFICATION).write_text(json.dumps(record))
    with Inspector.load(folder, backend="auto", mode="encoder", tuning=Tuning(threads=1)) as inspector:
        assert inspector.backend.name == "onnxruntime"
    assert "1.0 ms for a tile's encoder score" in capsys.readouterr().err


def test_auto_keeps_to_a_precision(verified):
    folder, _ = verified
    with open_verified("auto", open_bundle(folder), precision="fp32") as backend:
        assert backend.precision == "fp32"


def test_auto_without_verification_says_so(tiny_bundle, capsys):
    with open_verified("auto", open_bundle(tiny_bundle)) as backend:
        assert (backend.name, backend.precision) == ("onnxruntime", "fp32")
    assert "nothing is verified here; run: ganspect verify" in capsys.readouterr().err


def test_what_was_verified_under_another_calibration_does_not_count(verified, copy, capsys):
    folder = copy(verified[0])
    set_threshold(folder, 0.5)
    content = json.loads((folder / "calibration.json").read_text())
    content["entries"][-1]["created"] = "2020-01-01T00:00:00+00:00"
    (folder / "calibration.json").write_text(json.dumps(content))
    open_verified("auto", open_bundle(folder)).close()
    assert "nothing is verified here" in capsys.readouterr().err


def test_what_another_version_passed_does_not_count(verified, copy, capsys):
    folder = copy(verified[0])
    content = json.loads((folder / VERIFICATION).read_text())
    for entry in content["entries"]:
        entry["version"] = "0.1"
    (folder / VERIFICATION).write_text(json.dumps(content))
    open_verified("auto", open_bundle(folder)).close()
    assert "nothing is verified here" in capsys.readouterr().err


def test_a_lower_precision_that_was_not_verified_is_said_to_be(tiny_bundle, capsys):
    if "bf16" not in offered_precisions("openvino", open_bundle(tiny_bundle)):
        pytest.skip("this processor has no bfloat16")
    open_verified("openvino", open_bundle(tiny_bundle), precision="bf16").close()
    assert "was not verified with this bundle on this machine; run: ganspect verify" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_counts_as_none(copy, tiny_bundle, capsys):
    folder = copy(tiny_bundle)
    (folder / VERIFICATION).write_text("{")
    assert read_verified(open_bundle(folder)) == []
    assert "cannot be read; verify the bundle again" in capsys.readouterr().out


def test_the_nudge_is_a_rounding(tiny_bundle, tiles):
    bundle = open_bundle(tiny_bundle)
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        plain = LatentSearch(bundle, backend).full(tiles, steps=3)
        nudged = LatentSearch(bundle, Nudged(backend)).full(tiles, steps=3)
    assert not (plain.latent == nudged.latent).all()
    assert abs(plain.score / nudged.score - 1).max() < 1e-2


def test_a_lower_precision_passes_with_the_guard_that_it_needs(copy, tiny_bundle):
    bundle = open_bundle(copy(tiny_bundle))
    if "bf16" not in offered_precisions("openvino", bundle):
        pytest.skip("this processor has no bfloat16")
    # The tiny bundle's normal scores lie within a percent of its threshold: too near for any guard.
    set_threshold(bundle.folder, 1.1 * bundle.require_calibration().search.value)
    bundle = open_bundle(bundle.folder)
    (result,) = verify_bundle(bundle.folder, ["openvino"], ["bf16"], tuning=Tuning(threads=1))
    assert result.guard is not None
    assert result.guard.search > 0
    assert result.search.largest_error > 0
    with open_verified("openvino", bundle, precision="bf16") as backend:
        assert isinstance(backend, Guarded)
        assert (backend.guard, backend.precision, backend.exact.precision) == (result.guard, "bf16", "fp32")


class Poor(CountingBackend):
    """A backend whose scores are too high by half, in the right order: only a wide guard keeps its verdicts."""

    precision = "int8"

    def run(self, graph, inputs):
        outputs = dict(super().run(graph, inputs))
        for name in ("best_score_out", "start_score", "encoder_score"):
            if name in outputs:
                outputs[name] = outputs[name] * np.float32(1.5)
        return outputs

    def close(self):
        self._backend.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def test_a_precision_that_only_a_wide_guard_saves_fails(tiny_bundle, monkeypatch):
    def open_poor(name, bundle, *, tuning=None, precision="fp32"):
        backend = open_backend(name, bundle, tuning=Tuning(threads=1))
        return backend if precision == "fp32" else Poor(backend)

    monkeypatch.setattr(gate, "open_backend", open_poor)
    result = gate.Gate(open_bundle(tiny_bundle), tuning=Tuning(threads=1)).check(
        "onnxruntime", "int8", flip_limit=0.001
    )
    assert not result.passed
    assert result.search.flips == result.search.straddling_flips == 0
    assert result.search.guard == result.guard.search > result.search.room / 2
    with pytest.raises(
        VerificationError, match=r"of the search score, float32 would have to decide within .* of the th"
    ):
        require_passed([result])


def test_what_failed_here_is_refused_and_auto_passes_it_by(copy, tiny_bundle, capsys):
    folder = spoil(copy(tiny_bundle), "score.phases.onnx")
    with pytest.raises(VerificationError):
        verify_bundle(folder, ["openvino"], ["fp32"], tuning=Tuning(threads=1))
    with pytest.raises(VerificationError, match="openvino in fp32 failed verification on this machine; use another"):
        open_verified("openvino", open_bundle(folder))
    with open_verified("auto", open_bundle(folder)) as backend:
        assert backend.name == "onnxruntime"


def test_auto_does_not_fall_back_in_a_lower_precision(tiny_bundle):
    with pytest.raises(ConfigError, match="auto was asked for bf16, and nothing is verified in it here; run: "):
        open_verified("auto", open_bundle(tiny_bundle), precision="bf16")


def test_what_another_processor_passed_does_not_count(verified, copy, capsys):
    folder = copy(verified[0])
    content = json.loads((folder / VERIFICATION).read_text())
    for entry in content["entries"]:
        entry["machine"] = "another (sse2)"
    (folder / VERIFICATION).write_text(json.dumps(content))
    open_verified("auto", open_bundle(folder)).close()
    assert "nothing is verified here" in capsys.readouterr().err


def test_a_backend_that_nobody_named_and_cannot_run_is_passed_by(copy, tiny_bundle, monkeypatch, capsys):
    real = Gate.check

    def check(self, backend, precision, **options):
        if backend == "openvino":
            raise DeviceError("there is no device")
        return real(self, backend, precision, **options)

    monkeypatch.setattr(Gate, "check", check)
    results = verify_bundle(copy(tiny_bundle), [], ["fp32"], tuning=Tuning(threads=1))
    assert [result.backend for result in results] == ["onnxruntime"]
    assert "openvino in fp32 is not verified: there is no device" in capsys.readouterr().err


def test_what_is_no_bundle_is_bad_input(tmp_path):
    with pytest.raises(BundleError, match="is no bundle"):
        verify_bundle(tmp_path, [])
