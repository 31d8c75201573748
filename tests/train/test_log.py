from pathlib import Path

import pytest
import torch

from ganspect.train.log import TrainingLog


def filled(path: Path) -> TrainingLog:
    log = TrainingLog(path)
    for stage, step, name in (("gan", 10, "penalty"), ("gan", 20, "penalty"), ("encoder", 10, "residual")):
        log.add({name: torch.tensor(1.0)}, 8)
        log.add({name: torch.tensor(2.0)}, 8)
        log.write(stage, step, {})
    return log


def test_lines_hold_means_since_the_last_one_and_a_column_for_each_loss(tmp_path: Path) -> None:
    filled(tmp_path / "log.csv")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "stage,step,images_per_s,penalty,residual"
    assert lines[1].startswith("gan,10,")
    assert lines[1].endswith(",1.5,")
    assert lines[3].endswith(",,1.5")


def test_checks_are_columns_as_they_are_and_can_be_read_by_stage(tmp_path: Path) -> None:
    log = filled(tmp_path / "log.csv")
    log.add({"penalty": torch.tensor(1.0)}, 8)
    assert log.write("gan", 30, {"diversity": 0.25}) == {
        "penalty": 1.0,
        "diversity": 0.25,
        "images_per_s": pytest.approx(8, abs=1e9),
    }
    read = TrainingLog(tmp_path / "log.csv")
    assert read.columns(["diversity"]) == {"gan": [{"diversity": 0.25}]}
    assert read.columns(["residual", "diversity"]) == {"gan": [{"diversity": 0.25}], "encoder": [{"residual": 1.5}]}


def test_what_lies_behind_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    filled(tmp_path / "log.csv")
    log = TrainingLog(tmp_path / "log.csv")
    log.cut_back([], "gan", 15)
    assert [(line["stage"], line["step"]) for line in log.lines] == [("gan", "10")]


def test_finished_stages_stay(tmp_path: Path) -> None:
    log = filled(tmp_path / "log.csv")
    log.cut_back(["gan"], "encoder", 5)
    assert [line["stage"] for line in log.lines] == ["gan", "gan"]


def test_speed_counts_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 2.0])
    monkeypatch.setattr("ganspect.train.log.time.perf_counter", lambda: next(clock))
    log = TrainingLog(tmp_path / "log.csv")
    log.add({}, 64)
    assert log.write("gan", 1, {})["images_per_s"] == 32.0
