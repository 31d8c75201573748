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


def test_page_marks_the_fastest_way_and_says_what_it_gains():
    from training_speed import WAYS, page

    images = dict(zip(WAYS, (100.0, 120.0, 250.0, 300.0), strict=True))
    row = {
        "images_per_s": images,
        "times_fp32": {way: value / 100 for way, value in images.items()},
        "fastest": "bf16, channels-last",
        "processes": {"one process": 310.0, "a process a core": 450.0},
    }
    environment = {"processor": "P", "cores": 2, "device": "cpu", "torch": "2"}
    text = page({"recipes": {"configs/tiny.yaml": row}, "environment": environment})
    assert "| `tiny` | 100 (1.0x) | 120 (1.2x) | 250 (2.5x) | **300 (3.0x)** | 310 | 450 | 4.5 |" in text
    del row["processes"]
    assert "| **300 (3.0x)** | – | – | 3.0 |" in page(
        {"recipes": {"configs/tiny.yaml": row}, "environment": environment}
    )


def test_the_page_is_what_the_committed_result_says():
    from training_speed import PAGE, RESULT, page

    assert PAGE.read_text(encoding="utf-8") == page(json.loads(RESULT.read_text(encoding="utf-8"))), (
        "docs/training_speed.md differs; run: python benchmarks/training_speed.py --page"
    )
