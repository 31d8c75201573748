import numpy as np
import pytest


@pytest.fixture
def drift():
    import drift

    return drift


def test_lenses_change_what_they_say(drift):
    frame = np.random.default_rng(0).integers(50, 200, (300, 300), np.uint8)
    assert drift.blurred(2.0)(frame).std() < frame.std() / 2
    assert drift.dimmed(0.5)(frame).mean() == pytest.approx(frame.mean() / 2, rel=0.01)
    dusted = drift.dusty(0.4)(frame)
    touched = dusted != frame
    assert 0.001 < touched.mean() < 0.05
    np.testing.assert_array_equal(touched, drift.dusty(0.4)(frame) != frame)
    assert (dusted <= frame).all()


def test_the_alarm_comes_where_the_scores_moved_and_not_where_they_did_not(drift):
    random = np.random.default_rng(1)
    reference, clean = random.normal(size=70), random.normal(size=118)
    seen = [drift.Seen(clean + shift, np.zeros(118, bool)) for shift in (0.0, 3.0)]
    assert drift.frames_to_alarm(reference, seen[0], seen[0], 0) is None
    assert 0 < drift.frames_to_alarm(reference, seen[0], seen[1], 0) <= 100
