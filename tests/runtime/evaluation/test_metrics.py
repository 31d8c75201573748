import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve

from ganspect.runtime.evaluation.bootstrap import Resampling, stratified_weights
from ganspect.runtime.evaluation.metrics import (
    CURVE_METRICS,
    auroc,
    auroc_difference,
    auroc_interval,
    curves_of,
    image_metrics,
)

RESAMPLING = Resampling(count=300)


@pytest.fixture
def labels() -> np.ndarray:
    return (np.random.default_rng(0).random(211) < 0.4).astype(np.int64)


@pytest.fixture
def scores(labels: np.ndarray) -> np.ndarray:
    """Scores with many ties: one decimal."""
    return np.round(labels + np.random.default_rng(1).normal(0, 1, labels.size), 1)


def test_every_metric_is_sklearns_also_with_ties(scores: np.ndarray, labels: np.ndarray) -> None:
    measured = image_metrics(scores, labels, RESAMPLING)
    assert measured is not None
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    best_f1 = max(f1_score(labels, scores >= threshold) for threshold in np.unique(scores))
    assert measured["auroc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert measured["auprc"].value == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert measured["f1"].value == pytest.approx(best_f1, abs=1e-12)
    assert measured["tpr_at_fpr_1pct"].value == pytest.approx(tpr[fpr <= 0.01].max(), abs=1e-12)


def test_a_weighted_image_counts_as_if_it_were_there_so_often(scores: np.ndarray, labels: np.ndarray) -> None:
    weights = next(stratified_weights(labels, Resampling(count=3, seed=5)))
    curves = curves_of(scores, labels, weights)
    for row, counts in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(labels.size), counts)
        expected = image_metrics(scores[drawn], labels[drawn], Resampling(count=1))
        assert expected is not None
        for name, metric in {"auroc": auroc, **CURVE_METRICS}.items():
            assert metric(curves)[row] == pytest.approx(expected[name].value, abs=1e-12), name


def test_resamples_keep_the_size_of_each_class_and_follow_the_seed(labels: np.ndarray) -> None:
    weights = np.concatenate(list(stratified_weights(labels, RESAMPLING)))
    assert weights.shape == (300, labels.size)
    assert (weights[:, labels == 1].sum(1) == (labels == 1).sum()).all()
    assert (weights[:, labels == 0].sum(1) == (labels == 0).sum()).all()
    np.testing.assert_array_equal(weights, np.concatenate(list(stratified_weights(labels, RESAMPLING))))
    assert (weights != np.concatenate(list(stratified_weights(labels, Resampling(300, seed=1))))).any()


def test_interval_is_as_wide_as_the_bootstrap_of_single_draws(scores: np.ndarray, labels: np.ndarray) -> None:
    interval = auroc_interval(scores, labels, Resampling(count=2000))
    assert interval is not None
    random, drawn = np.random.default_rng(9), []
    for _ in range(400):
        classes = [np.flatnonzero(labels == value) for value in (0, 1)]
        chosen = np.concatenate([random.choice(members, members.size) for members in classes])
        difference = np.subtract.outer(*(scores[chosen][labels[chosen] == value] for value in (1, 0)))
        drawn.append(((difference > 0) + 0.5 * (difference == 0)).mean())
    assert interval.low == pytest.approx(np.percentile(drawn, 2.5), abs=0.015)
    assert interval.high == pytest.approx(np.percentile(drawn, 97.5), abs=0.015)
    assert interval.low < interval.value < interval.high


def test_difference_of_a_system_to_itself_is_nought_with_no_width(scores: np.ndarray, labels: np.ndarray) -> None:
    difference = auroc_difference(scores, scores * 2 + 1, labels, RESAMPLING)
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_paired_difference_is_narrower_than_two_intervals(scores: np.ndarray, labels: np.ndarray) -> None:
    other = scores + np.random.default_rng(2).normal(0, 0.3, labels.size)
    difference = auroc_difference(scores, other, labels, RESAMPLING)
    single = auroc_interval(scores, labels, RESAMPLING)
    assert difference is not None
    assert single is not None
    assert difference.high - difference.low < 0.7 * (single.high - single.low)


def test_a_score_that_is_not_a_number_counts_as_the_highest() -> None:
    labels = np.array([0, 0, 1, 1])
    assert auroc(curves_of(np.array([0.1, 0.2, np.nan, 0.3]), labels))[0] == 1
    assert auroc(curves_of(np.array([0.1, np.nan, 0.3, 0.4]), labels))[0] == 0.5


@pytest.mark.parametrize("value", [0, 1])
def test_one_class_has_no_metrics(value: int) -> None:
    labels, scores = np.full(5, value), np.arange(5.0)
    assert image_metrics(scores, labels, RESAMPLING) is None
    assert auroc_interval(scores, labels, RESAMPLING) is None
    assert auroc_difference(scores, scores, labels, RESAMPLING) is None
