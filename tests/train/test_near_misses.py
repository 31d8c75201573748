"""A discriminator of places: trained to tell near misses from normal maps, it corrects the weighed distance."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.block_pca import pcas_of
from ganspect.config import DiscriminatorSettings, Negative, Recipe
from ganspect.datasets.drawn import KINDS
from ganspect.errors import ConfigError
from ganspect.pca import cross_fitted_weights
from ganspect.scoring import auroc, largest_mean
from ganspect.train.batches import Batches
from ganspect.train.discriminator import PlaceDiscriminator
from ganspect.train.distance import Distance
from ganspect.train.drawing import DrawnMaps, kinds_in_turn
from ganspect.train.latents import LatentLayout
from ganspect.train.near_misses import NearMisses, fit_discriminator, near_misses_of, scores_of
from ganspect.train.pca_path import PcaPath
from ganspect.train.run import build_system
from ganspect.train.systems import SYSTEMS, parse_recipe

CHANNELS, SIDE, SIZE = 6, 8, 3
NEGATIVES: tuple[Negative, ...] = ("drawn", "noise", "pasted", "generated", "ascent")


def recipe_of(relative: float = 0.5, **discriminator: Any) -> Recipe:
    content = {
        "system": "linear",
        "image": {"size_hw": [64, 64]},
        "backbone": {"layers": [0], "stride": 8, "channels": CHANNELS},
        "network": {"latent_size": SIZE},
        "search": {"feature_weight": 0},
        "score": {"relative": relative},
        "discriminator": {"width": 8, "steps": 60, "batch_size": 8, **discriminator},
    }
    return parse_recipe(content, Path("a.yaml"))


def maps(count: int, seed: int) -> Tensor:
    """Return maps in which three patterns vary, and noise, most of it in the last channel."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(9).normal(size=(SIZE, CHANNELS, SIDE, SIDE))
    noise = random.normal(size=(count, CHANNELS, SIDE, SIDE)) * np.array([0.3, 0.3, 0.3, 0.3, 0.3, 1.0])[:, None, None]
    mixed = np.einsum("nk,kchw->nchw", random.normal(size=(count, SIZE)), patterns)
    return torch.from_numpy((mixed + noise).astype(np.float32))


def spoilt(given: Tensor, seed: int) -> Tensor:
    """Return maps with a step up of the first channel in a block of 2x2 places, shorter than noise is in the last."""
    random, found = np.random.default_rng(seed), given.clone()
    for one, y, x in zip(found, *random.integers(0, SIDE - 2, (2, len(found))), strict=True):
        one[0, y : y + 2, x : x + 2] += 0.7
    return found


def near_misses(recipe: Recipe, count: int = 60) -> NearMisses:
    normal, layout, groups = maps(count, 0), LatentLayout.of(recipe), np.arange(count)
    pcas, path = pcas_of(normal.numpy(), groups, None), PcaPath(layout)
    deviations = path.set(pcas.pca(SIZE))
    drawn = DrawnMaps(spoilt(normal, 1), groups, [KINDS[index % 6] for index in range(count)])
    return near_misses_of(Distance(recipe), "place", pcas, SIZE, normal.numpy(), groups, drawn, path.decode, deviations)


def scores(near: NearMisses, seed: int, *, plain: bool = False) -> tuple[Any, Any]:
    """Return scores of new normal maps and of spoilt ones, without the discriminator where they are to be plain."""
    normal, pcas = maps(200, seed), pcas_of(near.x.float().numpy(), near.images, None)
    fold = next(iter(pcas.folds(SIZE)))
    discriminator = None if plain else near.distance.discriminator
    found = []
    for given in (normal, spoilt(normal, seed)):
        left = torch.from_numpy(fold.residuals_of(pcas.others(given.numpy()), np.arange(200), SIZE))
        found.append(scores_of(near.distance.terms(left), discriminator, 0.02))
    return found[0], found[1]


def test_scores_are_those_of_the_distance() -> None:
    near = near_misses(recipe_of())
    x = maps(5, 3)
    for discriminator in (near.distance.discriminator, None):
        near.distance.discriminator = discriminator
        expected = largest_mean(near.distance(x, torch.zeros_like(x)), 0.02)
        found = scores_of(near.distance.terms(x), discriminator, 0.02)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4)


def test_the_distance_has_the_cross_fitted_weights() -> None:
    near = near_misses(recipe_of())
    expected = cross_fitted_weights(pcas_of(maps(60, 0).numpy(), np.arange(60), None), SIZE, "place")
    assert expected is not None
    assert near.distance.weights is not None
    np.testing.assert_allclose(near.distance.weights.float().numpy(), expected, atol=2e-3)


def test_a_fresh_discriminator_changes_no_order() -> None:
    """Its map begins as the distance's own."""
    near = near_misses(recipe_of())
    assert auroc(*scores(near, 5)) == pytest.approx(auroc(*scores(near, 5, plain=True)), abs=0.02)


@pytest.mark.parametrize("relative", [0.0, 0.5])
def test_it_learns_which_direction_near_misses_take(relative: float) -> None:
    recipe = recipe_of(relative, steps=200, batch_size=16, width=16)
    near = near_misses(recipe, 120)
    discriminator, settings = near.distance.discriminator, recipe.discriminator
    assert discriminator is not None
    assert settings is not None
    before = auroc(*scores(near, 5))
    fit_discriminator(discriminator, near, settings, 0)
    assert auroc(*scores(near, 5)) > before + 0.03
    assert not any(parameter.requires_grad for parameter in discriminator.parameters())


@pytest.mark.parametrize("negative", NEGATIVES)
def test_every_negative_is_a_normal_map_changed_in_places(negative: Negative) -> None:
    near = near_misses(recipe_of())
    discriminator = PlaceDiscriminator(CHANNELS, 8)
    random = torch.Generator().manual_seed(3)
    terms = near.draw_negatives(negative, 40, random, discriminator)
    assert terms.squashed.shape == (40, CHANNELS, SIDE, SIDE)
    assert terms.log_distance.shape == (40, SIDE, SIDE)
    assert all(torch.isfinite(one).all() for one in terms)
    normal = near.draw(40, random)
    largest, of_normal = (one.log_distance.flatten(1).amax(1).mean() for one in (terms, normal))
    assert largest > of_normal + 0.005


@pytest.mark.parametrize("negatives", [[one] for one in NEGATIVES] + [["drawn", "noise", "ascent"]])
def test_it_can_be_trained_against_each(negatives: list[Negative]) -> None:
    recipe = recipe_of(negatives=negatives, steps=3, batch_size=5)
    near, settings = near_misses(recipe, 20), recipe.discriminator
    assert near.distance.discriminator is not None
    assert settings is not None
    fit_discriminator(near.distance.discriminator, near, settings, 0)
    assert all(np.isfinite(one).all() for one in scores(near, 1))


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 11])
def test_any_number_of_steps_can_be_trained(steps: int) -> None:
    recipe = recipe_of(steps=steps, batch_size=2, width=4)
    near = near_misses(recipe, 10)
    assert near.distance.discriminator is not None
    fit_discriminator(near.distance.discriminator, near, recipe.discriminator or DiscriminatorSettings(), 0)
    assert torch.isfinite(near.distance.discriminator.own).all()


def test_the_same_seed_trains_the_same() -> None:
    recipe = recipe_of(steps=5)
    states = []
    for seed in (0, 0, 1):
        near = near_misses(recipe, 20)
        assert near.distance.discriminator is not None
        fit_discriminator(near.distance.discriminator, near, recipe.discriminator or DiscriminatorSettings(), seed)
        states.append(near.distance.discriminator.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_residuals_are_of_pcas_that_have_not_seen_the_image() -> None:
    """Those of its own PCA would be shorter by the three dimensions that it was given."""
    near = near_misses(recipe_of(), 8)
    own = pcas_of(near.x.float().numpy(), near.images, None).pca(SIZE)
    centred = near.x.float().flatten(1).numpy() - own.mean
    in_sample = np.square(centred - centred @ own.components.T @ own.components).mean()
    assert near.residuals.float().square().mean() > 1.2 * in_sample


def test_images_and_kinds_can_be_left_out() -> None:
    near = near_misses(recipe_of(), 24)
    some = near.of_images(np.arange(6))
    assert (len(some.x), len(some.residuals), len(some.drawn.level)) == (6, 6, 6)
    kinds = near.of_kinds(("spot", "blur"))
    assert set(kinds.drawn_kinds) == {"spot", "blur"}
    assert len(kinds.x) == 24
    assert len(kinds.drawn.level) == len(kinds.drawn_images) == len(kinds.drawn_kinds) == 8


@pytest.mark.parametrize("count", [1, 4, 6, 12])
def test_every_image_gets_every_kind_before_one_comes_again(count: int) -> None:
    """Were one kind drawn on one image only, a discriminator could tell it by the image."""
    random = np.random.default_rng(0)
    images = [np.clip(random.normal(128, 20, (64, 64, 1)), 0, 255).astype(np.uint8) for _ in range(count)]
    batches = Batches(images, (64, 64), recipe_of().data, 0)
    index = batches.to_draw_on(count, 1000)
    assert np.bincount(index.numpy()).tolist() == [12] * count
    kinds = np.array(kinds_in_turn(index))
    assert all(len(set(kinds[index.numpy() == image][:6])) == 6 for image in range(count))
    found = batches.drawn(count, 30)
    assert found.x.shape == (min(30, 12 * count), 1, 64, 64)
    assert len(found.kinds) == len(found.image) == len(found.x)
    assert torch.equal(batches.drawn(count, 30).x, found.x)
    assert set(batches.drawn(1, 30).image.tolist()) == {int(index[0])}


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_images_that_hardly_vary_leave_finite_scores(count: int, noise: float) -> None:
    """Where nothing varies, everything else is infinitely far: it is a large number, and no worse."""
    recipe = parse_recipe(
        {
            "system": "linear",
            "image": {"size_hw": [32, 32]},
            "network": {"latent_size": 2},
            "search": {"feature_weight": 0},
            "discriminator": {"steps": 3, "width": 4, "batch_size": 2},
        },
        Path("a.yaml"),
    )
    random = np.random.default_rng(0)
    texture = random.integers(60, 200, (32, 32, 1))
    images = [np.clip(texture + random.normal(0, noise, texture.shape), 0, 255).astype(np.uint8) for _ in range(count)]
    system = build_system(recipe, SYSTEMS["linear"])
    system.begin(Batches(images, (32, 32), recipe.data, 0))
    for x in (torch.full((1, 1, 32, 32), -1.0), torch.ones(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)):
        reconstruction = system.generator(system.encode(x))
        assert torch.isfinite(system.encoder_score(x)).all()
        assert torch.isfinite(system.heat_map(x, reconstruction)).all()


def test_defects_on_images_that_are_no_maps_are_an_error() -> None:
    near, drawn = near_misses(recipe_of(), 8), DrawnMaps(maps(3, 1), np.array([0, 1, 99]), ["spot", "blur", "shade"])
    pcas = pcas_of(near.x.float().numpy(), near.images, None)
    with pytest.raises(ValueError, match="not among the maps"):
        near_misses_of(
            near.distance, "place", pcas, 2, near.x.float().numpy(), near.images, drawn, lambda z: z, torch.ones(2)
        )


def test_a_discriminator_needs_something_to_correct() -> None:
    content = {"system": "fanogan", "backbone": {}, "discriminator": {}, "score": {"encoder": "fanogan"}}
    with pytest.raises(ConfigError, match=r"discriminator corrects weighed_residual, but the recipe deploys resid"):
        parse_recipe(content, Path("a.yaml"))
    with pytest.raises(ConfigError, match=r"discriminator is about what a PCA leaves, but fanogan starts at none"):
        parse_recipe({**content, "backbone": None, "score": {"search": "weighed_residual"}}, Path("a.yaml"))


def test_negatives_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"discriminator\.negatives"):
        recipe_of(negatives=["fog"])
    with pytest.raises(ConfigError, match=r"discriminator\.negatives"):
        recipe_of(negatives=[])
