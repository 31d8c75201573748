"""Weighed residuals in PyTorch: NumPy's formulas, and a heat map that keeps its values and its places."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganspect.config import Recipe
from ganspect.pca import Gram, cross_fitted_weights, means_of_three, squared_lengths
from ganspect.records import Weighing
from ganspect.train.distance import Distance
from ganspect.train.systems import parse_recipe

SIZE_HW = (64, 72)
SHAPE = (4, 8, 9)


def recipe_of(weighing: Weighing, in_pixels: bool = False, relative: float = 0.0) -> Recipe:
    content: dict[str, Any] = {
        "system": "fanogan",
        "image": {"size_hw": SIZE_HW, "channels": 1},
        "score": {"weighing": weighing, "relative": relative},
    }
    if not in_pixels:
        content["backbone"] = {"layers": [0], "stride": 8, "channels": 4}
    return parse_recipe(content, Path("a.yaml"))


def maps(count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray[Any, np.dtype[np.float32]]:
    random = np.random.default_rng(seed)
    deviations = np.random.default_rng(9).uniform(0.3, 2, shape)
    return (random.normal(size=(count, *shape)) * deviations).astype(np.float32)


@pytest.mark.parametrize("weighing", ["place", "pooled", "plain"])
def test_distances_are_those_of_numpy(weighing: Weighing) -> None:
    weights = cross_fitted_weights(Gram(maps(30, 0)), 3, weighing)
    distance = Distance(recipe_of(weighing))
    distance.set(weights)
    x, reconstruction = maps(6, 1), maps(6, 2)
    found = distance(torch.from_numpy(x), torch.from_numpy(reconstruction))
    expected = means_of_three(squared_lengths(x - reconstruction, weights))
    np.testing.assert_allclose(found.numpy(), expected, rtol=5e-3)
    kept = {"place": (72, 4, 4), "pooled": (1, 4, 4), "plain": None}[weighing]
    assert (None if distance.weights is None else tuple(distance.weights.shape)) == kept


def test_new_normal_images_are_about_one_deviation_away() -> None:
    distance = Distance(recipe_of("place"))
    distance.set(cross_fitted_weights(Gram(maps(80, 0)), 0, "place"))
    far = distance(torch.from_numpy(maps(50, 1)), torch.zeros(50, *SHAPE))
    assert far.mean().item() == pytest.approx(1, abs=0.15)
    assert distance.heat_map(far).mean().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("weighing", ["place", "pooled", "plain"])
def test_before_statistics_come_residuals_are_plain(weighing: Weighing) -> None:
    x, other = (torch.from_numpy(maps(3, seed)) for seed in (1, 2))
    torch.testing.assert_close(Distance(recipe_of(weighing))(x, other), Distance(recipe_of("plain"))(x, other))


def test_pixels_are_weighed_in_the_same_way() -> None:
    random = np.random.default_rng(0)
    deviations = random.uniform(0.1, 1, (1, *SIZE_HW))
    images = (random.normal(size=(40, 1, *SIZE_HW)) * deviations).astype(np.float32)
    distance = Distance(recipe_of("place", in_pixels=True))
    distance.set(cross_fitted_weights(Gram(images), 0, "place"))
    far = distance(torch.from_numpy(images), torch.zeros(40, 1, *SIZE_HW))
    assert far.shape == (40, *SIZE_HW)
    assert far.mean().item() == pytest.approx(1, abs=0.1)


def test_an_images_own_level_is_taken_out_where_the_recipe_says_so() -> None:
    x, none = torch.from_numpy(maps(4, 1)), torch.zeros(4, *SHAPE)
    plain = Distance(recipe_of("plain"))(x, none)
    half, whole = (Distance(recipe_of("plain", relative=share))(x, none) for share in (0.5, 1.0))
    level = plain.log().mean((1, 2), keepdim=True).exp()
    torch.testing.assert_close(half, plain / level.sqrt())
    torch.testing.assert_close(whole, plain / level)
    louder = Distance(recipe_of("plain", relative=1.0))(3 * x, none)
    torch.testing.assert_close(louder, whole, rtol=1e-4, atol=0)
    assert torch.isfinite(Distance(recipe_of("plain", relative=1.0))(x, x)).all()


def test_a_constant_map_stays_constant_when_it_is_enlarged() -> None:
    heat = Distance(recipe_of("plain")).heat_map(torch.full((2, 8, 9), 2.25))
    torch.testing.assert_close(heat, torch.full((2, *SIZE_HW), 1.5))


@pytest.mark.parametrize("place", [(0, 0), (3, 4), (7, 8), (0, 5)])
def test_a_peak_stays_where_it_is(place: tuple[int, int]) -> None:
    distances = torch.ones(1, 8, 9)
    distances[0, place[0], place[1]] = 100
    heat = Distance(recipe_of("plain")).heat_map(distances)[0]
    y, x = divmod(int(heat.argmax()), SIZE_HW[1])
    assert (y // 8, x // 8) == place
    assert 4 < heat.max() <= 10
    assert (heat > heat.max() / 2).sum() < 3 * 64


def test_a_heat_map_in_pixels_is_of_the_images_size_and_hardly_blurred() -> None:
    distances = torch.zeros(1, *SIZE_HW)
    distances[0, 20, 30] = 1
    heat = Distance(recipe_of("plain", in_pixels=True)).heat_map(distances)[0]
    assert divmod(int(heat.argmax()), SIZE_HW[1]) == (20, 30)
    assert heat[18:23, 28:33].sum().item() == pytest.approx(1, abs=1e-3)


def test_weights_are_kept_in_half_precision() -> None:
    assert Distance(recipe_of("place")).state_dict()["weights"].dtype == torch.float16
    assert list(Distance(recipe_of("plain")).state_dict()) == []
