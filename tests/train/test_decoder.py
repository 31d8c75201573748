"""From feature maps to pictures of the part, for people to look at."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ganspect.config import Recipe
from ganspect.train.decoder import Decoder
from ganspect.train.systems import parse_recipe

GRID = 8


def recipe_of(size_hw: tuple[int, int] = (64, 64), colours: int = 1, channels: int = 6) -> Recipe:
    content: dict[str, Any] = {
        "system": "fanogan",
        "image": {"size_hw": size_hw, "channels": colours},
        "backbone": {"layers": [0], "stride": 8, "channels": channels},
    }
    return parse_recipe(content, Path("a.yaml"))


def smooth_images(count: int, recipe: Recipe, seed: int = 0) -> Tensor:
    """Return images without any detail smaller than a block."""
    shape = (count, recipe.image.channels, 4, 4)
    rough = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
    return functional.interpolate(rough, recipe.image.size_hw, mode="bicubic", align_corners=True).clamp(-1, 1)


def seen(images: Tensor, recipe: Recipe) -> Tensor:
    """Return maps of images: random mixtures of each block's mean and slopes, at the image's edge as beyond it."""
    height, width = (-(-side // 8) * 8 for side in recipe.image.size_hw)
    images = functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]), mode="replicate")
    blocks = functional.pixel_unshuffle(images, 8)
    assert recipe.backbone is not None
    mixing = torch.randn(recipe.backbone.channels, blocks.shape[1], generator=torch.Generator().manual_seed(2)) / 8
    return torch.einsum("kb,nbhw->nkhw", mixing, blocks)


def error_of(recipe: Recipe) -> float:
    """Return the mean error on images that it was not fitted on, as a share of how much these vary."""
    images, others = smooth_images(30, recipe), smooth_images(10, recipe, seed=1)
    decoder = Decoder(recipe)
    decoder.fit(seen(images, recipe), images)
    pictures = decoder(seen(others, recipe))
    assert pictures.shape == others.shape
    return float((pictures - others).abs().mean() / (others - images.mean()).abs().mean())


@pytest.mark.parametrize(
    "recipe", [recipe_of(), recipe_of((61, 75)), recipe_of((64, 72), 3, 12)], ids=["grey", "odd", "rgb"]
)
def test_smooth_images_are_shown_roughly_as_they_are(recipe: Recipe) -> None:
    assert error_of(recipe) < 0.15


def test_it_begins_with_nothing_and_is_not_trained() -> None:
    decoder = Decoder(recipe_of())
    assert not decoder(torch.randn(2, 6, GRID, GRID)).any()
    assert not any(parameter.requires_grad for parameter in decoder.parameters())


def test_the_images_brightness_is_not_shrunk_with_their_detail() -> None:
    recipe = recipe_of()
    images = smooth_images(30, recipe) / 4
    x = seen(images, recipe)
    dark, bright = Decoder(recipe), Decoder(recipe)
    dark.fit(x, images - 0.5)
    bright.fit(x, images + 0.5)
    torch.testing.assert_close(bright(x), dark(x) + 1)


def test_pixels_that_lie_beyond_the_last_whole_block_are_cut_off() -> None:
    """What a place shows does not depend on where the image ends."""
    whole, cropped = Decoder(recipe_of((64, 64))), Decoder(recipe_of((61, 59)))
    images = smooth_images(20, recipe_of())
    x = seen(images, recipe_of())
    whole.fit(x, images)
    cropped.load_state_dict(whole.state_dict())
    assert torch.equal(cropped(x), whole(x)[:, :, :61, :59])


def test_no_more_places_are_fitted_on_than_a_second_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of()
    images = smooth_images(30, recipe)
    x = seen(images, recipe)
    few, whole = Decoder(recipe), Decoder(recipe)
    whole.fit(x[:5], images[:5])
    monkeypatch.setattr("ganspect.train.decoder._PLACES_AT_MOST", 5 * GRID * GRID + 1)
    few.fit(x, images)
    assert torch.equal(few.blocks.weight, whole.blocks.weight)
