"""A bundle in feature space beside simple detectors on the same features, fitted on the same images."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ganspect import cli
from ganspect.bundle import Bundle, open_bundle
from ganspect.datasets import open_dataset
from ganspect.preprocess import Tiles
from ganspect.progress import progress_bar
from ganspect.runtime import evaluation
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.evaluation import evaluate_bundle, features
from ganspect.runtime.evaluation.bootstrap import Resampling
from ganspect.runtime.evaluation.features import FeatureBaseline, FeaturePca, feature_baselines, heat_map
from ganspect.runtime.evaluation.labelled import LabelledImages, read_labelled
from ganspect.runtime.evaluation.readout import Readout
from ganspect.train.data import load_training_data
from ganspect.train.run import load_run
from tests.runtime.evaluation.conftest import Report, rows_of

NAMES = ["pca_features", "padim", "patchcore"]
CHANNELS, PLACES = 24, 64


@pytest.fixture(scope="module")
def evaluated(features_bundle: Path, mvtec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """An evaluation of the linear bundle in its own mode."""
    out = tmp_path_factory.mktemp("evaluations") / "report"
    return Report(out, evaluate_bundle(features_bundle, str(mvtec_folder), out))


@pytest.fixture(scope="module")
def bundle(features_bundle: Path) -> Bundle:
    """The linear bundle, opened."""
    return open_bundle(features_bundle)


@pytest.fixture(scope="module")
def backend(bundle: Bundle) -> Iterator[Backend]:
    """ONNX Runtime with the bundle's graphs."""
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def readout(bundle: Bundle, backend: Backend) -> Readout:
    """Its features and scores."""
    return Readout(bundle, backend)


@pytest.fixture
def images(bundle: Bundle, mvtec_folder: Path) -> LabelledImages:
    """The twelve test images."""
    return labelled(bundle, mvtec_folder)


def labelled(bundle: Bundle, folder: Path) -> LabelledImages:
    with progress_bar() as progress:
        return read_labelled(bundle, open_dataset(str(folder)), progress)


def beside(images: LabelledImages, readout: Readout, bundle: Bundle) -> tuple[FeatureBaseline, ...]:
    with progress_bar() as progress:
        return feature_baselines(images, readout, bundle, Resampling(count=20), progress)


def test_three_detectors_stand_beside_the_bundle(evaluated: Report) -> None:
    baselines = evaluated.metrics["baselines"]
    assert list(baselines) == NAMES
    for found in baselines.values():
        for part, names in (("image", ("auroc", "auprc")), ("pixel", ("auroc", "aupro"))):
            for name in names:
                assert 0 <= found[part][name]["low"] <= found[part][name]["value"] <= found[part][name]["high"] <= 1
        difference = evaluated.metrics["image"]["auroc"]["value"] - found["image"]["auroc"]["value"]
        assert found["delta"]["value"] == pytest.approx(difference)
        assert found["ms_an_image"] > 0
        assert found["images"] == 24
        assert found["pixel"]["auroc"]["value"] > 0.9


def test_their_sizes_are_the_backbones_and_what_they_store(evaluated: Report, bundle: Bundle) -> None:
    baselines, backbone = evaluated.metrics["baselines"], bundle.manifest.backbone
    assert backbone is not None
    values, weights = CHANNELS * PLACES, PLACES * CHANNELS**2
    stored = {name: found["size_bytes"] - backbone.size_bytes for name, found in baselines.items()}
    assert stored["pca_features"] == 4 * (8 * values + weights)
    assert stored["padim"] == 4 * PLACES * (CHANNELS + CHANNELS * (CHANNELS + 1) // 2)
    assert stored["patchcore"] == 4 * CHANNELS * (24 * PLACES // 10)
    assert stored["patchcore"] <= (bundle.folder / "weights.bin").stat().st_size


def test_the_pca_of_the_features_is_the_linear_bundle(
    features_run: Path, backend: Backend, readout: Readout, images: LabelledImages
) -> None:
    """Fitted on the bundle's own training images it gives the bundle's scores and distances."""
    run = load_run(features_run)
    assert run.recipe.data.source is not None
    own = load_training_data(run.recipe, open_dataset(run.recipe.data.source)).batches.images
    normal = readout.represent(np.stack([image.numpy() for image in own]))
    score = run.recipe.score
    pca = FeaturePca.fit(
        normal,
        np.arange(len(normal)),
        components=7,
        weighing=score.weighing or "plain",
        share=score.share,
        relative=score.relative,
    )
    tiles = np.concatenate([images.tiles(index).images for index in range(12)])
    judged = pca.judge(readout.represent(tiles))
    given = backend.run("score", {"image": tiles})
    np.testing.assert_allclose(judged.scores, given["encoder_score"], rtol=0.02)
    x, reconstruction = readout.represent(tiles), readout.reconstruct(given["latent"])
    distances = backend.run("distance", {"x": x, "reconstruction": reconstruction})["distance"]
    np.testing.assert_allclose(judged.distances**2, distances, rtol=0.03)


def test_the_pca_beside_a_map_of_latents_is_that_of_its_blocks(map_bundle: Path, images: LabelledImages) -> None:
    """Fitted on some other normal images, it agrees with the bundle's own scores in their order."""
    opened = open_bundle(map_bundle)
    scores = opened.manifest.scores
    with open_backend("onnxruntime", opened, tuning=Tuning(threads=1)) as engine:
        look = Readout(opened, engine)
        tiles = np.concatenate([images.tiles(index).images for index in range(12)])
        x = look.represent(tiles)
        pca = FeaturePca.fit(
            x[:6], np.arange(6), components=2, weighing=scores.weighing or "plain", share=scores.share, stride=2
        )
        own = engine.run("score", {"image": tiles})["start_score"]
    assert pca.pca.components.shape == (2, 4 * x.shape[1])
    assert pca.size_bytes == 4 * (
        pca.pca.components.size + pca.pca.mean.size + (0 if pca.weights is None else pca.weights.size)
    )
    judged = pca.judge(x).scores
    assert np.corrcoef(np.log(judged), np.log(own))[0, 1] > 0.9


def test_the_search_stands_beside_the_bundles_own_mode(evaluated: Report) -> None:
    metrics = evaluated.metrics
    assert metrics["protocol"]["mode"] == "encoder"
    assert set(metrics["systems"]) == {"encoder", "search"}
    assert metrics["image"] == metrics["systems"]["encoder"]["image"]
    assert metrics["deployed"]["flips"] == 0
    for row in rows_of(evaluated.folder):
        assert float(row["score"]) == pytest.approx(float(row["encoder_score"]))
        assert float(row["search_weighed_residual"]) > 0


def test_the_report_says_what_the_bundle_is_and_shows_all_four(evaluated: Report, bundle: Bundle) -> None:
    told = evaluated.metrics["bundle"]
    assert told["backbone"]["name"] == "efficientnet_lite0"
    assert (told["weighing"], told["choice"]["settings"][0]) == ("place", "network.latent_size=7")
    assert told["weights_bytes"] == sum((bundle.folder / name).stat().st_size for name in bundle.manifest.sha256)
    page = (evaluated.folder / "index.html").read_text()
    for text in ("PCA, features</th>", "PaDiM</th>", "PatchCore</th>", "Beside simple detectors"):
        assert text in page
    assert "deviations of normal images or more, the same for all" in page


def test_without_masks_there_are_no_pixel_metrics(
    bundle: Bundle, readout: Readout, mvtec_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mvtec_folder, tmp_path / "parts"))
    (folder / "ground_truth/scratch/002_mask.png").unlink()
    some = beside(labelled(bundle, folder), readout, bundle)
    shutil.rmtree(folder / "ground_truth")
    none = beside(labelled(bundle, folder), readout, bundle)
    assert [one.name for one in some] == [one.name for one in none] == NAMES
    assert all(one.pixel is not None and 0.9 < one.pixel["auroc"].value <= 1 for one in some)
    assert all(one.pixel is None for one in none)
    for one, other in zip(some, none, strict=True):
        assert len(one.scores) == 12
        np.testing.assert_array_equal(one.scores, other.scores)


def test_training_images_that_cannot_be_read_are_left_out(
    bundle: Bundle, readout: Readout, mvtec_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mvtec_folder, tmp_path / "parts"))
    for index in range(5):
        (folder / f"train/good/{index:03d}.png").write_bytes(b"")
    assert {one.images for one in beside(labelled(bundle, folder), readout, bundle)} == {19}


def test_more_images_than_memory_holds_are_thinned_evenly(
    bundle: Bundle, readout: Readout, images: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "_LARGEST_VALUES", 10 * CHANNELS * PLACES)
    assert {one.images for one in beside(images, readout, bundle)} == {8}


def test_fewer_than_two_normal_images_and_bundles_in_pixels_have_no_detectors(
    bundle: Bundle, readout: Readout, images: LabelledImages
) -> None:
    one = replace(images, dataset=replace(images.dataset, train=images.dataset.train[:1]))
    assert beside(one, readout, bundle) == ()
    in_pixels = Bundle(bundle.folder, bundle.manifest.model_copy(update={"backbone": None}), bundle.calibration, "")
    assert beside(images, readout, in_pixels) == ()


def test_heat_maps_keep_their_values_and_their_places() -> None:
    tiles = Tiles(np.zeros((1, 64, 72, 1), np.uint8), ((0, 0),), (64, 72), (64, 72))
    np.testing.assert_allclose(heat_map(np.full((1, 8, 9), 1.5, np.float32), tiles), 1.5, rtol=1e-5)
    distances = np.zeros((1, 8, 9), np.float32)
    distances[0, 2, 6] = 1
    y, x = np.unravel_index(heat_map(distances, tiles).argmax(), (64, 72))
    assert (y // 8, x // 8) == (2, 6)


@pytest.mark.parametrize(("given", "expected"), [([], None), (["--mode", "search"], "search")])
def test_the_command_leaves_the_mode_to_the_bundle(
    monkeypatch: pytest.MonkeyPatch, given: list[str], expected: str | None
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(evaluation, "evaluate_bundle", lambda *_, **options: asked.append(options["mode"]))
    result = CliRunner().invoke(cli.app, ["evaluate", "bundle", "data", "--out", "report", *given])
    assert result.exit_code == 0, result.output
    assert asked == [expected]
