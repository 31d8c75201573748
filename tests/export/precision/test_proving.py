"""`ganspect export --precision`: what is asked for is written, proved and recorded, or nothing is."""

import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from ganspect.bundle import open_bundle
from ganspect.errors import ConfigError, VerificationError
from ganspect.export import exporter
from ganspect.export.exporter import export_run
from ganspect.export.precision import proving
from ganspect.export.precision.int8 import Feeds, write_int8
from ganspect.records import CalibrationRecord
from ganspect.runtime.calibration import calibrate
from tests.export.precision.conftest import lift


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    """Take the graphs that were traced for the tiny bundle, which are known to agree with PyTorch."""

    def copy(system: object, recipe: object, folder: Path) -> None:
        for name in open_bundle(tiny_bundle).manifest.sha256:
            shutil.copy(tiny_bundle / name, folder / name)

    monkeypatch.setattr(exporter, "write_graphs", copy)
    monkeypatch.setattr(exporter, "check_parity", lambda *_: open_bundle(tiny_bundle).manifest.parity)


@pytest.fixture
def lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the thresholds that an export calibrates off the normal scores; see `int8_bundle`."""

    def calibrate_and_lift(folder: Path, *given: Any) -> CalibrationRecord:
        calibrate(folder, *given)
        return lift(folder)

    monkeypatch.setattr(exporter, "calibrate", calibrate_and_lift)


@pytest.fixture
def only_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.runtime.verification.command.BACKENDS", ("onnxruntime",))


def write_spoiled(folder: Path, feeds: Feeds) -> list[Path]:
    """Quantize with ranges of activations that are far too small."""
    paths = write_int8(folder, feeds)
    for path in paths:
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("_scale") and not tensor.dims:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 8, tensor.name))
        onnx.save(model, path)
    return paths


def test_the_figures_are_recorded_by_precision_backend_and_score(int8_bundle: Path) -> None:
    record = open_bundle(int8_bundle).manifest.precisions
    assert list(record) == ["int8"]
    found = record["int8"]["onnxruntime"]
    assert found.guard is not None
    assert sorted(found.agreement) == sorted(found.guard) == ["encoder", "search"]
    assert found.agreement["encoder"]["largest_error"] > 0
    assert found.agreement["encoder"]["guard"] == found.guard["encoder"] > 0
    assert {"score.int8.onnx", "score.int8-symmetric.onnx"} <= set(open_bundle(int8_bundle).manifest.sha256)


def test_a_bundle_exported_without_has_no_figures(tiny_bundle: Path) -> None:
    assert open_bundle(tiny_bundle).manifest.precisions == {}


@pytest.mark.usefixtures("traced", "lifted", "only_onnxruntime")
def test_an_export_proves_what_it_is_asked_for(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_run(tiny_run, tmp_path / "bundle", precisions=["int8"])
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.has_variant("int8")
    assert list(bundle.manifest.precisions["int8"]) == ["onnxruntime"]
    assert "int8 on CPU: verdicts hold, with fp32 deciding within" in capsys.readouterr().out


@pytest.mark.usefixtures("traced", "lifted", "only_onnxruntime")
def test_an_int8_graph_that_changes_verdicts_leaves_no_bundle(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "write_int8", write_spoiled)
    with pytest.raises(VerificationError, match=r"onnxruntime in int8 does not give the reference's verdicts: of the "):
        export_run(tiny_run, tmp_path / "bundle", precisions=["int8"])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_precision_is_refused_at_once(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown precision 'int9'; did you mean 'int8'"):
        export_run(tiny_run, tmp_path / "bundle", precisions=["int9"])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_int8_without_an_encoder_is_refused_at_once(tiny_anogan_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"anogan has no encoder, and the search, .* leave out --precision int8"):
        export_run(tiny_anogan_run, tmp_path / "bundle", precisions=["int8"])


@pytest.mark.usefixtures("traced", "only_onnxruntime")
def test_a_precision_that_nothing_here_runs_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--precision fp16 was asked for, but no backend .*; leave it out, and where"
    ):
        export_run(tiny_run, tmp_path / "bundle", precisions=["fp16"])
    assert list(tmp_path.iterdir()) == []
