"""Latents as rows: a vector, or a map whose places each stand for a block of x and know only what is near."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganspect.block_pca import BlockPcas, block_residuals, blocks_of
from ganspect.config import Recipe
from ganspect.errors import ConfigError
from ganspect.train.latents import LatentLayout
from ganspect.train.networks import Encoder, Features, Generator, Head, Pyramid
from ganspect.train.pairs import PairHead, pyramid_pairs
from ganspect.train.pca_path import PcaPath
from ganspect.train.systems import parse_recipe

SIZES = [(8, 12), (7, 9), (10, 6)]


def recipe_of(system: str = "fanogan", size_hw: Any = (32, 44), network: Any = None, **rest: Any) -> Recipe:
    content = {
        "system": system,
        "image": {"size_hw": list(size_hw)},
        "network": {"width": 4, "latent_size": 5, "latent": "map", "latent_stride": 8, **(network or {})},
        **rest,
    }
    return parse_recipe(content, Path("a.yaml"))


def layout_of(x_chw: tuple[int, int, int], size: int = 3, stride: int = 2) -> LatentLayout:
    channels, height, width = x_chw
    return LatentLayout(size, (-(-height // stride), -(-width // stride)), (channels, stride, stride), (height, width))


@pytest.mark.parametrize("size_hw", SIZES)
def test_blocks_are_those_of_numpy(size_hw: tuple[int, int]) -> None:
    x = torch.randn(3, 2, *size_hw, generator=torch.Generator().manual_seed(0))
    layout = layout_of((2, *size_hw))
    np.testing.assert_array_equal(layout.blocks(x).numpy(), blocks_of(x.numpy(), 2))
    assert torch.equal(layout.of_blocks(layout.blocks(x)), x)


def test_a_row_is_by_channels_then_rows_then_columns() -> None:
    layout = layout_of((2, 4, 6))
    row = torch.arange(2 * layout.size).reshape(2, -1)
    at_places = layout.at_places(row)
    assert at_places.shape == (2 * 6, 3)
    assert torch.equal(row.reshape(2, 3, 2, 3)[0, :, 0, 1], at_places[1])
    assert torch.equal(layout.of_places(at_places), row)


def test_a_recipes_latent_is_a_vector_unless_it_says_map() -> None:
    vector = LatentLayout.of(recipe_of(network={"latent": "vector"}))
    assert (vector.is_map, vector.size, vector.stride, vector.block_chw) == (False, 5, None, (1, 32, 44))
    layout = LatentLayout.of(recipe_of())
    assert (layout.grid_hw, layout.size, layout.stride) == ((4, 6), 5 * 24, 8)


def test_the_pca_of_blocks_reconstructs_as_numpy_does() -> None:
    x = np.random.default_rng(0).normal(size=(20, 2, 7, 9)).cumsum(3).astype(np.float32)
    layout = layout_of((2, 7, 9), size=4)
    path, pca = PcaPath(layout), BlockPcas(x, np.arange(20), 2).pca(4)
    deviations = path.set(pca)
    assert deviations.shape == (layout.size,)
    latents = path.encode(torch.from_numpy(x))
    assert latents.shape == (20, layout.size)
    left = x - path.decode(latents).numpy()
    np.testing.assert_allclose(left, block_residuals(x, pca, 4, 2), atol=0.1)


@pytest.mark.parametrize("size_hw", [(32, 32), (33, 47), (28, 60)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("stride", [2, 4, 16])
def test_networks_of_maps_take_every_size(size_hw: tuple[int, int], channels: int, stride: int) -> None:
    pyramid = Pyramid(size_hw, channels, 4, stride)
    layout = layout_of((channels, *size_hw), stride=stride)
    latent = torch.randn(2, layout.size)
    image = Generator(pyramid, layout).eval()(latent)
    assert image.shape == (2, channels, *size_hw)
    assert Encoder(pyramid, layout)(image).shape == latent.shape
    features = Features(pyramid, None, batch_norm=True)(image)
    assert Head(pyramid, None, batch_norm=True)(features).shape == (2,)
    pairs = pyramid_pairs(pyramid, layout, dropout=0.0)
    assert PairHead(of_maps=True)(pairs(image, latent)).shape == (2,)


def changed(network: torch.nn.Module, given: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor:
    """Return where the network's output changes with one number of its input."""
    other = given.clone()
    other[at] += 3
    with torch.no_grad():
        return (network.eval()(given) - network(other)).abs()[0] > 1e-6


def test_each_place_knows_only_what_is_near() -> None:
    pyramid, layout = Pyramid((64, 64), 1, 4, 4), layout_of((1, 64, 64), stride=4)
    torch.manual_seed(0)
    touched = changed(Generator(pyramid, layout), torch.randn(1, layout.size), (0, 3 * 16 + 3))
    rows = torch.nonzero(touched.flatten(0, 1).any(1)).flatten()
    assert len(touched.nonzero()) > 0
    assert rows.max() - rows.min() < 24
    told = changed(Encoder(pyramid, layout), torch.randn(1, 1, 64, 64), (0, 0, 30, 30)).reshape(3, 16, 16)
    near = torch.nonzero(told.any(0))
    assert len(near)
    assert (near - 7).abs().max() <= 3


def test_what_a_map_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"linear_path joins every pixel .* map of latents cannot have"):
        recipe_of(network={"linear_path": True})
    with pytest.raises(ConfigError, match="mnist' has latents that are vectors"):
        recipe_of("egbad", size_hw=(28, 28), network={"layout": "mnist"})
    with pytest.raises(ConfigError, match=r"latent_stride 16, which needs images of at least 32x32, not 28x40"):
        recipe_of(size_hw=(28, 40), network={"latent_stride": 16})
    with pytest.raises(ConfigError, match=r"feature maps of at least 16x16, not 8x8; lower the stride"):
        recipe_of(size_hw=(64, 64), network={"latent_stride": 8}, backbone={})
    with pytest.raises(ConfigError, match=r"blocks of at most 4096 values; 64 channels and network.latent_stride 16"):
        recipe_of(size_hw=(512, 512), network={"latent_stride": 16}, backbone={})
    with pytest.raises(ConfigError, match=r"latent_size 128 at each of 16384 places, which makes 2097152 numbers"):
        recipe_of(size_hw=(512, 512), network={"latent_stride": 4, "latent_size": 128})


def test_a_map_that_may_be_chosen_must_be_possible() -> None:
    choice = {"choice": {"latents": ["vector", "map"]}, "score": {"search": "weighed_residual", "encoder": "fanogan"}}
    with pytest.raises(ConfigError, match=r"feature maps of at least 16x16, not 8x8"):
        recipe_of(size_hw=(64, 64), network={"latent": "vector", "latent_stride": 8}, backbone={}, **choice)
