import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ganspect.errors import ConfigError
from tests.runtime.conftest import set_threshold


def test_the_script_compares_both_ways(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from batching import main

    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    for mode in ("search", "encoder"):
        set_threshold(folder, 0.15, mode=mode)
    arguments = [str(folder), str(mvtec_folder), "--out", str(tmp_path), "--backend", "onnxruntime", "--frames", "16"]
    assert main([*arguments, "--threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads((tmp_path / "batching.json").read_text())
    (backend,) = result["backends"]
    assert list(backend["scenarios"]) == ["cleared", "one_percent", "defective"]
    for scenario in backend["scenarios"].values():
        assert [row["frames_together"] for row in scenario["rows"]] == [1, 2, 4, 8]
        for row in scenario["rows"]:
            assert 0 < row["ratio"]["low"] <= row["ratio"]["value"] <= row["ratio"]["high"]
            assert row["scores"]["verdicts_differ"] == 0
            assert row["scores"]["largest_relative_difference"] < 1e-4


def test_frames_are_chosen_by_what_the_bundle_says_of_them():
    from batching import choose

    frames = [np.full((2, 2), index, np.uint8) for index in range(10)]
    anomalous = [index >= 5 for index in range(10)]
    chosen = [int(frame[0, 0]) >= 5 for frame in choose(frames, anomalous, 0.25, 40)]
    assert (len(chosen), sum(chosen)) == (40, 10)
    with pytest.raises(ConfigError, match="finds no frame anomalous in these data"):
        choose(frames, [False] * 10, 0.25, 40)


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from batching import main

    assert main([str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "is no bundle" in capsys.readouterr().err
