import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.config import Recipe
from ganspect.errors import CalibrationError, ConfigError, OutputError, RunError, VerificationError
from ganspect.export import exporter
from ganspect.export.exporter import export_run, write_graphs
from ganspect.export.parity import TOLERANCES
from ganspect.train.run import load_run
from ganspect.train.system import System
from tests.export.toy import Toy


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> None:
    """Take the graphs that were traced for the tiny bundle, since tracing takes long."""

    def copy(system: System, recipe: Recipe, folder: Path) -> None:
        for name in open_bundle(tiny_bundle).manifest.sha256:
            shutil.copy(tiny_bundle / name, folder / name)

    monkeypatch.setattr(exporter, "write_graphs", copy)


def test_bundle_is_whole_and_says_what_it_is(tiny_bundle: Path, tiny_run: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    manifest = bundle.manifest
    assert sorted(manifest.graphs) == ["encoder", "features", "generator", "score", "search", "step"]
    assert manifest.graphs["search"].inputs == [
        "image", "latent", "adam_m", "adam_v", "step", "best_score", "best_latent", "part", "steps", "threshold"
    ]  # fmt: skip
    assert manifest.training == load_run(tiny_run).training
    assert manifest.health == load_run(tiny_run).health
    assert list(manifest.health.stages) == ["gan"]
    assert manifest.scores.scale == "none"
    assert (manifest.system, manifest.scores.paper, manifest.scores.encoder) == ("fanogan", "fanogan", "fanogan")
    assert bundle.starts().shape == (exporter.N_STARTS, manifest.latent.size)
    assert bundle.starts().std() == pytest.approx(1, abs=0.1)


def test_manifest_holds_the_parity_figures(tiny_bundle: Path) -> None:
    parity = open_bundle(tiny_bundle).manifest.parity
    assert {name.rpartition(": ")[2] for name in parity} == set(TOLERANCES)


def test_export_calibrates_on_the_held_out_images(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    calibration = bundle.require_calibration()
    assert set(calibration.fingerprints) == set(bundle.manifest.training.held_out)
    assert not set(calibration.fingerprints) & set(bundle.manifest.training.fingerprints)
    assert np.isfinite(calibration.search.value)


def test_anogan_has_no_encoder_and_no_encoder_threshold(tiny_anogan_bundle: Path) -> None:
    bundle = open_bundle(tiny_anogan_bundle)
    assert sorted(bundle.manifest.graphs) == ["features", "generator", "search", "step"]
    assert bundle.manifest.scores.encoder is None
    assert bundle.require_calibration().encoder is None


@pytest.mark.usefixtures("traced")
def test_scale_and_health_of_the_run_are_in_the_bundle(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("scale: none", "scale: min_max"))
    record = json.loads((run / "run.json").read_text())
    health = {"stages": {"gan": {"diversity": 0.02}}, "warnings": ["the generator of stage gan has collapsed"]}
    (run / "run.json").write_text(json.dumps(record | {"health": health}))
    export_run(run, tmp_path / "bundle")
    manifest = open_bundle(tmp_path / "bundle").manifest
    assert manifest.scores.scale == "min_max"
    assert manifest.health.model_dump() == health
    assert "warning: training: the generator of stage gan has collapsed\n" in capsys.readouterr().out


@pytest.mark.usefixtures("traced")
def test_too_few_images_for_the_rate_leave_no_bundle(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="images"):
        export_run(tiny_run, tmp_path / "bundle", 0.001)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traced")
def test_failed_parity_leaves_no_bundle(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.export.parity.TOLERANCES", dict.fromkeys(TOLERANCES, 0.0))
    with pytest.raises(VerificationError, match="differ from PyTorch"):
        export_run(tiny_run, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_unfinished_run_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="unfinished"):
        export_run(run, tmp_path / "bundle")


def test_a_folder_with_other_files_is_not_replaced(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        export_run(tiny_run, tmp_path)
    assert (tmp_path / "holiday.txt").read_text() == "mine"


def test_more_restarts_than_stored_starts_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    run = load_run(tiny_run)
    search = run.recipe.search.model_copy(update={"restarts": exporter.N_STARTS + 1})
    with pytest.raises(ConfigError, match="at most 64 starts"):
        write_graphs(run.system, run.recipe.model_copy(update={"search": search}), tmp_path)


_EXPORT = """
import sys
from pathlib import Path
from ganspect.export import exporter
def wait(system, recipe, folder):
    (folder / "search.onnx").write_bytes(b"half")
    print("written", flush=True)
    sys.stdin.read()
exporter.write_graphs = wait
exporter.export_run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_export_leaves_no_bundle(tiny_run: Path, tmp_path: Path, number: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    out = tmp_path / "bundle"
    with subprocess.Popen(
        [sys.executable, "-c", _EXPORT, str(tiny_run), str(out)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(number)
        assert process.wait() != 0
    assert not out.exists()
    if number == signal.SIGINT:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("traced")
def test_a_new_bundle_replaces_an_older_one(tiny_bundle: Path, tiny_run: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    created = json.loads((out / "calibration.json").read_text())["entries"][0]["created"]
    export_run(tiny_run, out)
    assert json.loads((out / "calibration.json").read_text())["entries"][0]["created"] != created
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_the_latents_scale_is_that_of_the_prior() -> None:
    toy = Toy()
    assert exporter.latent_record(toy).model_dump() == {"size": 128, "grid_hw": None, "prior": "normal", "scale": 1.0}
    toy.latent_deviation[:64] = 7.0
    assert exporter.latent_record(toy).scale == 5.0  # the root of the mean of 49 and 1
