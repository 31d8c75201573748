import numpy as np
import pytest
from sklearn.decomposition import PCA

from ganspect.runtime.evaluation import baselines
from ganspect.runtime.evaluation.baselines import brighter_is_anomalous, mean_intensity, pca_scores


def images(count: int, seed: int, shape: tuple[int, int, int] = (12, 10, 1)) -> np.ndarray:
    """Return noise around a subspace of three pictures, (count, *shape) uint8; the pictures are always the same."""
    pictures = np.random.default_rng(99).normal(0, 30, (3, *shape))
    random = np.random.default_rng(seed)
    mixed = np.tensordot(random.normal(0, 1, (count, 3)), pictures, 1)
    return np.clip(128 + mixed + random.normal(0, 3, (count, *shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_pca_scores_are_those_of_the_residual_in_the_image_scale(channels: int) -> None:
    normal, test = images(40, 0, (12, 10, channels)), images(7, 1, (12, 10, channels))
    (scores,) = pca_scores(normal, test, 5)
    pca = PCA(5, svd_solver="full").fit(normal.reshape(40, -1) / 255)
    rows = test.reshape(7, -1) / 255
    residual = abs(rows - pca.inverse_transform(pca.transform(rows))).reshape(7, 12, 10, channels).mean(3)
    np.testing.assert_allclose(scores.mean, residual.reshape(7, -1).mean(1), rtol=1e-4)
    np.testing.assert_allclose(scores.worst, residual.reshape(7, -1).max(1), rtol=1e-4)
    assert (scores.components, scores.images) == (5, 40)


def test_pca_finds_what_the_normal_images_never_show() -> None:
    test = images(20, 2)
    test[10:, 4:6, 4:6] = 255
    (scores,) = pca_scores(images(60, 0), test, 3)
    assert scores.worst[10:].min() > scores.worst[:10].max()


def test_each_size_has_the_scores_of_its_own_pca() -> None:
    normal, test = images(40, 0), images(7, 1)
    both = pca_scores(normal, test, 3, 20)
    assert [scores.components for scores in both] == [3, 20]
    for scores in both:
        (alone,) = pca_scores(normal, test, scores.components)
        np.testing.assert_allclose(scores.mean, alone.mean, rtol=1e-4)
    assert (both[0].mean > both[1].mean).all()


def test_few_images_leave_fewer_components() -> None:
    assert pca_scores(images(5, 0), images(3, 1), 256)[0].components == 4


def test_many_images_are_thinned_to_what_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_LARGEST_VALUES", 120 * 30)
    assert pca_scores(images(90, 0), images(3, 1), 4)[0].images == 30


def test_mean_intensity_and_its_direction() -> None:
    intensity = mean_intensity(np.stack([np.full((4, 4, 1), value, np.uint8) for value in (10, 20, 200, 210)]))
    np.testing.assert_array_equal(intensity, [10, 20, 200, 210])
    assert brighter_is_anomalous(intensity, np.array([0, 0, 1, 1]))
    assert not brighter_is_anomalous(intensity, np.array([1, 1, 0, 0]))
