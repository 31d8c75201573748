"""What the networks see in place of pixels: whitened, on one grid, the same in any precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.config import Recipe
from ganspect.errors import ConfigError, RunError
from ganspect.train.batches import Batches
from ganspect.train.features import prepare_representation
from ganspect.train.representation import Representation, apply_to_sides, grid_of, map_shape, resampling
from ganspect.train.systems import parse_recipe
from tests.conftest import texture


def recipe_of(size_hw: tuple[int, int] = (64, 64), colours: int = 1, **backbone: Any) -> Recipe:
    content = {
        "system": "linear",
        "image": {"size_hw": size_hw, "channels": colours},
        "backbone": {"layers": [2, 4], "stride": 8, "channels": 8, **backbone},
        "search": {"feature_weight": 0},
    }
    return parse_recipe(content, Path("a.yaml"))


def batches_of(recipe: Recipe, count: int = 12) -> Batches:
    random = np.random.default_rng(0)
    images = [
        np.repeat(texture(random, recipe.image.size_hw)[..., None], recipe.image.channels, 2) for _ in range(count)
    ]
    return Batches(images, recipe.image.size_hw, recipe.data, 0)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """Grey 64x64, two layers, one of them on a finer grid than is asked for."""
    return recipe_of()


@pytest.fixture(scope="module")
def prepared(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Representation:
    """A representation with its weights, whitened on twelve images."""
    representation = Representation(recipe)
    folder = tmp_path_factory.mktemp("representation")
    prepare_representation(representation, batches_of(recipe), recipe, folder / "representation.safetensors")
    return representation


def test_over_training_images_channels_are_whitened(recipe: Recipe, prepared: Representation) -> None:
    values = prepared(batches_of(recipe).plain(12)).transpose(0, 1).flatten(1)
    assert values.shape == (8, 12 * 64)
    torch.testing.assert_close(values.mean(1), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(values @ values.T / values.shape[1], torch.eye(8), atol=1e-2, rtol=0)


def test_channels_are_the_axes_of_largest_variance(recipe: Recipe, prepared: Representation) -> None:
    """The whitened channels alone explain as much of the raw ones as the first components of a PCA."""
    images = batches_of(recipe).plain(12)
    raw = prepared.raw(images).transpose(0, 1).flatten(1)
    raw -= raw.mean(1, keepdim=True)
    x = prepared(images).transpose(0, 1).flatten(1)
    explained = (raw @ x.T / x.shape[1]).square().sum()
    variances = torch.linalg.eigvalsh(raw @ raw.T / raw.shape[1])
    torch.testing.assert_close(explained, variances[-8:].sum(), rtol=1e-2, atol=0)


def test_channels_that_normal_images_have_nothing_of_stay_small() -> None:
    recipe = recipe_of(layers=[0], channels=16)
    representation = Representation(recipe)
    variances = torch.tensor([4.0, 1.0] + [0.0] * 14)
    representation.whiten(torch.zeros(16), torch.diag(variances))
    weights = representation.projections[0].weight.flatten(1)
    assert torch.isfinite(weights).all()
    assert weights.abs().max() <= 1 / np.sqrt(4e-6) * 1.001
    assert sorted(weights.norm(dim=1).tolist())[:2] == pytest.approx([0.5, 1.0])


def test_projecting_before_the_grid_is_projecting_after_it(recipe: Recipe, prepared: Representation) -> None:
    images = batches_of(recipe, 3).plain(3)
    weights = torch.cat([projection.weight.flatten(1) for projection in prepared.projections], 1)
    expected = torch.einsum("kr,nrhw->nkhw", weights, prepared.raw(images)) + prepared.shift[:, None, None]
    torch.testing.assert_close(prepared(images), expected, rtol=1e-3, atol=1e-3)


def test_it_is_the_same_under_autocast_and_in_half_precision(recipe: Recipe, prepared: Representation) -> None:
    images = batches_of(recipe, 2).plain(2)
    expected = prepared(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prepared(images), expected)
    assert prepared(images.double()).dtype == torch.float32


def test_nothing_of_it_is_trained_nor_depends_on_the_mode(recipe: Recipe, prepared: Representation) -> None:
    assert not any(parameter.requires_grad for parameter in prepared.parameters())
    assert not prepared.training


@pytest.mark.parametrize(
    ("size_hw", "stride", "expected"),
    [
        ((64, 64), 4, (16, 16)), ((64, 64), 8, (8, 8)), ((64, 64), 16, (4, 4)),
        ((100, 61), 8, (13, 8)), ((28, 28), 4, (7, 7)), ((224, 160), 32, (7, 5)),
    ],
)  # fmt: skip
def test_the_grid_has_a_place_for_each_stride_or_part_of_it(
    size_hw: tuple[int, int], stride: int, expected: tuple[int, int]
) -> None:
    recipe = recipe_of(size_hw, stride=stride)
    assert grid_of(recipe) == expected
    representation = Representation(recipe)
    assert representation.grid_hw == expected
    with torch.no_grad():
        assert representation(torch.zeros(2, 1, *size_hw)).shape == (2, 8, *expected) == (2, *map_shape(recipe))


def test_without_a_backbone_x_is_the_image() -> None:
    content = {"system": "fanogan", "image": {"size_hw": [30, 40], "channels": 3}}
    assert map_shape(parse_recipe(content, Path("a.yaml"))) == (3, 30, 40)


def test_an_image_too_small_for_the_stride_is_refused() -> None:
    expected = (
        r"^image\.size_hw is \[64, 96\], which leaves 2x3 places at backbone\.stride 32; at least 4x4 are needed: en"
    )
    with pytest.raises(ConfigError, match=expected):
        Representation(recipe_of((64, 96), stride=32))


def test_more_channels_than_the_layers_have_are_refused() -> None:
    expected = r"^backbone\.channels is 65, but layers \[2, 4\] of efficientnet_lite0 have 64 together; lower it$"
    with pytest.raises(ConfigError, match=expected):
        Representation(recipe_of(channels=65))
    Representation(recipe_of(channels=64))


@pytest.mark.parametrize(("source", "target"), [(8, 8), (16, 8), (7, 4), (13, 5), (4, 13), (3, 8), (1, 5), (5, 1)])
def test_rows_of_a_resampling_add_up_to_one(source: int, target: int) -> None:
    matrix = resampling(source, target)
    assert matrix.shape == (target, source)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(target))
    torch.testing.assert_close(matrix, matrix.flip(0, 1), atol=1e-6, rtol=0)


def test_equal_sizes_are_left_as_they_are() -> None:
    assert torch.equal(resampling(9, 9), torch.eye(9))


def test_shrinking_takes_means() -> None:
    assert resampling(6, 3).tolist() == [[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]]
    torch.testing.assert_close(resampling(3, 2), torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]]))
    torch.testing.assert_close(resampling(31, 7).mean(0), torch.full((31,), 1 / 31))


@pytest.mark.parametrize(("source", "target"), [(4, 8), (5, 13), (2, 64)])
def test_enlarging_is_pytorchs_linear_interpolation(source: int, target: int) -> None:
    values = torch.rand(1, 1, source, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(values, target, mode="linear", align_corners=False)
    torch.testing.assert_close(values @ resampling(source, target).T, expected)


def test_both_sides_are_resampled_by_their_own_matrix() -> None:
    maps = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(maps, (7, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(apply_to_sides(maps, resampling(4, 7), resampling(6, 9)), expected)


def test_a_run_begins_once_and_takes_its_own_weights_afterwards(
    recipe: Recipe, prepared: Representation, tmp_path: Path
) -> None:
    path = tmp_path / "representation.safetensors"
    first, again = Representation(recipe), Representation(recipe)
    prepare_representation(first, batches_of(recipe), recipe, path)
    prepare_representation(again, batches_of(recipe, 3), recipe, path)
    for name, values in first.state_dict().items():
        assert torch.equal(values, again.state_dict()[name])
        assert torch.equal(values, prepared.state_dict()[name])


def test_a_damaged_file_of_a_run_is_named(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "representation.safetensors"
    path.write_bytes(b"half of it")
    with pytest.raises(RunError, match=r"representation\.safetensors is damaged"):
        prepare_representation(Representation(recipe), batches_of(recipe, 2), recipe, path)


def test_the_two_kinds_of_images_have_their_own_stem() -> None:
    for colours in (1, 3):
        recipe = recipe_of((64, 72), colours)
        with torch.no_grad():
            found: Tensor = Representation(recipe)(batches_of(recipe, 2).plain(2))
        assert found.shape == (2, 8, 8, 9)
