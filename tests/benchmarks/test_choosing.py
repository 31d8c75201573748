import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import choosing
import pytest

from ganspect.sections import read_yaml
from ganspect.train.systems import parse_recipe


def test_each_candidate_is_a_recipe() -> None:
    path = choosing.ROOT / choosing.RECIPE
    for needed in choosing.SOURCES.values():
        for settings in choosing.CANDIDATES.values():
            assert parse_recipe(read_yaml(path, [*needed, *settings]), path).choice is not None


def test_what_drawn_defects_say_of_each_candidate_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(source: str, settings: Sequence[str]) -> dict[str, Any]:
        return {"auroc": 0.5 + len(settings) / 10, "settings": [source], "images": 8, "drawn": 8}

    monkeypatch.setattr(choosing, "train", train)
    assert choosing.main(["--data", "/data", "--out", str(tmp_path), "--only", "aliens"]) == 0
    found = json.loads((tmp_path / "choosing.json").read_text())["drawn_auroc"]
    assert list(found) == ["aliens"]
    assert found["aliens"]["as it is"] == {"auroc": 0.6, "settings": ["/data/aliens"], "images": 8, "drawn": 8}
    assert found["aliens"]["96 channels"]["auroc"] == 0.7
    assert "aliens: mirrored copies too: 0.7000" in capsys.readouterr().out
    assert choosing.main(["--data", "/data", "--out", str(tmp_path), "--only", "mono"]) == 0
    assert list(json.loads((tmp_path / "choosing.json").read_text())["drawn_auroc"]) == ["elpv:mono", "aliens"]
