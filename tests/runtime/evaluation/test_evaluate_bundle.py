import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.datasets import open_dataset
from ganspect.errors import CalibrationError, ConfigError, DataError, OutputError
from ganspect.opencv import cv2
from ganspect.runtime.evaluation import evaluate_bundle, labelled, pipeline
from ganspect.runtime.evaluation.labelled import open_test_data
from ganspect.scoring import SCORES
from tests.runtime.evaluation.conftest import SCORES_OF_FANOGAN, rows_of


@pytest.fixture
def folder(tmp_path: Path, mvtec_folder: Path) -> Path:
    """A copy of the images that the test may change."""
    return shutil.copytree(mvtec_folder, tmp_path / "parts")


def require_interval(metric: dict[str, float]) -> None:
    assert set(metric) == {"value", "low", "high"}
    assert 0 <= metric["low"] <= metric["high"] <= 1


def test_metrics_have_the_keys_of_the_design(report: Any) -> None:
    metrics = report.metrics
    assert json.loads((report.folder / "metrics.json").read_text()) == metrics
    for name in ("auroc", "auprc", "f1", "tpr_at_fpr_1pct"):
        require_interval(metrics["image"][name])
    for name in ("auroc", "aupro"):
        require_interval(metrics["pixel"][name])
    assert {"fpr", "tpr", "f1", "n_normal", "n_anomalous", "promised_rate", "upper_limit_95"} <= set(
        metrics["at_threshold"]
    )
    assert set(metrics["scores"]) == {*SCORES_OF_FANOGAN, "encoder"}
    for name, score in metrics["scores"].items():
        require_interval(score["auroc"])
        require_interval(score["at_start"]["auroc"])
        if name != "encoder":
            require_interval(score["at_last"]["auroc"])
    require_interval(metrics["pca"]["image"]["auroc"])
    same_score = metrics["pca"]["deployed_score"]
    assert same_score["name"] == "residual_mean"
    assert (same_score["components"], metrics["pca"]["components"]) == (8, 23)  # of the latent; of 24 images
    expected = metrics["image"]["auroc"]["value"] - same_score["image"]["auroc"]["value"]
    assert same_score["delta"]["value"] == pytest.approx(expected)
    require_interval(metrics["mean_intensity"]["image"]["auroc"])
    assert set(metrics["delta_pca"]) == {"value", "low", "high"}
    assert set(metrics["deployed"]["latency_ms"]) == {"p50", "p95", "p99"}
    assert (metrics["counts"]["normal"], metrics["counts"]["anomalous"], metrics["counts"]["skipped"]) == (6, 6, 0)
    assert metrics["notes"] == {}


def test_a_bundle_that_sees_pixels_has_no_detectors_on_features(report: Any) -> None:
    assert report.metrics["baselines"] == {}
    assert (report.metrics["bundle"]["backbone"], report.metrics["bundle"]["weighing"]) == (None, None)
    assert "PaDiM" not in (report.folder / "index.html").read_text()


def test_figures_follow_from_the_scores_of_the_table(report: Any) -> None:
    rows, metrics = rows_of(report.folder), report.metrics
    assert len(rows) == 12
    assert list(rows[0])[:7] == ["name", "label", "kind", "score", "start_score", "encoder_score", "verdict"]
    normal, anomalous = ([float(row["score"]) for row in rows if row["label"] == label] for label in "01")
    difference = np.subtract.outer(anomalous, normal)
    auroc = ((difference > 0) + 0.5 * (difference == 0)).mean()
    assert metrics["image"]["auroc"]["value"] == pytest.approx(auroc)
    threshold = metrics["at_threshold"]["threshold"]
    assert metrics["at_threshold"]["fpr"] == np.mean(np.array(normal) > threshold)
    assert metrics["at_threshold"]["tpr"] == np.mean(np.array(anomalous) > threshold)
    assert metrics["delta_pca"]["value"] == pytest.approx(auroc - metrics["pca"]["image"]["auroc"]["value"])


def test_screened_verdicts_agree_with_the_scores_in_full(report: Any) -> None:
    rows, threshold = rows_of(report.folder), report.metrics["at_threshold"]["threshold"]
    flips = sum((row["verdict"] != "normal") != (float(row["score"]) > threshold) for row in rows)
    deployed = report.metrics["deployed"]
    assert deployed["flips"] == flips == 0
    assert deployed["agreement"] == 1
    for label, kind in (("0", "normal"), ("1", "anomalous")):
        steps = [int(row["steps"]) for row in rows if row["label"] == label]
        assert deployed["iterations"][kind] == np.mean(steps)
    assert deployed["iterations"]["full"] == 5


def test_deployed_score_is_the_formula_at_the_best_latent(report: Any) -> None:
    for row in rows_of(report.folder):
        assert float(row["search_residual_mean"]) == pytest.approx(float(row["score"]), rel=1e-4)
        assert float(row["start_residual_mean"]) == pytest.approx(float(row["start_score"]), rel=1e-4)
        assert float(row["start_fanogan"]) == pytest.approx(float(row["encoder_score"]), rel=1e-4)
        assert float(row["score"]) <= float(row["start_score"]) + 1e-6


def test_curve_ends_where_the_full_pass_does(report: Any) -> None:
    curve = report.metrics["curve"]
    assert curve["iterations"] == [1, 3, 5]
    assert (curve["n_images"], len(curve["random_start"]), len(curve["encoder_start"])) == (12, 3, 3)
    assert curve["encoder_start"][2] == pytest.approx(report.metrics["image"]["auroc"]["value"])
    assert curve["encoder_start"][0] == pytest.approx(
        report.metrics["scores"]["residual_mean"]["at_start"]["auroc"]["value"]
    )


def test_page_holds_everything_and_calls_nowhere(report: Any) -> None:
    page = (report.folder / "index.html").read_text()
    assert not re.search(r"<script|<link|https?://|@import|url\(", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert all(source.startswith("data:image/") for source in sources)
    assert len([source for source in sources if source.startswith("data:image/png")]) == 3 * 16
    assert len([source for source in sources if source.startswith("data:image/svg")]) == 4
    shown = re.findall(r'<tr[^>]*><th scope="row">(\w+)</th>', page.split("Every score side by side")[1])
    assert {name for name in shown if name in SCORES} == SCORES_OF_FANOGAN
    assert "after the last step</th>" in page
    assert "PCA, same score</th>" in page
    for text in ("AUROC above PCA", "test/scratch/", "AUPRO", "What more iterations are worth", "False alarms"):
        assert text in page


def test_encoder_mode_judges_the_encoders_score(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, report: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate_bundle(tiny_bundle, str(mvtec_folder), tmp_path / "out", mode="encoder")
    assert metrics["image"] == report.metrics["systems"]["encoder"]["image"]
    assert metrics["at_threshold"]["threshold"] == open_bundle(tiny_bundle).require_calibration().encoder.value
    assert "search" not in metrics["systems"]
    assert metrics["notes"]["systems.search"] == "encoder mode does not run the search"
    assert metrics["deployed"]["iterations"] is None
    assert metrics["scores"]["encoder"]["deployed"]
    assert all(score["at_last"]["auroc"] is None for score in metrics["scores"].values())
    page = (tmp_path / "out/index.html").read_text()
    assert "at the encoder&#39;s start" in page
    assert (
        "after the last step" not in page.split("Every score side by side")[1].split("<thead>")[1].split("</thead>")[0]
    )
    assert not any(column.startswith("last_") for column in rows_of(tmp_path / "out")[0])
    printed = capsys.readouterr().out
    assert "encoder alone" in printed
    assert "latent search" not in printed


def test_without_an_encoder_there_are_random_starts_only(
    tiny_anogan_bundle: Path, mvtec_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    metrics = evaluate_bundle(tiny_anogan_bundle, str(mvtec_folder), out, curve=True, curve_iterations=(1, 2))
    assert metrics["curve"]["encoder_start"] is None
    assert len(metrics["curve"]["random_start"]) == 2
    assert metrics["scores"]["residual_mean"]["at_start"]["auroc"] is None
    assert metrics["notes"]["systems.encoder"] == "the bundle has no encoder"
    assert {row["encoder_score"] for row in rows_of(out)} == {""}
    with pytest.raises(ConfigError, match=r"has no encoder .* use --mode search"):
        evaluate_bundle(tiny_anogan_bundle, str(mvtec_folder), out, mode="encoder")


def test_table_is_printed(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate_bundle(tiny_bundle, str(mvtec_folder), tmp_path / "out", steps=2)
    printed = capsys.readouterr().out
    for name in ("encoder alone", "latent search", "PCA", "mean intensity", "AUROC", "6 normal, 6 anomalous"):
        assert name in printed
    assert f"{metrics['image']['auroc']['value']:.3f}" in printed
    assert "2 iterations and the threshold was calibrated with 5" in metrics["notes"]["at_threshold"]


def test_a_frames_score_is_the_largest_of_its_tiles(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, changed_manifest: Callable[..., Path]
) -> None:
    bundle = changed_manifest(tiny_bundle, "image", fit="tiles")
    metrics = evaluate_bundle(bundle, str(mvtec_folder), tmp_path / "out")
    assert metrics["deployed"]["flips"] == 0
    for row in rows_of(tmp_path / "out"):
        assert float(row["score"]) == pytest.approx(float(row["search_residual_mean"]), rel=1e-4)
    require_interval(metrics["pixel"]["aupro"])


def test_a_test_set_of_one_class_gives_counts_and_says_why_no_more(
    tiny_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.rmtree(folder / "test/scratch")
    metrics = evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out", curve=True, curve_iterations=(1,))
    assert (metrics["image"], metrics["pixel"], metrics["delta_pca"], metrics["curve"]) == (None, None, None, None)
    assert "images of one class only" in metrics["notes"]["image"]
    assert metrics["at_threshold"]["tpr"] is None
    assert metrics["at_threshold"]["fpr"] is not None
    assert "images of one class only" in (tmp_path / "out/index.html").read_text()


def test_an_unreadable_image_is_left_out_and_named(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "test/good/000.png").write_bytes(b"")
    metrics = evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out")
    assert (metrics["counts"]["normal"], metrics["counts"]["skipped"]) == (5, 1)
    (skipped,) = metrics["counts"]["skipped_images"]
    assert skipped["name"] == "test/good/000.png"
    assert "is empty (0 bytes)" in skipped["reason"]
    assert "skipped: " in (tmp_path / "out/index.html").read_text()


def test_a_mask_of_another_size_is_named_before_anything_is_computed(
    tiny_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "full_pass", lambda *_, **__: pytest.fail("images were scored"))
    cv2.imwrite(str(folder / "ground_truth/scratch/003_mask.png"), np.zeros((10, 12), np.uint8))
    with pytest.raises(DataError, match=r"the mask of test/scratch/003\.png is \(height, width\) \(10, 12\) and the"):
        evaluate_bundle(tiny_bundle, str(folder), tmp_path / "report")
    (folder / "ground_truth/scratch/003_mask.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"the mask of test/scratch/003\.png cannot be read: .*; write it again, or delete"
    ):
        evaluate_bundle(tiny_bundle, str(folder), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_only_unreadable_images_are_an_error(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("test/*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 12 test images of .* can be used: .*000\.png is empty"):
        evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out")


def test_a_few_images_that_the_bundle_knows_are_left_out(
    tiny_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(folder / "train/good/000.png", folder / "test/good/90.png")
    monkeypatch.setattr(labelled, "KNOWN_AT_MOST", 0.1)
    metrics = evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out")
    assert (metrics["counts"]["normal"], metrics["counts"]["anomalous"], metrics["counts"]["skipped"]) == (6, 6, 1)
    assert "test/good/90.png" not in (tmp_path / "out/scores.csv").read_text()
    reason = "test/good/90.png: the bundle was trained or calibrated on an image equal to it"
    assert f"warning: 1 test image was left out, {reason}" in capsys.readouterr().out


def test_many_images_that_the_bundle_knows_are_refused(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    for index in range(2):
        shutil.copy(folder / f"train/good/00{index}.png", folder / f"test/good/9{index}.png")
    expected = r"trained or calibrated on 2 of the 14 test images of .*, the first is test/good/90\.png; take them out"
    with pytest.raises(DataError, match=expected):
        evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_without_labels_are_refused(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train/good has no labelled images to test on; give a folder with test/good"):
        evaluate_bundle(tiny_bundle, str(folder / "train/good"), tmp_path / "out")


def test_a_bundle_without_a_threshold_is_refused(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, copy: Callable[[Path], Path]
) -> None:
    bundle = copy(tiny_bundle)
    (bundle / "calibration.json").unlink()
    with pytest.raises(CalibrationError, match="has no threshold yet; run: ganspect calibrate"):
        evaluate_bundle(bundle, str(mvtec_folder), tmp_path / "out")


def test_steps_and_encoder_mode_exclude_each_other(tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="steps and budget limit the search"):
        evaluate_bundle(tiny_bundle, str(mvtec_folder), tmp_path / "out", mode="encoder", steps=3)


def test_a_folder_with_other_files_is_never_replaced(tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files and no metrics\.json"):
        evaluate_bundle(tiny_bundle, str(mvtec_folder), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_named_data_is_split_as_the_bundle_was_trained(
    tiny_bundle: Path, changed_manifest: Callable[..., Path]
) -> None:
    pytest.importorskip("elpv_dataset")
    bundle = open_bundle(changed_manifest(tiny_bundle, "training", split_seed=7))
    names = [sample.name for sample in open_test_data(bundle, "elpv:mono", None).test]
    assert names == [sample.name for sample in open_dataset("elpv:mono", split_seed=7).test]
    assert names != [sample.name for sample in open_dataset("elpv:mono", split_seed=0).test]


@pytest.mark.parametrize("package", ["matplotlib", "sklearn", "jinja2"])
def test_a_missing_package_is_named_with_its_cure(tmp_path: Path, package: str) -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules[{package!r}] = None
from ganspect.errors import MissingDependencyError
from ganspect.runtime.evaluation import evaluate_bundle
try:
    evaluate_bundle(Path("bundle"), "elpv", Path({str(tmp_path)!r}))
except MissingDependencyError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    expected = f"{package} is not installed; run: pip install 'ganspect[report]'"
    assert done.stdout.strip() == expected


def test_grey_images_of_another_size_and_depth_are_told_apart(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(folder / "test/good/deep.png"), np.full((40, 48), 3000, np.uint16))
    cv2.imwrite(str(folder / "test/good/large.png"), np.full((90, 70), 128, np.uint8))
    metrics = evaluate_bundle(tiny_bundle, str(folder), tmp_path / "out")
    (skipped,) = metrics["counts"]["skipped_images"]
    assert skipped["name"] == "test/good/deep.png"
    assert "uint16" in skipped["reason"]
    assert metrics["counts"]["normal"] == 7
