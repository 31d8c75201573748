import numpy as np
import pytest

from ganspect.records import Threshold
from ganspect.runtime.evaluation.operating_point import chance_of_false_alarms, operating_point, wilson_interval


def threshold(value: float = 0.5, n: int = 99, k: int = 99) -> Threshold:
    return Threshold(value=value, n=n, k=k, false_alarm_rate=0.01, upper_limit_95=0.0298)


def test_at_the_threshold_is_normal_and_not_a_number_is_anomalous() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    point = operating_point(np.array([0.5, 0.4, np.nan, 0.6, 0.5]), labels, threshold())
    assert (point.false_alarms, point.detections) == (1, 1)
    assert point.fpr == pytest.approx(1 / 3)
    assert point.tpr == pytest.approx(1 / 2)
    assert point.f1 == pytest.approx(2 * 1 / (2 + 2))
    assert (point.n_normal, point.n_anomalous) == (3, 2)


def test_wilson_interval_of_the_literature() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        share, lower, upper = wilson_interval(hits, trials)
        assert share == hits / trials
        assert lower == pytest.approx(low, abs=1e-4)
        assert upper == pytest.approx(high, abs=1e-4)
    assert wilson_interval(20, 20)[2] == 1


def test_missing_class_leaves_its_rate_open() -> None:
    normal = operating_point(np.array([0.1, 0.9]), np.array([0, 0]), threshold())
    assert (normal.fpr, normal.tpr, normal.f1) == (0.5, None, None)
    anomalous = operating_point(np.array([0.1, 0.9]), np.array([1, 1]), threshold())
    assert (anomalous.fpr, anomalous.tpr, anomalous.promise_kept) == (None, 0.5, None)


def test_chance_of_false_alarms_is_that_of_drawn_calibrations() -> None:
    random = np.random.default_rng(0)
    normal = random.random((20_000, 40 + 60))
    limits = np.sort(normal[:, :40], axis=1)[:, 38 - 1]
    alarms = (normal[:, 40:] > limits[:, None]).sum(1)
    for count in (0, 3, 6, 12):
        expected = (alarms >= count).mean()
        assert chance_of_false_alarms(count, 60, threshold(n=40, k=38)) == pytest.approx(expected, abs=0.01)


def test_promise_is_broken_only_when_so_many_alarms_are_unlikely() -> None:
    labels = np.zeros(100, np.int64)
    assert operating_point(np.r_[np.ones(2), np.zeros(98)], labels, threshold()).promise_kept is True
    assert operating_point(np.r_[np.ones(15), np.zeros(85)], labels, threshold()).promise_kept is False
