import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ganspect.bundle import open_bundle
from ganspect.datasets import Sample
from ganspect.opencv import cv2
from ganspect.runtime.evaluation import evaluate_bundle
from ganspect.runtime.evaluation.bootstrap import Resampling
from ganspect.runtime.evaluation.kinds import members_of_kinds
from ganspect.runtime.evaluation.pixels import PixelTable
from tests.runtime.evaluation.conftest import Report, rows_of


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, mvtec_folder: Path) -> Report:
    """Six scratches with masks, and three black frames without."""
    folder = shutil.copytree(mvtec_folder, tmp_path_factory.mktemp("kinds") / "parts")
    (folder / "test/black").mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"test/black/{index}.png"), np.full((40, 48), index, np.uint8))
    out = folder.with_name("report")
    return Report(out, evaluate_bundle(tiny_bundle, str(folder), out))


def sample(label: int, kind: str) -> Sample:
    return Sample(kind, label, kind, lambda: np.zeros((4, 4), np.uint8))


def test_a_kind_is_judged_against_all_normal_images_and_no_other_kind() -> None:
    samples = [sample(0, "good"), sample(1, "dent"), sample(1, "crack"), sample(0, "good"), sample(1, "dent")]
    found = {kind: members.tolist() for kind, members in members_of_kinds(samples).items()}
    assert found == {"crack": [0, 2, 3], "dent": [0, 1, 3, 4]}


def test_one_kind_is_no_breakdown(report: Report) -> None:
    assert members_of_kinds([sample(0, "good"), sample(1, "dent")]) == {}
    assert report.metrics["kinds"] == {}
    assert "Kind by kind" not in (report.folder / "index.html").read_text()


def test_figures_of_a_kind_follow_from_the_scores_of_the_table(two_kinds: Report, tiny_bundle: Path) -> None:
    rows = rows_of(two_kinds.folder)
    threshold = open_bundle(tiny_bundle).require_calibration().search.value
    assert set(two_kinds.metrics["kinds"]) == {"black", "scratch"}
    for kind, figures in two_kinds.metrics["kinds"].items():
        chosen = [row for row in rows if row["kind"] in (kind, "good")]
        scores = np.array([float(row["score"]) for row in chosen])
        labels = np.array([int(row["label"]) for row in chosen])
        assert figures["images"] == labels.sum() == {"black": 3, "scratch": 6}[kind]
        assert figures["image"]["auroc"]["value"] == pytest.approx(roc_auc_score(labels, scores))
        point = figures["at_threshold"]
        assert point["detections"] == (scores[labels == 1] > threshold).sum()
        assert point["tpr"] == pytest.approx(point["detections"] / point["n_anomalous"])
        assert point["tpr_low"] <= point["tpr"] <= point["tpr_high"]


def test_only_kinds_with_masks_have_pixel_figures(two_kinds: Report) -> None:
    kinds = two_kinds.metrics["kinds"]
    assert kinds["black"]["pixel"] is None
    # The only masks are the scratches', so their figures are those of all images with masks.
    assert kinds["scratch"]["pixel"] == two_kinds.metrics["pixel"]


def test_page_and_metrics_have_a_line_for_each_kind(two_kinds: Report) -> None:
    page = (two_kinds.folder / "index.html").read_text()
    assert "Kind by kind" in page
    point = two_kinds.metrics["kinds"]["black"]["at_threshold"]
    assert f"{point['detections']} of 3" in page
    assert json.loads((two_kinds.folder / "metrics.json").read_text())["kinds"] == two_kinds.metrics["kinds"]


def test_a_part_of_the_pixels_is_what_its_images_alone_would_give() -> None:
    random = np.random.default_rng(0)
    maps = random.random((5, 12, 12)).astype(np.float32)
    masks = [None, random.random((12, 12)) > 0.9, None, random.random((12, 12)) > 0.8, random.random((12, 12)) > 0.9]
    whole, alone = PixelTable(), PixelTable()
    for heat_map, mask in zip(maps, masks, strict=True):
        whole.add(heat_map, mask)
    chosen, labels = [0, 2, 3], np.array([0, 0, 1])
    for index in chosen:
        alone.add(maps[index], masks[index])
    resampling = Resampling(count=50)
    assert whole.part(chosen).metrics(labels, resampling) == alone.metrics(labels, resampling)
    assert whole.part(chosen).metrics(labels, resampling) != whole.metrics(np.array([0, 1, 0, 1, 1]), resampling)
