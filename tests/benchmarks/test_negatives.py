"""Negatives of a discriminator of places, compared on a tiny data set, and what the page says of figures."""

import json
from pathlib import Path

import drawn_sets
import negatives
import pytest
from results_page import results_page

from tests.conftest import FEATURE_SPACE


def test_each_sort_is_tried_and_written(
    mvtec_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = ["choice.latent_sizes=[4]", "choice.weighings=[place]", "data.holdout=0.34"]
    monkeypatch.setitem(drawn_sets.SOURCES, mvtec_folder.name, [*FEATURE_SPACE, *choice])
    monkeypatch.setattr(negatives, "NEGATIVES", ("drawn", "noise,ascent"))
    arguments = ["--data", str(mvtec_folder.parent), "--out", str(tmp_path), "--only", mvtec_folder.name]
    assert negatives.main(arguments) == 0
    written = json.loads((tmp_path / "negatives.json").read_text())
    found = written["drawn_auroc"][mvtec_folder.name]
    assert list(found["negatives"]) == ["drawn", "noise,ascent"]
    assert all(0.5 < value <= 1 for value in (*found["negatives"].values(), found["without"]))
    assert "network.latent_size=4" in found["settings"]
    out = capsys.readouterr().out
    assert f"{mvtec_folder.name}: noise,ascent: {found['negatives']['noise,ascent']:.4f}" in out
    page = results_page({}, {}, negatives=written)
    difference = found["negatives"]["drawn"] - found["without"]
    assert f"| none: the weighed residual alone | {found['without']:.3f} |" in page
    assert f"| drawn | {found['negatives']['drawn']:.3f} ({difference:+.3f}) |" in page
    assert "| noise, ascent |" in page


def test_data_that_are_not_there_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert negatives.main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path), "--only", "aliens"]) == 2
    assert capsys.readouterr().err.startswith(f"negatives: {tmp_path}/nowhere/aliens does not exist; give a folder")
    assert not (tmp_path / "negatives.json").exists()
