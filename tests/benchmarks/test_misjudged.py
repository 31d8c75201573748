import json
from pathlib import Path

import pytest

from ganspect.opencv import cv2


def write_report(folder: Path, scores: dict[str, tuple[int, float]]) -> Path:
    folder.mkdir(parents=True)
    lines = ["name,label,kind,score", *(f"{name},{label},x,{score}" for name, (label, score) in scores.items())]
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_only_what_every_report_has_on_the_wrong_side_is_misjudged(tmp_path: Path):
    from misjudged import read_scores, summarise

    normal = {f"good{index}": (0, 0.1 * index) for index in range(4)}
    first = {**normal, "clear": (1, 0.9), "hidden": (1, 0.05), "once": (1, 0.01), "odd": (0, 0.95)}
    second = {**normal, "clear": (1, 0.9), "hidden": (1, 0.12), "once": (1, 0.8), "odd": (0, 0.85)}
    reports = [read_scores(write_report(tmp_path / name, scores)) for name, scores in (("1", first), ("2", second))]
    found = summarise(reports)
    assert found["anomalous"] == {"hidden": pytest.approx((4 / 5 + 3 / 5) / 2)}
    assert list(found["normal"]) == ["odd"]
    assert found["n_anomalous"] == 3
    assert found["auroc"] < found["auroc_without"] < 1


def test_an_image_that_few_reports_have_is_not_counted(tmp_path: Path):
    from misjudged import misjudged_by_all, read_scores

    base = {"good": (0, 0.2), "bad": (1, 0.9)}
    reports = [
        read_scores(write_report(tmp_path / str(index), base | ({"rare": (1, 0.1)} if index == 0 else {})))
        for index in range(3)
    ]
    assert misjudged_by_all(reports) == {}


def test_the_sheet_shows_them_and_the_result_names_them(tmp_path: Path, mvtec_folder: Path):
    from misjudged import main

    scores = {f"test/good/00{index}.png": (0, 0.5 + index) for index in range(3)}
    scores |= {"test/scratch/000.png": (1, 0.1), "test/scratch/001.png": (1, 9.0)}
    report = write_report(tmp_path / "report", scores)
    picture = tmp_path / "sheet.png"
    assert main([str(mvtec_folder), str(report), "--out", str(tmp_path), "--picture", str(picture)]) == 0
    assert list(json.loads((tmp_path / "misjudged.json").read_text())["anomalous"]) == ["test/scratch/000.png"]
    assert cv2.imread(str(picture)).std() > 20


def test_a_folder_without_scores_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from misjudged import main

    assert main(["elpv:mono", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert f"{tmp_path}/scores.csv is not there; give folders that ganspect evaluate wrote" in capsys.readouterr().err
