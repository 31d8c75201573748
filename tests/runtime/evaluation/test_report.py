from collections.abc import Callable
from pathlib import Path

import pytest

from ganspect.runtime.evaluation import evaluate_bundle


def test_a_collapsed_training_is_shown_everywhere(
    tiny_bundle: Path,
    mvtec_folder: Path,
    tmp_path: Path,
    changed_manifest: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    health = {"stages": {"gan": {"diversity": 0.0213}}, "warnings": ["the generator of stage gan has collapsed"]}
    bundle = changed_manifest(tiny_bundle, "health", **health)
    metrics = evaluate_bundle(bundle, str(mvtec_folder), tmp_path / "out")
    assert metrics["bundle"]["health"] == health
    assert "warning: training: the generator of stage gan has collapsed\n" in capsys.readouterr().out
    page = (tmp_path / "out/index.html").read_text()
    warning, cards = page.index("Training: the generator of stage gan has collapsed."), page.index('class="cards"')
    assert warning < cards
    assert "stage gan: diversity 0.0213" in page
