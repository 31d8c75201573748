import json
from pathlib import Path

import pytest

from ganspect.opencv import cv2


def write_report(folder: Path, scores: dict[str, tuple[int, float]], data: str = "parts") -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"protocol": {"data": data}}))
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
    report = write_report(tmp_path / "report", scores, str(mvtec_folder))
    picture = tmp_path / "sheet.png"
    assert main([str(report), "--out", str(tmp_path), "--picture", str(picture)]) == 0
    assert list(json.loads((tmp_path / "misjudged.json").read_text())["anomalous"]) == ["test/scratch/000.png"]
    assert cv2.imread(str(picture)).std() > 20


def test_what_cannot_be_compared_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from misjudged import main

    mono, poly = (
        write_report(tmp_path / name, {"good": (0, 0.1), "bad": (1, 0.2)}, name) for name in ("elpv:mono", "elpv:poly")
    )
    normal = write_report(tmp_path / "normal", {"good": (0, 0.1)})
    for reports, words in (
        ([tmp_path], f"{tmp_path} is no report (metrics.json, scores.csv); give folders of ganspect evaluate"),
        ([mono, poly], "the reports are of elpv:mono and elpv:poly; give reports of one data set"),
        ([normal], "has images of one class only"),
    ):
        assert main([*map(str, reports), "--out", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "misjudged.json").exists()


def test_where_a_whole_class_is_misjudged_there_is_nothing_to_say_without_it(tmp_path: Path):
    from misjudged import read_scores, summarise

    found = summarise([read_scores(write_report(tmp_path / "a", {"good": (0, 0.9), "bad": (1, 0.1)}))])
    assert (found["auroc"], found["auroc_without"]) == (0, None)
