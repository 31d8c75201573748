"""The linear system: a PCA and weighed residuals, fitted when the run begins, in pixels and in feature space."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.config import Recipe
from ganspect.datasets import open_dataset
from ganspect.errors import ConfigError
from ganspect.export.exporter import search_record
from ganspect.export.formulas import compose
from ganspect.pca import Gram, cross_fitted_weights, means_of_three, squared_lengths
from ganspect.preprocess import to_tiles
from ganspect.runtime.evaluation.feature_baselines import Padim
from ganspect.scoring import largest_mean, to_unit_range
from ganspect.train.data import load_training_data, tile_grid
from ganspect.train.run import Run, load_run
from ganspect.train.systems import parse_recipe
from tests.conftest import FEATURE_SPACE, train_system

PIXELS = ("search.feature_weight=0", "network.latent_size=5")


@pytest.fixture(scope="module")
def trained(mvtec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Train with other settings."""

    def train(*overrides: str) -> Run:
        folder = tmp_path_factory.mktemp("linear")
        return load_run(train_system("linear", folder / "run", mvtec_folder, *overrides))

    return train


@pytest.fixture(scope="module")
def in_pixels(trained: Any) -> Run:
    """A run in pixels, 32x32 grey, five components."""
    run: Run = trained(*PIXELS)
    return run


@pytest.fixture(scope="module")
def without_components(trained: Any) -> Run:
    """A run in feature space, the mean alone."""
    run: Run = trained(*FEATURE_SPACE, "network.latent_size=0")
    return run


def views_of(run: Run) -> tuple[Tensor, Tensor]:
    """Return what a run was trained on, in an order of its own, and which image each shows."""
    assert run.recipe.data.source is not None
    return load_training_data(run.recipe, open_dataset(run.recipe.data.source)).batches.views(1000)


def training_images(run: Run) -> Tensor:
    return views_of(run)[0]


def held_out(run: Run) -> Tensor:
    tiles = np.concatenate([to_tiles(frame, tile_grid(run.recipe)).images for _, frame in run.held_out()])
    unit: Tensor = to_unit_range(torch.from_numpy(tiles).permute(0, 3, 1, 2).float())
    return unit


def test_in_pixels_it_is_the_pca_of_the_training_images(in_pixels: Run) -> None:
    system, images = in_pixels.system, training_images(in_pixels)
    pca = Gram(images.flatten(1).numpy()).pca(5)
    others = held_out(in_pixels).flatten(1) - torch.from_numpy(pca.mean)
    components = torch.from_numpy(pca.components)
    expected = others @ components.T @ components + torch.from_numpy(pca.mean)
    found = system.generator(system.encode(held_out(in_pixels))).flatten(1)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    torch.testing.assert_close(system.latent_deviation, torch.from_numpy(pca.deviations).sqrt())


def test_its_score_is_the_mean_of_the_largest_weighed_residuals(in_pixels: Run) -> None:
    system, x = in_pixels.system, held_out(in_pixels)
    images, groups = views_of(in_pixels)
    weights = cross_fitted_weights(Gram(images.numpy(), groups.numpy()), 5, "place")
    residuals = (x - system.generator(system.encode(x))).numpy()
    distances = means_of_three(squared_lengths(residuals, weights))
    expected = largest_mean(distances, in_pixels.recipe.score.share)
    np.testing.assert_allclose(system.encoder_score(x).numpy(), expected, rtol=5e-3)


def test_defects_score_higher_than_what_is_normal(in_pixels: Run, features_run: Path) -> None:
    for run in (in_pixels, load_run(features_run)):
        normal = held_out(run)
        defective = normal.clone()
        defective[..., 10:16, 10:16] = 1
        scores = [run.system.encoder_score(run.system.represent(images)) for images in (normal, defective)]
        assert scores[1].min() > scores[0].max()


def test_a_run_has_no_stages_and_a_log_without_steps(features_run: Path) -> None:
    record = json.loads((features_run / "run.json").read_text())
    assert record["training"]["steps"] == {}
    assert record["precision"] == "fp32"
    assert not (features_run / "samples").exists()


def test_mirror_images_are_what_the_pca_is_fitted_on_too(trained: Any) -> None:
    run: Run = trained(*PIXELS, "data.flips=[vertical]", "network.latent_size=40")
    images = training_images(run)
    assert len(images) == 32
    for shown in (images, images.flip(2)):
        found = run.system.generator(run.system.encode(shown))
        torch.testing.assert_close(found, shown, atol=0.01, rtol=0)


def test_the_mean_alone_has_one_latent_that_does_nothing(without_components: Run) -> None:
    system = without_components.system
    images = training_images(without_components)
    x = system.represent(images)
    latents = system.encode(x)
    assert latents.shape == (len(images), 1)
    assert not latents.any()
    mean = system.generator(latents + 5)
    torch.testing.assert_close(mean[:1], x.mean(0, keepdim=True), atol=2e-3, rtol=0)
    assert torch.equal(mean[0], mean[1])


def test_without_components_it_is_a_gaussian_at_each_place(without_components: Run) -> None:
    """PaDiM's distances, up to a factor that is the same for all: the covariance is of images left out."""
    system = without_components.system
    normal, others = (system.represent(of(without_components)).numpy() for of in (training_images, held_out))
    mean = system.generator(torch.zeros(1, 1)).numpy()
    found = squared_lengths(others - mean, system.distance.weights.float().numpy())  # type: ignore[union-attr]
    ratio = found * normal.shape[1] / Padim.fit(normal).judge(others).distances ** 2
    assert ratio.std() < 0.05 * ratio.mean()
    assert 0.7 < ratio.mean() < 1


def test_without_components_the_graphs_formulas_are_pytorchs(without_components: Run) -> None:
    recipe, system = without_components.recipe, without_components.system
    formulas = compose(system, search_record(recipe), recipe.score.search, recipe.score.encoder)
    image = torch.randint(0, 256, (3, 64, 64, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    latent, encoder_score, start_score, picture, heat = formulas.scores(image)
    assert (latent.shape, picture.shape, heat.shape) == ((3, 1), (3, 64, 64, 1), (3, 64, 64))
    x = system.represent(to_unit_range(image.permute(0, 3, 1, 2).float()))
    torch.testing.assert_close(encoder_score, system.encoder_score(x), rtol=1e-4, atol=1e-5)
    assert torch.equal(start_score, encoder_score)


def recipe_of(**sections: Any) -> Recipe:
    return parse_recipe({"system": "linear", **sections}, Path("a.yaml"))


def test_its_defaults_are_the_encoder_and_weighed_residuals() -> None:
    recipe = recipe_of()
    assert recipe.mode == "encoder"
    assert (recipe.score.search, recipe.score.encoder, recipe.score.weighing) == ("weighed_residual", "paper", "place")


FEATURES = {"layers": [0], "channels": 4}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"score": {"weighing": None}},
            r"score\.search is 'weighed_residual', which linear cannot compute; choose one of",
        ),
        ({"score": {"search": "fanogan"}}, r"score\.search is 'fanogan', which linear cannot compute; choose one of "),
        ({"score": {"encoder": "ganomaly"}}, r"score\.encoder is 'ganomaly', which linear cannot compute; choose one"),
        (
            {"score": {"search": "residual_peak"}, "backbone": FEATURES},
            r"score\.search is 'residual_peak', which linear cannot compute; choose one of residual_mean, ",
        ),
        (
            {"score": {"search": "residual_calibrated"}, "backbone": FEATURES},
            r"score\.search is 'residual_calibrated', which linear cannot compute; choose one of residual_mean, ",
        ),
        (
            {"score": {"search": "residual_mean", "weighing": None}},
            r"score\.encoder is 'paper', in linear weighed_residual, which this recipe cannot compute; name another",
        ),
        (
            {"search": {"feature_weight": 0.1}},
            r"search\.feature_weight is 0\.1, but linear has no discriminator .*; set it to 0$",
        ),
        (
            {"network": {"linear_path": True}},
            r"network\.linear_path stands beside convolutions, which linear has none of",
        ),
        (
            {"network": {"linear_path": True}, "backbone": FEATURES},
            r"network\.linear_path is for pixels; with a backbone a PCA is there by itself: leave it out",
        ),
        ({"network": {"latent_size": -1}}, r"'network\.latent_size': input should be greater than or equal to 0"),
        ({"mode": "auto"}, r"'mode': input should be 'search' or 'encoder'"),
    ],
)
def test_what_it_cannot_do_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^a\.yaml: {message}"):
        recipe_of(**sections)


def test_pixel_scores_can_be_had_in_pixels() -> None:
    recipe_of(score={"search": "residual_peak", "encoder": "residual_calibrated"})
    recipe_of(score={"search": "residual_mean", "encoder": "residual_mean", "weighing": None})
