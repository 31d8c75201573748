import math
from fractions import Fraction

import numpy as np
import pytest

from ganspect.errors import CalibrationError
from ganspect.runtime.conformal import (
    conformal_rank,
    conformal_threshold,
    exact_rate,
    least_count,
    smallest_rate,
    upper_limit_95,
)


def test_the_rank_is_exact_where_floats_are_not():
    # In floats 250 * (1 - 0.172) is a hair above 207, and 1000 * (1 - 0.059) above 941.
    assert conformal_rank(249, exact_rate(0.172)) == 207
    assert conformal_rank(999, exact_rate(0.059)) == 941
    assert conformal_rank(99, exact_rate(0.01)) == 99


@pytest.mark.parametrize(("rate", "count"), [(0.01, 99), (0.05, 19), (0.3, 3), (0.9, 1), (0.001, 999)])
def test_the_least_count_is_the_least(rate, count):
    assert least_count(exact_rate(rate)) == count
    assert conformal_rank(count, exact_rate(rate)) <= count
    if count > 1:
        assert conformal_rank(count - 1, exact_rate(rate)) > count - 1


def test_the_threshold_is_the_kth_smallest_score():
    scores = list(np.random.default_rng(0).permutation(200) / 200)
    threshold = conformal_threshold(scores, 0.05)
    assert (threshold.n, threshold.k, threshold.false_alarm_rate) == (200, 191, 0.05)
    assert threshold.value == sorted(scores)[190]


def test_no_rate_takes_1_percent_where_it_is_supported():
    threshold = conformal_threshold(list(range(250)), None)
    assert (threshold.false_alarm_rate, threshold.k) == (0.01, 249)


def test_no_rate_takes_the_smallest_supported_one():
    threshold = conformal_threshold(list(range(30)), None)
    assert (threshold.k, threshold.value) == (30, 29)
    assert threshold.false_alarm_rate == pytest.approx(1 / 31)
    assert smallest_rate(30) == Fraction(1, 31)


def test_too_few_scores_say_how_many_are_needed():
    with pytest.raises(CalibrationError, match=r"0\.01 needs 99 normal frames, 98 were given"):
        conformal_threshold(list(range(98)), 0.01)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        conformal_threshold([1.0, 2.0], rate)


def test_no_scores_are_too_few():
    with pytest.raises(CalibrationError, match="0 were given"):
        conformal_threshold([], None)


def test_nan_counts_as_infinite():
    scores = [math.nan, *range(199)]
    assert conformal_threshold(scores, 0.01).value == 198


def test_an_infinite_threshold_is_refused():
    with pytest.raises(CalibrationError, match="3 of 20 normal frames have no finite score"):
        conformal_threshold([math.nan, math.inf, math.nan, *range(17)], 0.05)


def test_the_upper_limit_has_its_known_value():
    assert upper_limit_95(99, 99) == pytest.approx(1 - 0.05 ** (1 / 99), abs=1e-9)
    assert round(upper_limit_95(99, 99), 3) == 0.030


@pytest.mark.parametrize(("n", "k"), [(1, 1), (30, 30), (99, 99), (200, 191), (1000, 950), (5000, 4951)])
def test_the_upper_limit_is_the_beta_quantile(n, k):
    stats = pytest.importorskip("scipy.stats")
    assert upper_limit_95(n, k) == pytest.approx(stats.beta.ppf(0.95, n + 1 - k, k), rel=1e-6)


def test_the_promise_holds_on_average():
    random = np.random.default_rng(3)
    flagged = [random.normal() > conformal_threshold(list(random.normal(size=19)), 0.05).value for _ in range(4000)]
    assert np.mean(flagged) == pytest.approx(0.05, abs=0.012)
