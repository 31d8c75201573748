import numpy as np

from ganspect.runtime.verification.straddling import straddling_images

TILES = np.full((6, 24, 24, 1), 120, np.uint8)


def difference(tiles: np.ndarray) -> np.ndarray:
    """Return how far tiles are from the normal ones, a stand-in for a score."""
    return np.abs(tiles.astype(np.float32) - 120).mean((1, 2, 3))


def test_scores_lie_on_both_sides_and_within_reach():
    random = np.random.default_rng(0)
    images, scores = straddling_images(TILES, difference, threshold=2.0, reach=0.5, random=random)
    assert len(images) == len(scores) > 20
    assert np.abs(scores - 2.0).max() <= 0.5
    assert (scores <= 2.0).any()
    assert (scores > 2.0).any()
    np.testing.assert_array_equal(difference(images), scores)
    assert images.dtype == np.uint8


def test_where_no_blob_reaches_the_threshold_there_are_none():
    random = np.random.default_rng(0)
    images, scores = straddling_images(TILES, difference, threshold=1e6, reach=1.0, random=random)
    assert len(images) == len(scores) == 0


def test_the_same_seed_gives_the_same_images():
    first, _ = straddling_images(TILES, difference, threshold=2.0, reach=0.5, random=np.random.default_rng(3))
    again, _ = straddling_images(TILES, difference, threshold=2.0, reach=0.5, random=np.random.default_rng(3))
    np.testing.assert_array_equal(first, again)
