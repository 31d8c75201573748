"""Adding a system touches neither export/ nor runtime/: one that lives in tests/ goes the whole way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ganspect.bundle import open_bundle
from ganspect.errors import ConfigError
from ganspect.export.exporter import export_run
from ganspect.opencv import cv2
from ganspect.runtime.calibration import calibrate_folder
from ganspect.runtime.evaluation import evaluate_bundle
from ganspect.runtime.screening import ScreenOptions, screen_source
from ganspect.scoring import SCORES
from ganspect.train.fit import train_recipe
from ganspect.train.run import load_run
from ganspect.train.systems import SYSTEMS, parse_recipe
from tests.conftest import TINY_RECIPE, texture
from tests.fifth_system import Fifth

RECIPE = {
    **TINY_RECIPE,
    "system": "fifth",
    "image": {"size_hw": [28, 36], "channels": 1},
    "search": {"steps": 4, "feature_weight": 0},
    "training": {**TINY_RECIPE["training"], "autoencoder": {"steps": 40}},
}
WITHOUT_VIEWS = {
    *("residual_mean", "residual_worst", "residual_calibrated", "residual_contrast", "residual_peak"),
    "latent_mahalanobis",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("fifth")
    config = folder / "fifth.yaml"
    config.write_text(yaml.safe_dump(RECIPE))
    run = train_recipe(config, [f"data.source={mvtec_folder}"], folder / "run", system_type=Fifth)
    export_run(run, folder / "bundle", system_type=Fifth)
    return folder / "bundle"


def test_the_product_does_not_know_it() -> None:
    assert Fifth.name not in SYSTEMS
    with pytest.raises(ConfigError, match="there is no system 'fifth'"):
        parse_recipe(RECIPE, Path("a.yaml"))


def test_it_is_trained_and_exported(bundle: Path) -> None:
    manifest = open_bundle(bundle).manifest
    assert (manifest.system, manifest.scores.paper) == ("fifth", "residual_mean")
    assert sorted(manifest.graphs) == ["encoder", "generator", "score", "search", "step"]
    assert set(manifest.scores.formulas) == WITHOUT_VIEWS
    losses = [line.split(",")[-1] for line in (bundle.parent / "run/log.csv").read_text().splitlines()[1:]]
    assert float(losses[-1]) < float(losses[0])
    assert load_run(bundle.parent / "run", system_type=Fifth).recipe.system == "fifth"


def test_every_score_that_it_can_compute_is_in_the_report(bundle: Path, mvtec_folder: Path, tmp_path: Path) -> None:
    evaluate_bundle(bundle, str(mvtec_folder), tmp_path / "report")
    metrics = json.loads((tmp_path / "report/metrics.json").read_text())
    assert set(metrics["scores"]) & set(SCORES) == WITHOUT_VIEWS
    assert all(np.isfinite(score["auroc"]["value"]) for score in metrics["scores"].values())


def test_it_is_calibrated_and_screens(bundle: Path, mvtec_folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    normal, random = tmp_path / "normal", np.random.default_rng(5)
    normal.mkdir()
    for index in range(8):
        cv2.imwrite(str(normal / f"{index}.png"), texture(random))
    calibrate_folder(copied, str(normal), None)
    assert open_bundle(copied).require_calibration().images == str(normal)
    summary = screen_source(copied, str(mvtec_folder / "test/scratch"), tmp_path / "out", ScreenOptions())
    assert summary.to_dict()["frames"] == 6


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("search", {"steps": 4}, r"search\.feature_weight is 0\.1, but fifth has no discriminator .*; set it to 0$"),
        (
            "search",
            {"steps": 4, "feature_weight": 0, "discrimination": "fooling"},
            r"search\.discrimination is 'fooling', but fifth has no discriminator to fool; set it to features$",
        ),
        ("score", {"search": "fanogan"}, r"score\.search is 'fanogan', which fifth cannot compute; choose one of res"),
    ],
)
def test_what_it_lacks_is_refused(key: str, value: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^a\.yaml: {message}"):
        parse_recipe({**RECIPE, key: value}, Path("a.yaml"), Fifth)
