import json
from pathlib import Path

import pytest


def test_every_way_takes_steps_and_ratios_are_to_plain_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import training_speed

    monkeypatch.setattr(training_speed, "ROUND_S", 0)
    monkeypatch.setattr(training_speed, "ROUNDS", 1)
    monkeypatch.setattr(training_speed, "by_processes", lambda recipe, way, cores: {"one process": 1.0})
    assert training_speed.main(["configs/ganomaly_mnist_one_class.yaml", "--out", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "training_speed.json").read_text())
    (row,) = result["recipes"].values()
    assert set(row["images_per_s"]) == set(training_speed.WAYS)
    assert row["times_fp32"]["fp32"] == 1
    assert row["fastest"] == max(row["images_per_s"], key=row["images_per_s"].get)


def test_a_recipe_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from training_speed import main

    assert main(["configs/none.yaml", "--out", str(tmp_path)]) == 2
    assert "cannot read the recipe" in capsys.readouterr().err
    assert not (tmp_path / "training_speed.json").exists()
