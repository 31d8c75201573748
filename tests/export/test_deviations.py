"""Sums of two scores: each term in deviations over held-out normal images, the whole way to a bundle's scores."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from ganspect.bundle import open_bundle
from ganspect.datasets import open_dataset, split_calibration
from ganspect.errors import CalibrationError, ConfigError
from ganspect.export.deviations import LEAST_FRAMES, measure_deviations
from ganspect.export.exporter import export_run
from ganspect.export.formulas import to_image
from ganspect.preprocess import to_tiles
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.evaluation import evaluate_bundle
from ganspect.runtime.evaluation.readout import Readout
from ganspect.scoring import SCORES
from ganspect.sections import read_yaml
from ganspect.train.data import tile_grid
from ganspect.train.folder import RunFolder
from ganspect.train.run import Run, load_run
from ganspect.train.systems import parse_recipe

SUM = "residual_mean + latent_mahalanobis"


def with_scores(run: Path, out: Path, *settings: str) -> Path:
    """Copy a run and give it other scores, which training has no part in."""
    shutil.copytree(run, out)
    folder = RunFolder(out)
    folder.config.write_text(yaml.safe_dump(read_yaml(folder.config, list(settings))), encoding="utf-8")
    return out


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.export.deviations.LEAST_FRAMES", 2)


@pytest.fixture(scope="module")
def summed(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Run:
    folder = with_scores(
        tiny_run, tmp_path_factory.mktemp("summed") / "run", "score.search=residual_mean+latent_mahalanobis"
    )
    return load_run(folder)


def test_terms_are_measured_on_held_out_images_that_no_threshold_comes_from(summed: Run) -> None:
    held_out = [(sample.name, frame) for sample, frame in summed.held_out()]
    found = measure_deviations(summed.system, [*held_out, held_out[0]])  # what is given twice counts once
    frames, _ = split_calibration([frame for _, frame in held_out])
    tiles = np.concatenate([to_tiles(frame, tile_grid(summed.recipe)).images for frame in frames])
    x = summed.system.represent(to_image(torch.from_numpy(tiles)))
    match = summed.system.match(x, summed.system.encode(x))
    expected = {name: float(SCORES[name].of(match).std(correction=0)) for name in SUM.split(" + ")}
    assert found == pytest.approx(expected, rel=1e-4)


def test_without_a_sum_nothing_is_measured(tiny_run: Path) -> None:
    assert measure_deviations(load_run(tiny_run).system, []) == {}


def test_too_few_images_to_measure_terms_on_are_refused(summed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganspect.export.deviations.LEAST_FRAMES", LEAST_FRAMES)
    held_out = [(sample.name, frame) for sample, frame in summed.held_out()]
    with pytest.raises(
        CalibrationError, match=r"^2 held-out normal images, a quarter of all, .* at least 8 are needed"
    ):
        measure_deviations(summed.system, held_out)


def test_terms_that_do_not_vary_are_refused(summed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    size = summed.system.latent.size
    monkeypatch.setattr(summed.system, "encode", lambda x: torch.ones(len(x), size))
    held_out = [(sample.name, frame) for sample, frame in summed.held_out()]
    with pytest.raises(
        CalibrationError, match=r"latent_mahalanobis is the same on all 2 .* deploy the other term alone"
    ):
        measure_deviations(summed.system, held_out)


def test_a_frames_term_is_the_largest_of_its_tiles(tiny_rgb_run: Path, tmp_path: Path) -> None:
    run = load_run(with_scores(tiny_rgb_run, tmp_path / "run", f"score.search={SUM}"))
    held_out = [(sample.name, frame) for sample, frame in run.held_out()]
    found = measure_deviations(run.system, held_out)
    largest = []
    for frame in split_calibration([frame for _, frame in held_out])[0]:
        tiles = torch.from_numpy(to_tiles(frame, tile_grid(run.recipe)).images)
        assert len(tiles) > 1
        x = run.system.represent(to_image(tiles))
        largest.append(float(SCORES["residual_mean"].of(run.system.match(x, run.system.encode(x))).max()))
    assert found["residual_mean"] == pytest.approx(np.std(largest), rel=1e-5)


def test_a_bundle_deploys_a_sum(summed: Run, tiny_run: Path, tmp_path: Path, mvtec_folder: Path) -> None:
    run = with_scores(tiny_run, tmp_path / "run", f"score.search={SUM}", f"score.encoder={SUM}")
    export_run(run, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    scores = bundle.manifest.scores
    assert (scores.search, scores.encoder) == (SUM, SUM)
    assert set(scores.deviations) == set(SUM.split(" + "))
    assert "deviation of residual_mean over normal images" in scores.formulas[SUM]
    tiles = np.concatenate(
        [
            to_tiles(sample.read(), tile_grid(summed.recipe)).images
            for sample in open_dataset(str(mvtec_folder)).test[:4]
        ]
    )
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        found = backend.run("score", {"image": tiles})
        readout = Readout(bundle, backend)
        told = readout.scores(readout.represent(tiles), found["latent"])
    terms = [told[name] / scores.deviations[name] for name in SUM.split(" + ")]
    np.testing.assert_allclose(found["start_score"], terms[0] + terms[1], rtol=1e-4)
    np.testing.assert_allclose(found["encoder_score"], found["start_score"], rtol=1e-5)
    np.testing.assert_allclose(told[SUM], found["start_score"], rtol=1e-4)
    metrics = evaluate_bundle(tmp_path / "bundle", str(mvtec_folder), tmp_path / "report")
    assert metrics["scores"][SUM]["deployed"]
    assert metrics["scores"][SUM]["auroc"]["value"] == metrics["image"]["auroc"]["value"]
    assert metrics["pca"]["deployed_score"] is None  # a PCA of pixels has no latent's distance here
    assert SUM in (tmp_path / "report/index.html").read_text()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("rsidual", "unknown score 'rsidual'; expected one of .*, or two of them with a \\+ between"),
        ("residual_mean + rsidual", "adds 'rsidual', which no score is called; take two of anogan, "),
        ("residual_mean + paper", "adds 'paper', which no score is called"),
        ("residual_mean +", "adds '', which no score is called"),
        ("residual_mean + residual_mean", "is not a sum of two different scores; give two, such as weighed_residual"),
        ("residual_mean + residual_worst + fanogan", "is not a sum of two different scores"),
        ("residual_mean + residual_calibrated", "has a term that needs pixel statistics"),
        ("residual_mean + ganomaly", "which fanogan cannot compute"),
    ],
)
def test_sums_that_cannot_be_are_refused(score: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"system": "fanogan", "score": {"search": score}}, Path("a.yaml"))


def test_a_sum_needs_an_encoder() -> None:
    with pytest.raises(ConfigError, match="without an encoder by this recipe, at whose latents the terms of a sum"):
        parse_recipe({"system": "anogan", "score": {"search": SUM}}, Path("a.yaml"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": {"latent_size": 0}, "choice": None}, "network.latent_size is 0, the mean without any latent, but"),
        ({"network": {"latent_size": 4}}, "choice.latent_sizes has 0, the mean without any latent"),
    ],
)
def test_a_score_of_the_latent_needs_one(settings: dict[str, Any], message: str) -> None:
    content = {
        "system": "linear",
        "backbone": {},
        "score": {"encoder": "weighed_residual + latent_mahalanobis"},
        "choice": {},
        **settings,
    }
    with pytest.raises(ConfigError, match=message):
        parse_recipe(content, Path("a.yaml"))
