"""Losses of the search compared by drawn defects: real exports of a tiny run, and what the page says of figures."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import robust_search
from results_page import results_page

from ganspect.export.deciding import Judged
from ganspect.sections import read_yaml
from ganspect.train.run import load_run
from ganspect.train.systems import parse_recipe

RANDOM = np.random.default_rng(0)
NORMAL, DRAWN = RANDOM.normal(0, 1, 12), RANDOM.normal(1, 1, 64)
SOURCE = np.arange(64) % 12


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges without bundles: trimmed searches find everything, others what the encoder finds."""

    def judged_by(run: Path, settings: Sequence[str], work: Path) -> Judged:
        drawn = DRAWN + 9 * any("trimmed" in setting for setting in settings)
        return Judged({"search": (NORMAL, drawn), "encoder": (NORMAL, DRAWN)}, SOURCE)

    monkeypatch.setattr(robust_search, "judged_by", judged_by)


def test_each_loss_is_a_recipe() -> None:
    path = robust_search.ROOT / robust_search.RECIPE
    searches = [parse_recipe(read_yaml(path, settings), path).search for settings in robust_search.LOSSES.values()]
    assert len({search.model_dump_json() for search in searches}) == len(searches)
    assert {search.residual for search in searches} == {"absolute", "huber", "trimmed", "weighed"}


def test_a_run_is_exported_with_another_loss_and_left_as_it_is(
    features_run: Path, features_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle stands in for the exported one: what export makes of such a recipe is tested with export."""
    exported = []

    def export(run: Path, out: Path) -> None:
        exported.append(load_run(run).recipe)
        shutil.copytree(features_bundle, out)

    monkeypatch.setattr(robust_search, "export_run", export)
    before = {path.name: path.read_bytes() for path in features_run.iterdir() if path.is_file()}
    found = robust_search.judged_by(features_run, ["search.residual=weighed", "search.steps=2"], tmp_path)
    (recipe,) = exported
    assert (recipe.search.residual, recipe.search.steps, recipe.mode) == ("weighed", 2, "search")
    assert {path.name: path.read_bytes() for path in features_run.iterdir() if path.is_file()} == before
    normal, drawn = found.scores["search"]
    assert (len(normal), len(drawn), len(found.source)) == (8, 64, 64)  # all that were held out
    assert (normal <= found.scores["encoder"][0] * 1.001).all()


@pytest.mark.usefixtures("judged")
def test_figures_are_written_with_paired_intervals_and_those_of_other_data_stay(tiny_run: Path, tmp_path: Path) -> None:
    run = ["--run", str(tiny_run), "--out", str(tmp_path)]
    assert robust_search.main(["--only", "aliens", *run, "--set", "search.steps=20"]) == 0
    written = json.loads((tmp_path / "robust_search.json").read_text())
    found = written["drawn_auroc"]["aliens"]
    assert (found["images"], found["drawn"]) == (12, 64)
    plain, trimmed = found["searches"]["absolute"], found["searches"]["trimmed by 5%"]
    assert (plain["auroc"], plain["less_encoder"], plain["less_first"]) == (found["encoder"], [0, 0], [0, 0])
    assert trimmed["auroc"] > 0.99
    assert trimmed["less_encoder"] == trimmed["less_first"]
    assert 0 < trimmed["less_first"][0] < trimmed["auroc"] - plain["auroc"] < trimmed["less_first"][1]
    assert robust_search.main(["--only", "mono", *run]) == 0
    written = json.loads((tmp_path / "robust_search.json").read_text())
    assert list(written["drawn_auroc"]) == ["elpv:mono", "aliens"]
    page = results_page({}, {}, robust=written)
    tested = "aliens (gan 30, encoder 30 steps; search.steps=20) | 12, 64"
    assert f"| {tested} | none: the encoder alone | {found['encoder']:.3f} | – | – |" in page
    assert f"| {tested} | absolute | {found['encoder']:.3f} | +0.000 to +0.000 | – |" in page
    low, high = trimmed["less_first"]
    assert f"| **{low:+.3f} to {high:+.3f}** | **{low:+.3f} to {high:+.3f}** |" in page


@pytest.mark.parametrize(
    ("only", "reason"),
    [
        ("nowhere", "no data set has 'nowhere' in its name; the names are elpv:mono"),
        ("elpv", "--run is of one data set"),
    ],
)
def test_a_run_needs_one_data_set(only: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert robust_search.main(["--only", only, "--run", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"robust_search: {reason}")
