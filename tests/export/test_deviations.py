"""Sums of two scores: each term in deviations over held-out normal images, the whole way to a bundle's scores."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ganspect.bundle import open_bundle
from ganspect.datasets import open_dataset, split_calibration
from ganspect.errors import CalibrationError, ConfigError
from ganspect.export.deviations import measure_deviations
from ganspect.export.exporter import export_run
from ganspect.export.formulas import to_image
from ganspect.preprocess import to_tiles
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
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
    assert found == pytest.approx(expected, rel=1e-5)


def test_without_a_sum_nothing_is_measured(tiny_run: Path) -> None:
    assert measure_deviations(load_run(tiny_run).system, []) == {}


def test_terms_that_do_not_vary_are_refused(summed: Run) -> None:
    black = [(str(value), np.full((40, 48), value, np.uint8)) for value in (0, 1)]
    with pytest.raises(CalibrationError, match=r"does not vary over the 1 held-out normal images .* hold out more"):
        measure_deviations(summed.system, black)


def test_a_bundle_deploys_a_sum(summed: Run, tiny_run: Path, tmp_path: Path, mvtec_folder: Path) -> None:
    run = with_scores(tiny_run, tmp_path / "run", f"score.search={SUM}", f"score.encoder={SUM}")
    export_run(run, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    scores = bundle.manifest.scores
    assert (scores.search, scores.encoder) == (SUM, SUM)
    assert set(scores.deviations) == set(SUM.split(" + "))
    assert "its deviation over normal images" in scores.formulas[SUM]
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


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("residual_mean + rsidual", "unknown score 'rsidual'; expected one of .*, or two with a \\+ between"),
        ("residual_mean + paper", "unknown score 'paper'"),
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
