import numpy as np
import pytest

from ganspect.runtime.verification.agreement import Agreement, Scores, compare, rate_limit_95, spearman

T = 1.0


def scores_of(normal, straddling, random=(3.0, 3.5)) -> Scores:
    return Scores(*(np.array(values, np.float32) for values in (normal, random, straddling)))


NORMAL, NEAR = [0.2, 0.4, 0.5], list(np.linspace(0.9, 1.1, 100))
REFERENCE = scores_of(NORMAL, NEAR)


def agreement(given: Scores, nudged: Scores = REFERENCE) -> Agreement:
    return compare(given, REFERENCE, nudged, threshold=T)


def test_the_same_scores_agree_in_everything():
    found = agreement(REFERENCE)
    assert (found.largest_error, found.mean_error, found.flips, found.straddling_flips) == (0, 0, 0, 0)
    assert found.rank == pytest.approx(1)
    assert (found.n, found.n_plain, found.n_straddling, found.n_within) == (105, 5, 100, 0)
    assert found.flip_rate == 0
    assert found.flip_rate_limit_95 == pytest.approx(1 - 0.05 ** (1 / 100), rel=1e-6)
    assert found.failures() == []


def test_errors_are_relative_to_the_reference():
    found = agreement(scores_of([0.2, 0.4, 0.55], NEAR))
    assert found.largest_error == pytest.approx(0.1, rel=1e-5)
    assert found.mean_error == pytest.approx(0.1 / 105, rel=1e-5)


def test_a_shift_flips_what_lies_between():
    found = agreement(scores_of(NORMAL, np.add(NEAR, 0.01)))
    between = sum(0.99 < score <= 1 for score in np.float32(NEAR))
    assert found.straddling_flips == between == 5
    assert found.failures() == ["5 of 100 verdicts flip near the threshold, 5.00% where 0.10% is allowed"]
    assert found.failures(flip_limit=0.05) == []


def test_a_flip_away_from_the_threshold_is_never_allowed():
    found = agreement(scores_of([0.2, 0.4, 1.2], NEAR))
    assert found.flips == 1
    assert "1 of 5 verdicts flip away from the threshold" in found.failures(flip_limit=1.0)


def test_nothing_is_asked_where_the_reference_itself_decides_otherwise():
    nudged = scores_of(NORMAL, np.add(NEAR, 0.02))
    found = agreement(scores_of(NORMAL, np.add(NEAR, 0.01)), nudged)
    assert found.margin == pytest.approx(0.02, rel=1e-3)
    assert found.n_straddling + found.n_within == 100
    assert found.straddling_flips == 0
    assert found.within_flips == 5
    assert found.within_reference_flips == 10
    assert found.failures() == []


def test_a_score_that_is_no_number_fails():
    found = agreement(scores_of([0.2, np.nan, 0.5], NEAR))
    assert found.not_numbers == 1
    assert "1 scores are no numbers" in found.failures()


def test_an_order_that_is_lost_fails():
    found = agreement(scores_of([0.5, 0.2, 0.4], NEAR[::-1]))
    assert found.rank is not None
    assert any(reason.startswith("the rank correlation is ") for reason in found.failures(flip_limit=1))


def test_without_straddling_images_there_is_no_rate():
    empty = scores_of(NORMAL, [])
    found = compare(empty, empty, empty, threshold=T)
    assert (found.n_straddling, found.flip_rate, found.flip_rate_limit_95) == (0, None, None)


@pytest.mark.parametrize(("count", "n", "limit"), [(0, 10, 0.2589), (1, 100, 0.0466), (10, 10, 1.0)])
def test_the_limit_is_that_of_clopper_and_pearson(count, n, limit):
    assert rate_limit_95(count, n) == pytest.approx(limit, abs=1e-4)


def test_ties_share_their_rank():
    assert spearman(np.array([1.0, 1.0, 2.0]), np.array([5.0, 5.0, 9.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0]), np.array([1.0, 2.0])) is None
    assert spearman(np.ones(5), np.arange(5.0)) is None


def test_a_guard_that_reaches_the_normal_scores_fails():
    def guarded(width: float) -> Agreement:
        return compare(REFERENCE, REFERENCE, REFERENCE, threshold=T, guard=width)

    # The median normal score is 0.4, so 0.6 from the threshold.
    assert guarded(0.29).failures() == []
    (reason,) = guarded(0.31).failures()
    assert reason == (
        "float32 would have to decide within 0.31 of the threshold, where at most 0.3 is allowed, 50% of the way to "
        "the median normal score"
    )
    assert guarded(0.31).room == pytest.approx(0.6)


def test_without_normal_scores_no_guard_is_too_wide():
    empty = scores_of([], NEAR)
    found = compare(empty, empty, empty, threshold=T, guard=9.0)
    assert (found.room, found.failures()) == (None, [])
