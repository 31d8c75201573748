"""PCAs of blocks: those of all blocks wherever they lie, put together to maps, and never fitted to what they judge."""

from typing import Any

import numpy as np
import pytest

from ganspect.block_pca import LARGEST_BLOCK, BlockPcas, block_residuals, blocks_of, maps_of, pcas_of
from ganspect.errors import ConfigError
from ganspect.pca import Gram, Pca

Maps = np.ndarray[Any, np.dtype[np.float32]]


def maps(count: int, shape: tuple[int, int, int] = (3, 6, 8), seed: int = 0) -> Maps:
    """Return random maps whose blocks of 2x2 places are mixtures of three patterns, and a little noise."""
    random, (channels, height, width) = np.random.default_rng(seed), shape
    patterns = np.random.default_rng(9).normal(size=(3, channels * 4)) * np.array([[4.0], [2.0], [1.0]])
    places = -(-height // 2) * -(-width // 2)
    blocks = random.normal(size=(count * places, 3)) @ patterns + random.normal(0, 0.05, (count * places, channels * 4))
    return maps_of((blocks + 1).astype(np.float32), shape, 2)


@pytest.mark.parametrize("shape", [(3, 6, 8), (2, 5, 7), (1, 4, 4)])
@pytest.mark.parametrize("stride", [2, 4])
def test_blocks_go_there_and_back(shape: tuple[int, int, int], stride: int) -> None:
    given = maps(5, shape)
    blocks = blocks_of(given, stride)
    places = -(-shape[1] // stride) * -(-shape[2] // stride)
    assert blocks.shape == (5 * places, shape[0] * stride**2)
    np.testing.assert_array_equal(maps_of(blocks, shape, stride), given)


def test_beyond_its_edge_a_map_goes_on_as_at_the_edge() -> None:
    given = np.arange(15, dtype=np.float32).reshape(1, 1, 3, 5)
    last = blocks_of(given, 2)[-1]
    assert last.tolist() == [14, 14, 14, 14]


def test_the_pca_is_that_of_all_blocks() -> None:
    given = maps(40)
    rows = blocks_of(given, 2)
    pca = BlockPcas(given, np.arange(40), 2).pca(3)
    np.testing.assert_allclose(pca.mean, rows.mean(0), atol=1e-4)
    expected = Gram(rows).pca(3)
    np.testing.assert_allclose(pca.deviations, expected.deviations, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(pca.components * expected.components, 1)), 1, atol=1e-4)


def test_what_three_patterns_span_leaves_only_noise() -> None:
    given = maps(40)
    pca = BlockPcas(given, np.arange(40), 2).pca(3)
    left = block_residuals(maps(7, seed=5), pca, 3, 2)
    assert left.shape == (7, 3, 6, 8)
    assert left.std() == pytest.approx(0.05, rel=0.2)
    assert block_residuals(maps(7, seed=5), pca, 1, 2).std() > 10 * left.std()


def test_folds_are_judged_by_pcas_that_have_not_seen_them() -> None:
    given, groups = maps(12), np.tile(np.arange(6), 2)
    for fold in BlockPcas(given, groups, 2).folds(2):
        others = np.setdiff1d(np.arange(12), fold.left_out)
        assert not set(groups[fold.left_out]) & set(groups[others])
        own = BlockPcas(given[others], groups[others], 2).pca(2)
        expected = block_residuals(given[fold.left_out], own, 2, 2)
        np.testing.assert_allclose(fold.residuals(fold.left_out, 2), expected, atol=1e-3)


def test_other_maps_leave_the_same_residuals() -> None:
    pcas, new = BlockPcas(maps(12), np.arange(12), 2), maps(4, seed=3)
    fold = next(iter(pcas.folds(2)))
    found = fold.residuals_of(pcas.others(new), np.array([2, 0]), 2)
    both = BlockPcas(np.concatenate([maps(12), new]), np.concatenate([np.arange(12), np.zeros(4, np.int64)]), 2)
    assert both.maps.shape[0] == 16
    left_out = fold.left_out
    own = BlockPcas(np.delete(maps(12), left_out, 0), np.arange(12 - len(left_out)), 2).pca(2)
    np.testing.assert_allclose(found, block_residuals(new[[2, 0]], own, 2, 2), atol=1e-3)


def test_one_image_leaves_what_its_own_blocks_leave() -> None:
    (fold,) = BlockPcas(maps(1), np.zeros(1, np.int64), 2).folds(3)
    assert np.isfinite(fold.residuals(np.array([0]), 3)).all()


def test_maps_without_contrast_have_no_components() -> None:
    pca: Pca = BlockPcas(np.full((3, 2, 4, 4), 0.5, np.float32), np.arange(3), 2).pca(4)
    assert len(pca.deviations) == 0
    np.testing.assert_allclose(pca.mean, 0.5)


def test_a_stride_makes_it_blocks_and_none_whole_maps() -> None:
    assert isinstance(pcas_of(maps(4), np.arange(4), 2), BlockPcas)
    assert isinstance(pcas_of(maps(4), np.arange(4), None), Gram)


def test_blocks_that_are_too_large_are_refused() -> None:
    channels = LARGEST_BLOCK // 64 + 1
    with pytest.raises(ConfigError, match=r"at most 4096 values; 65 channels and network\.latent_stride 8 make"):
        BlockPcas(np.zeros((1, channels, 8, 8), np.float32), np.arange(1), 8)
