import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ganspect.runtime.evaluation import evaluate_bundle
from tests.runtime.conftest import set_scale
from tests.runtime.evaluation.conftest import rows_of


@pytest.mark.parametrize("mode", ["search", "encoder"])
def test_a_scale_changes_scores_and_threshold_and_nothing_else(
    tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, copy: Callable[[Path], Path], mode: Any
) -> None:
    ranges = {"search": (0.1, 0.3), "encoder": (0.05, 0.4)}
    scaled_bundle = set_scale(copy(tiny_bundle), **ranges)
    plain = evaluate_bundle(tiny_bundle, str(mvtec_folder), tmp_path / "plain", mode=mode)
    scaled = evaluate_bundle(scaled_bundle, str(mvtec_folder), tmp_path / "scaled", mode=mode)
    for key in ("image", "scores", "delta_pca", "pca", "counts"):
        assert plain[key] == scaled[key]
    assert plain["deployed"]["flips"] == scaled["deployed"]["flips"] == 0
    for name, system in plain["systems"].items():
        low, high = ranges[name]
        threshold = (system["at_threshold"].pop("threshold") - low) / (high - low)
        assert scaled["systems"][name]["at_threshold"].pop("threshold") == pytest.approx(threshold)
        assert scaled["systems"][name] == system
    columns = {"score": mode, "start_score": "search", "encoder_score": "encoder"}
    for before, after in zip(rows_of(tmp_path / "plain"), rows_of(tmp_path / "scaled"), strict=True):
        for column in before:
            if column in columns:
                low, high = ranges[columns[column]]
                expected = (float(before[column]) - low) / (high - low)
                assert float(after[column]) == pytest.approx(expected, rel=1e-5)
            elif column != "latency_ms":
                assert before[column] == after[column]
    assert (plain["bundle"]["score_scale"], scaled["bundle"]["score_scale"]) == ("none", "min_max")
    page = (tmp_path / "scaled/index.html").read_text()
    assert "scaled by the calibration&#39;s minimum and maximum" in page
    shown = re.findall(r"· score ([-.\de+]+), threshold ", page)
    assert shown
    assert set(shown) <= {f"{float(row['score']):.4g}" for row in rows_of(tmp_path / "scaled")}
