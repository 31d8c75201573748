"""PCAs of few images with many values, residuals of images that they were not fitted on, and how these are weighed."""

from itertools import chain
from typing import Any

import numpy as np
import pytest

from ganspect import pca
from ganspect.pca import (
    FLOOR,
    FOLDS,
    Gram,
    Maps,
    Rows,
    Scatter,
    cross_fitted_weights,
    means_of_three,
    squared_lengths,
    weights_of,
    whitener,
)
from ganspect.records import Weighing

SHAPE = (5, 4, 3)
"""Channels and places of a row."""
VALUES = 5 * 4 * 3


def rows_of(count: int, seed: int = 0, values: int = VALUES, offset: float = 3.0) -> Rows:
    """Return rows with some strong directions, noise, and a mean far from zero."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(99).normal(size=(6, values)) * np.geomspace(4, 0.5, 6)[:, None]
    return (offset + random.normal(size=(count, 6)) @ directions + random.normal(size=(count, values))).astype("f4")


def correlated(count: int, seed: int = 0, places: int = 6) -> tuple[Maps, Any]:
    """Return residuals (N,3,1,P), whose channels vary together in another way at each place, and their covariances."""
    random = np.random.default_rng(7)
    mixing = random.normal(size=(places, 3, 3)) * random.uniform(0.5, 3, (places, 1, 1))
    noise = np.random.default_rng(seed).normal(size=(count, places, 3))
    residuals = np.einsum("pcd,npd->ncp", mixing, noise)[:, :, None]
    return residuals.astype(np.float32), mixing @ mixing.transpose(0, 2, 1)


def direct_residuals(fitted: Rows, rows: Rows, size: int) -> Any:
    """Return what the PCA of `fitted`, by NumPy's SVD, leaves of rows."""
    mean = fitted.mean(0, dtype=np.float64)
    axes = np.linalg.svd(fitted - mean, full_matrices=False)[2][: min(size, len(fitted) - 1)]
    centred = rows - mean
    return centred - centred @ axes.T @ axes


@pytest.mark.parametrize(("count", "most"), [(40, 10), (12, 30), (90, 200)])
def test_a_pca_is_numpys_singular_value_decomposition(count: int, most: int) -> None:
    rows = rows_of(count)
    found = Gram(rows).pca(most)
    _, values, axes = np.linalg.svd(rows - rows.mean(0, dtype=np.float64), full_matrices=False)
    kept = min(most, count - 1, VALUES)
    assert found.components.shape == (kept, VALUES)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.deviations, values[:kept] / np.sqrt(count), rtol=1e-4)
    np.testing.assert_allclose(abs((found.components * axes[:kept]).sum(1)), 1, atol=1e-4)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(kept), atol=1e-4)


def test_an_offset_that_all_rows_share_costs_no_digits() -> None:
    near, far = (Gram(rows_of(20, offset=offset)).pca(5) for offset in (0.0, 3000.0))
    np.testing.assert_allclose(far.deviations, near.deviations, rtol=1e-3)
    np.testing.assert_allclose(abs((far.components * near.components).sum(1)), 1, atol=1e-3)


@pytest.mark.parametrize("size", [0, 1, 4, 50])
def test_a_folds_residuals_are_those_of_a_pca_of_the_other_rows(size: int) -> None:
    rows = rows_of(23)
    folds = list(Gram(rows).folds(size))
    assert len(folds) == FOLDS
    assert sorted(chain(*(fold.left_out.tolist() for fold in folds))) == list(range(23))
    for fold in folds:
        others = np.setdiff1d(np.arange(23), fold.left_out)
        expected = direct_residuals(rows[others], rows[fold.left_out], size)
        np.testing.assert_allclose(fold.residuals(fold.left_out, size), expected, atol=2e-4)


def test_one_pca_of_a_fold_serves_all_smaller_sizes() -> None:
    rows = rows_of(23)
    fold = next(iter(Gram(rows).folds(20)))
    others = np.setdiff1d(np.arange(23), fold.left_out)
    for size in (0, 3, 11):
        expected = direct_residuals(rows[others], rows[fold.left_out], size)
        np.testing.assert_allclose(fold.residuals(fold.left_out, size), expected, atol=2e-4)


@pytest.mark.parametrize("size", [0, 3])
def test_rows_that_are_not_among_the_grams_leave_the_same_residuals(size: int) -> None:
    gram, others = Gram(rows_of(20)), rows_of(7, seed=5)
    fold = next(iter(gram.folds(8)))
    kept = np.setdiff1d(np.arange(20), fold.left_out)
    found = fold.residuals_of(gram.others(others), np.arange(7), size)
    np.testing.assert_allclose(found, direct_residuals(gram.rows[kept], others, size), atol=2e-4)
    of_own = fold.residuals_of(gram.others(gram.rows), np.arange(20), size)
    np.testing.assert_allclose(of_own, fold.residuals(np.arange(20), size), atol=1e-4)


def test_mirror_images_of_an_image_stay_in_its_fold() -> None:
    groups = np.array([7, 3, 9, 1, 4, 8] * 3)
    for fold in Gram(rows_of(18), groups).folds(2):
        left_out = set(groups[fold.left_out])
        assert not left_out & set(np.delete(groups, fold.left_out))
        assert len(fold.left_out) == 3 * len(left_out)


def test_two_images_leave_each_other_and_one_leaves_nothing_of_itself() -> None:
    first, second = rows = rows_of(2)
    left = [fold.residuals(fold.left_out, 3)[0] for fold in Gram(rows).folds(3)]
    np.testing.assert_allclose(left, [first - second, second - first], atol=1e-5)
    (alone,) = Gram(rows[:1]).folds(3)
    np.testing.assert_allclose(alone.residuals(alone.left_out, 3), 0, atol=1e-5)
    assert Gram(rows[:1]).pca(3).components.shape == (0, VALUES)


def test_scatters_add_up_and_can_be_taken_apart() -> None:
    residuals, _ = correlated(30)
    whole, first, rest = (Scatter.of(part) for part in (residuals, residuals[:11], residuals[11:]))
    for one, other in ((first + rest, whole), (whole - first, rest), (Scatter.sum([first, rest]), whole)):
        assert one.count == other.count
        np.testing.assert_allclose(one.products, other.products, rtol=1e-4, atol=1e-4)
    places = residuals[:, :, 0].transpose(2, 0, 1)
    np.testing.assert_allclose(whole.products, places.transpose(0, 2, 1) @ places, rtol=1e-4)


def test_blocks_of_places_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    residuals, _ = correlated(30)
    whole = Scatter.of(residuals).products
    monkeypatch.setattr(pca, "_PLACES_AT_ONCE", 4)
    np.testing.assert_allclose(Scatter.of(residuals).products, whole, rtol=1e-5)


def covariances_of(weights: Maps | None) -> Any:
    """Return the covariances that weights stand for."""
    assert weights is not None
    assert weights.dtype == np.float32
    doubles = weights.astype(np.float64)
    return np.linalg.inv(doubles @ doubles.transpose(0, 2, 1))


def test_weights_stand_for_the_covariance_of_each_place_or_of_all_with_a_floor() -> None:
    residuals, _ = correlated(30)
    scatter, floor = Scatter.of(residuals), FLOOR * 2.5 * np.eye(3)
    rows = residuals[:, :, 0].transpose(2, 0, 1)
    own = rows.transpose(0, 2, 1) @ rows / 30
    of_places, of_all = (covariances_of(weights_of(scatter, weighing, 2.5)) for weighing in ("place", "pooled"))
    np.testing.assert_allclose(of_places, own + floor, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(of_all, own.mean(0, keepdims=True) + floor, rtol=1e-3, atol=1e-3)


def test_with_many_images_weights_stand_for_the_true_covariances() -> None:
    residuals, true = correlated(20_000)
    np.testing.assert_allclose(
        covariances_of(weights_of(Scatter.of(residuals), "place", 0.01)), true, atol=0.03 * true.max()
    )


@pytest.mark.parametrize("weighing", ["place", "pooled"])
def test_fewer_images_than_channels_still_give_weights(weighing: Weighing) -> None:
    rows = rows_of(4, values=20 * 6)
    weights = cross_fitted_weights(Gram(rows.reshape(-1, 20, 3, 2)), 2, weighing)
    assert weights is not None
    assert weights.shape == ((6 if weighing == "place" else 1), 20, 20)
    assert np.isfinite(squared_lengths(rows.reshape(4, 20, 3, 2), weights)).all()


def test_a_place_that_never_varied_does_not_shout() -> None:
    residuals, _ = correlated(50)
    residuals[..., 2] = 0
    variance = float(residuals.var())
    weights = weights_of(Scatter.of(residuals), "place", variance)
    speck = np.zeros((1, 3, 1, 6), np.float32)
    speck[..., 2] = 0.1 * np.sqrt(variance)
    assert squared_lengths(speck, weights).max() == pytest.approx(0.01 / FLOOR, rel=1e-3)


def test_the_variance_that_the_floor_is_measured_by_is_that_of_all_values() -> None:
    rows = rows_of(9)
    assert Gram(rows).variance == pytest.approx(np.square(rows - rows.mean(dtype=np.float64)).mean(), rel=1e-5)


@pytest.mark.parametrize("count", [1, 6])
def test_images_without_contrast_give_finite_weights(count: int) -> None:
    weights = cross_fitted_weights(Gram(np.full((count, *SHAPE), -1, np.float32)), 2, "place")
    assert weights is not None
    assert np.isfinite(weights).all()


def test_the_whitener_times_its_transpose_is_the_inverse() -> None:
    _, covariances = correlated(1)
    weights = whitener(covariances).astype(np.float64)
    np.testing.assert_allclose(weights @ weights.transpose(0, 2, 1), np.linalg.inv(covariances), rtol=1e-3, atol=1e-6)
    assert whitener(covariances).dtype == np.float32


@pytest.mark.parametrize("places", [6, 1], ids=["of places", "pooled"])
def test_weighed_lengths_are_mahalanobis_distances(places: int) -> None:
    residuals, covariances = correlated(9)
    inverses = np.linalg.inv(covariances[:places])
    found = squared_lengths(residuals, whitener(covariances[:places]))
    for place in range(6):
        row = residuals[:, :, 0, place].astype(np.float64)
        expected = np.einsum("nc,cd,nd->n", row, inverses[place % places], row) / 3
        np.testing.assert_allclose(found[:, 0, place], expected, rtol=1e-3)


def test_plain_lengths_are_means_of_squares() -> None:
    residuals = rows_of(4).reshape(-1, *SHAPE)
    np.testing.assert_allclose(squared_lengths(residuals, None), np.square(residuals).mean(1), rtol=1e-6)
    assert weights_of(Scatter.of(residuals), "plain", 1.0) is None
    assert cross_fitted_weights(Gram(rows_of(9)), 2, "plain") is None


def test_rows_and_columns_of_places_keep_their_order() -> None:
    """A residual at one place counts there, with that place's weights."""
    covariances = np.arange(1.0, 13)[:, None, None] * np.eye(5)
    residuals = np.zeros((1, *SHAPE), np.float32)
    residuals[0, :, 2, 1] = 1
    found = squared_lengths(residuals, whitener(covariances))
    assert np.argwhere(found > 0).tolist() == [[0, 2, 1]]
    assert found[0, 2, 1] == pytest.approx(1 / 8, rel=1e-3)  # the eighth place, row by row


def test_means_of_three_take_what_there_is_at_the_edge() -> None:
    maps = rows_of(2).reshape(-1, 4, 3)[:2]
    found = means_of_three(maps)
    for y in range(4):
        for x in range(3):
            near = maps[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            np.testing.assert_allclose(found[:, y, x], near.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(means_of_three(np.full((1, 5, 1), 7, np.float32)), 7)


@pytest.mark.parametrize("weighing", ["place", "pooled"])
def test_weights_come_from_images_that_the_pca_has_not_seen(weighing: Weighing) -> None:
    """In-sample residuals are too small: weighed by them, new normal images would look twice as far as they are."""
    gram, new = Gram(rows_of(60)), rows_of(200, seed=8)
    size = 25
    fitted = gram.pca(size)

    def left(rows: Rows) -> Maps:
        centred = rows - fitted.mean
        return np.asarray(centred - centred @ fitted.components.T @ fitted.components).reshape(-1, *SHAPE)

    cross_fitted = cross_fitted_weights(Gram(gram.rows.reshape(-1, *SHAPE)), size, weighing)
    in_sample = weights_of(Scatter.of(left(gram.rows)), weighing, gram.variance)
    far = [float(squared_lengths(left(new), weights).mean()) for weights in (cross_fitted, in_sample)]
    assert 0.6 < far[0] < 1.1
    assert far[1] > 1.5 * far[0]


def test_weights_of_mirrored_images_follow_their_groups() -> None:
    """Copies in other folds would let each PCA see what it is judged on."""
    rows = np.concatenate([rows_of(31)] * 2)
    groups = np.tile(np.arange(31), 2)
    kept, spread = (
        cross_fitted_weights(Gram(rows.reshape(-1, *SHAPE), given), 20, "pooled") for given in (groups, None)
    )
    assert kept is not None
    assert spread is not None
    assert np.abs(spread).mean() > 1.3 * np.abs(kept).mean()
