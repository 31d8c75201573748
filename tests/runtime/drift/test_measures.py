"""Limits that hold what they promise at any size of the reference, by simulation with fixed seeds."""

import math

import numpy as np
import pytest

from ganspect.runtime.drift.measures import Reference, bins_of, limits_of, p_value


def test_the_same_scores_are_no_distance():
    scores = np.random.default_rng(0).normal(size=200)
    distance = Reference(scores.tolist()).distance(scores)
    assert distance.ks == 0
    assert distance.psi == pytest.approx(0, abs=1e-12)
    assert distance.p_value == 1
    assert distance.shift == pytest.approx(0, abs=0.05)
    assert distance.distinct == 200


def test_distances_of_known_shares():
    reference = Reference(np.arange(1.0, 101).tolist())
    window = np.concatenate([np.arange(1.0, 51), np.full(50, 200.0)])
    distance = reference.distance(window)
    assert distance.ks == pytest.approx(0.5)
    assert distance.distinct == 51
    # Ten bins of ten: five stay as they are, four are empty, and the last has fifty; 51 different scores of 100.
    psi = 0.0
    for count in [10] * 5 + [0] * 4 + [50]:
        of_window = (count * 0.51 + 0.5) / (51 + 5)
        psi += (of_window - 0.1) * math.log(of_window / 0.1)
    assert distance.psi == pytest.approx(psi, rel=1e-2)  # a bin may begin one score later


def test_scores_that_could_not_be_computed_count_as_the_highest():
    reference = Reference(np.linspace(0, 1, 50).tolist())
    distance = reference.distance(np.full(40, np.inf))
    assert distance.ks == 1
    assert math.isfinite(distance.psi)
    assert distance.shift is None


def test_a_reference_without_spread_has_no_shift():
    assert Reference([0.0] * 50 + list(range(1, 40))).distance(np.arange(50.0)).shift is not None
    assert Reference([*range(40), *[100.0] * 200]).distance(np.arange(50.0)).shift is None


def test_small_references_have_fewer_bins_and_wider_limits():
    assert [bins_of(size) for size in (30, 60, 99, 100, 1000)] == [3, 6, 9, 10, 10]
    small, large = (limits_of(n_reference=size, n_window=500, level=1e-4) for size in (60, 300))
    assert small.ks > large.ks
    assert small.psi > large.psi


def test_the_p_value_is_that_of_the_limit():
    limits = limits_of(n_reference=80, n_window=500, level=2e-4)
    assert p_value(limits.ks, 80, 500) == pytest.approx(1e-4)


@pytest.mark.parametrize("n_reference", [60, 100, 300])
@pytest.mark.parametrize("n_window", [100, 500])
def test_one_look_exceeds_the_limits_as_rarely_as_promised(n_reference, n_window):
    level, looks, random = 0.02, 4000, np.random.default_rng([1, n_reference, n_window])
    limits = limits_of(n_reference=n_reference, n_window=n_window, level=level)
    exceeded = 0
    for _ in range(looks):
        distance = Reference(random.random(n_reference).tolist()).distance(random.random(n_window))
        exceeded += distance.ks > limits.ks or distance.psi > limits.psi
    # Three standard errors of the count.
    assert exceeded <= level * looks + 3 * math.sqrt(level * looks)
    assert exceeded > 0
