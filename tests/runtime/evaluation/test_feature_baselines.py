import numpy as np
import pytest

from ganspect.runtime.evaluation import feature_baselines
from ganspect.runtime.evaluation.feature_baselines import FeatureDetector, Padim, PatchCore

FLOAT_BYTES = 4


def maps(count: int, seed: int, channels: int = 8) -> np.ndarray:
    """Return correlated noise around a mean that depends on the place, (count,channels,6,5) float32."""
    fixed = np.random.default_rng(99)
    mixing, mean = fixed.normal(0, 1, (channels, channels)), fixed.normal(0, 1, (channels, 6, 5))
    noise = np.random.default_rng(seed).normal(0, 1, (count, channels, 6, 5))
    return (np.einsum("cd,ndhw->nchw", mixing / channels**0.5, noise) + mean).astype(np.float32)


def fitted(name: str, normal: np.ndarray) -> FeatureDetector:
    return Padim.fit(normal) if name == "padim" else PatchCore.fit(normal, size_bytes=100 * 8 * FLOAT_BYTES)


def direct_patches(images: np.ndarray) -> np.ndarray:
    """Return the mean over each place's neighbourhood, cut off at the edges, (count,6,5,channels)."""
    rows = []
    for image in images.astype(np.float64):
        for y in range(6):
            rows += [image[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean((1, 2)) for x in range(5)]
    return np.array(rows).reshape(len(images), 6, 5, -1)


def from_each(patches: np.ndarray, memory: np.ndarray) -> np.ndarray:
    return np.linalg.norm(patches[..., None, :] - memory.astype(np.float64), axis=-1)


def reweighted(patches: np.ndarray, memory: np.ndarray) -> float:
    """Return equation 7 of PatchCore's paper for one image, term by term."""
    each = from_each(patches.reshape(-1, patches.shape[-1]), memory)
    farthest = each[each.min(1).argmax()]
    nearest, distance = farthest.argmin(), farthest.min()
    neighbours = np.argsort(from_each(memory[nearest], memory))[:9]
    return (1 - np.exp(distance) / np.exp(farthest[neighbours]).sum()) * distance


@pytest.mark.parametrize("images", [40, 5], ids=["more images than channels", "fewer images than channels"])
def test_padim_measures_the_mahalanobis_distance_of_each_place(images: int) -> None:
    normal, test = maps(images, 0).astype(np.float64), maps(7, 1)
    distances = Padim.fit(maps(images, 0)).judge(test).distances
    for y in range(6):
        for x in range(5):
            inverse = np.linalg.inv(np.cov(normal[:, :, y, x].T) + 0.01 * np.eye(8))
            from_mean = test[:, :, y, x] - normal[:, :, y, x].mean(0)
            expected = np.sqrt(np.einsum("nc,cd,nd->n", from_mean, inverse, from_mean))
            np.testing.assert_allclose(distances[:, y, x], expected, rtol=1e-4)


def test_padim_scores_an_image_by_the_largest_smoothed_distance() -> None:
    scores, distances = Padim.fit(maps(40, 0)).judge(maps(7, 1))
    bell = np.exp(-2.0 * np.arange(-2, 3) ** 2.0)
    bell = np.outer(bell, bell) / bell.sum() ** 2
    padded = np.pad(distances.astype(np.float64), ((0, 0), (2, 2), (2, 2)), "edge")
    places = [(padded[:, y : y + 5, x : x + 5] * bell).sum((1, 2)) for y in range(6) for x in range(5)]
    np.testing.assert_allclose(scores, np.max(places, 0), rtol=1e-5)


def test_patchcore_measures_the_distance_to_the_nearest_of_its_memory() -> None:
    detector, test = PatchCore.fit(maps(40, 0), size_bytes=100 * 8 * FLOAT_BYTES), maps(7, 1)
    expected = from_each(direct_patches(test), detector.memory).min(-1)
    np.testing.assert_allclose(detector.judge(test).distances, expected, rtol=1e-4)


@pytest.mark.parametrize("vectors", [100, 5], ids=["more than neighbours", "fewer than neighbours"])
def test_patchcore_reweights_as_in_its_paper(vectors: int) -> None:
    detector, test = PatchCore.fit(maps(40, 0), size_bytes=vectors * 8 * FLOAT_BYTES), maps(7, 1)
    expected = [reweighted(patches, detector.memory) for patches in direct_patches(test)]
    np.testing.assert_allclose(detector.judge(test).scores, expected, rtol=1e-4)


def test_reweighting_stays_finite_where_exponentials_do_not() -> None:
    scores, distances = PatchCore.fit(maps(40, 0), size_bytes=4000).judge(maps(3, 1) * 3000)
    assert np.isfinite(scores).all()
    assert (scores <= distances.max((1, 2)) * 1.0001).all()


def test_one_vector_gives_the_largest_distance_as_score() -> None:
    detector = PatchCore.fit(maps(40, 0), size_bytes=1)
    scores, distances = detector.judge(maps(3, 1))
    assert detector.memory.shape == (1, 8)
    np.testing.assert_allclose(scores, distances.max((1, 2)))


def test_patchcore_remembers_patches_of_the_normal_images() -> None:
    everything = direct_patches(maps(40, 0)).reshape(-1, 8)
    memory = PatchCore.fit(maps(40, 0), size_bytes=100 * 8 * FLOAT_BYTES).memory
    distances = from_each(memory, everything.astype(np.float32))
    assert distances.min(1).max() < 1e-5
    assert len(set(distances.argmin(1))) == 100


@pytest.mark.parametrize("channels", [8, 40], ids=["as they are", "projected"])
def test_the_coreset_covers_better_than_a_random_subset(channels: int) -> None:
    everything = direct_patches(maps(40, 0, channels)).reshape(-1, channels)
    memory = PatchCore.fit(maps(40, 0, channels), size_bytes=100 * channels * FLOAT_BYTES).memory
    subset = everything[np.random.default_rng(0).choice(len(everything), 100, replace=False)]
    assert from_each(everything, memory).min(1).max() < from_each(everything, subset).min(1).max()


@pytest.mark.parametrize("size_bytes", [1000, 3200, 1_000_000])
def test_patchcore_keeps_what_fits_and_no_more_than_a_tenth(size_bytes: int) -> None:
    detector = PatchCore.fit(maps(40, 0), size_bytes=size_bytes)
    assert len(detector.memory) == min(size_bytes // (8 * FLOAT_BYTES), 40 * 6 * 5 // 10)
    assert detector.size_bytes == detector.memory.nbytes <= size_bytes


def test_patchcore_keeps_no_more_than_the_largest_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_baselines, "LARGEST_MEMORY", 20)
    assert len(PatchCore.fit(maps(40, 0), size_bytes=1_000_000).memory) == 20


def test_patches_closer_than_rounding_are_chosen_once_each() -> None:
    memory = PatchCore.fit(maps(10, 0) * 0.01 + 1000, size_bytes=1_000_000).memory
    assert len(np.unique(memory, axis=0)) == len(memory) == 30


def test_thinning_draws_patches_from_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_baselines, "_CANDIDATES", 200)
    monkeypatch.setattr(feature_baselines, "_IMAGES_AT_ONCE", 7)
    normal = maps(40, 0)
    memory = PatchCore.fit(normal, size_bytes=120 * 8 * FLOAT_BYTES).memory
    distances = from_each(memory, direct_patches(normal).reshape(-1, 8))
    assert distances.min(1).max() < 1e-5
    assert len(set(distances.argmin(1) // 30)) > 25


def test_padim_stores_a_mean_and_a_triangle_for_each_place() -> None:
    assert Padim.fit(maps(40, 0)).size_bytes == 6 * 5 * (8 + 36) * FLOAT_BYTES


@pytest.mark.parametrize("name", ["padim", "patchcore"])
class TestBoth:
    @pytest.mark.parametrize("images", [40, 5])
    def test_they_rank_an_outlier_highest_and_show_its_place(self, name: str, images: int) -> None:
        test = maps(9, 1)
        test[4, :, 2:4, 1:3] += 6
        scores, distances = fitted(name, maps(images, 0)).judge(test)
        y, x = np.unravel_index(distances[4].argmax(), (6, 5))
        assert scores.argmax() == distances.max((1, 2)).argmax() == 4
        assert (y, x) in [(2, 1), (2, 2), (3, 1), (3, 2)]

    def test_fitting_twice_judges_the_same(self, name: str) -> None:
        first, second = (fitted(name, maps(40, 0)).judge(maps(7, 1)) for _ in range(2))
        np.testing.assert_array_equal(first.scores, second.scores)
        np.testing.assert_array_equal(first.distances, second.distances)

    def test_blocks_change_nothing(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        detector, test = fitted(name, maps(40, 0)), maps(7, 1)
        whole = detector.judge(test)
        monkeypatch.setattr(feature_baselines, "_IMAGES_AT_ONCE", 3)
        monkeypatch.setattr(feature_baselines, "_PATCHES_AT_ONCE", 13)
        blocks = detector.judge(test)
        np.testing.assert_allclose(blocks.scores, whole.scores, rtol=1e-5)
        np.testing.assert_allclose(blocks.distances, whole.distances, rtol=1e-4)

    def test_shapes_and_types(self, name: str) -> None:
        detector = fitted(name, maps(40, 0))
        scores, distances = detector.judge(maps(7, 1))
        assert (detector.name, scores.shape, distances.shape) == (name, (7,), (7, 6, 5))
        assert (scores.dtype, distances.dtype) == (np.float64, np.float32)


def test_another_seed_chooses_another_memory() -> None:
    first, second = (PatchCore.fit(maps(40, 0), size_bytes=3200, seed=seed).memory for seed in (0, 1))
    assert not np.array_equal(first, second)
