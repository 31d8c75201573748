import numpy as np
import pytest
import torch
from torch import Tensor

from ganspect.config import DataSettings
from ganspect.train.batches import Batches
from ganspect.train.seeds import random_for


def marked(count: int, size_hw: tuple[int, int] = (28, 28)) -> list[np.ndarray]:
    """Images whose grey value is their index."""
    return [np.full((*size_hw, 1), index, np.uint8) for index in range(count)]


def gradient(size_hw: tuple[int, int] = (40, 50)) -> np.ndarray:
    """An image whose value tells row (tens) and column (ones), at steps of ten."""
    return (np.arange(size_hw[0])[:, None] // 10 * 10 + np.arange(size_hw[1]) // 10)[..., None].astype(np.uint8)


def indices(images: Tensor) -> list[int]:
    return [round(value) for value in ((images[:, 0, 0, 0] + 1) * 127.5).tolist()]


def take(batches: Batches, first: int, count: int, seed: int = 0) -> Tensor:
    return batches.take("gan", first, count, random_for(seed, "gan", first))


def test_each_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    batches = Batches(marked(31), (28, 28), DataSettings(), seed=0)
    order = indices(take(batches, 0, 93))
    epochs = [order[:31], order[31:62], order[62:]]
    assert all(sorted(epoch) == list(range(31)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_starts_anywhere_and_may_be_larger_than_the_data_set() -> None:
    batches = Batches(marked(10), (28, 28), DataSettings(), seed=0)
    assert indices(take(batches, 0, 64))[23:37] == indices(take(batches, 23, 14))


def test_the_order_depends_on_seed_and_stage() -> None:
    one, other = (Batches(marked(30), (28, 28), DataSettings(), seed=seed) for seed in (0, 1))
    random = random_for(0)
    assert indices(take(one, 0, 30)) != indices(take(other, 0, 30))
    assert indices(one.take("gan", 0, 30, random)) != indices(one.take("encoder", 0, 30, random))


def test_values_are_in_unit_range_and_rgb_keeps_its_order() -> None:
    image = np.zeros((28, 28, 3), np.uint8)
    image[..., 0] = 255
    batch = take(Batches([image], (28, 28), DataSettings(), seed=0), 0, 2)
    assert batch.shape == (2, 3, 28, 28)
    assert batch[:, 0].unique().tolist() == [1.0]
    assert batch[:, 2].unique().tolist() == [-1.0]


def test_flips_show_all_four_views_and_no_other() -> None:
    image = np.zeros((28, 28, 1), np.uint8)
    image[0, 0] = 255
    settings = DataSettings(flips=("horizontal", "vertical"))
    bright = [place[2:] for place in (take(Batches([image], (28, 28), settings, seed=0), 0, 64) > 0).nonzero().tolist()]
    assert {tuple(place) for place in bright} == {(0, 0), (0, 27), (27, 0), (27, 27)}


def test_shifts_repeat_the_edge() -> None:
    image = np.full((28, 28, 1), 200, np.uint8)
    image[:, 14:] = 100
    batch = take(Batches([image], (28, 28), DataSettings(shift_px=3), seed=0), 0, 64)
    assert {round(value) for value in ((batch + 1) * 127.5).unique().tolist()} == {100, 200}
    widths = {int(row.sum()) for row in (batch[:, 0, 0] > 0.2).int()}
    assert widths == set(range(11, 18))


def test_patches_come_from_all_over_each_image() -> None:
    settings = DataSettings(patches_per_image=5)
    batches = Batches([gradient(), gradient((28, 28))], (28, 28), settings, seed=0)
    assert batches.epoch_length == 10
    corners = {round(value) for value in ((take(batches, 0, 200)[:, 0, 0, 0] + 1) * 127.5).tolist()}
    assert corners == {0, 1, 2, 10, 11, 12}


def test_gain_changes_the_brightness_about_the_image_and_never_beyond_white() -> None:
    batch = take(Batches([np.full((28, 28, 1), 200, np.uint8)], (28, 28), DataSettings(gain=0.5), seed=0), 0, 64)
    values = (batch[:, 0, 0, 0] + 1) * 127.5
    assert values.min().item() == pytest.approx(100, abs=10)
    assert values.max().item() == pytest.approx(255)


def test_plain_images_are_unchanged_and_each_comes_once() -> None:
    settings = DataSettings(flips=("horizontal",), shift_px=4, gain=0.5)
    batches = Batches(marked(12), (28, 28), settings, seed=0)
    assert sorted(indices(batches.plain(100))) == list(range(12))
    assert torch.equal(batches.plain(5), batches.plain(5))
    assert len(batches.plain(5)) == 5
