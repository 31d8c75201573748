import time

import pytest

from ganspect.runtime.pace import Deadline, Pace


def test_nothing_fits_before_a_measurement():
    assert Pace().steps_within(rows=1, available_ms=1e9) == 0


def test_steps_fit_with_a_margin():
    pace = Pace()
    pace.record(rows=4, steps=10, elapsed_ms=100)
    assert pace.steps_within(rows=4, available_ms=100) == 8
    assert pace.steps_within(rows=4, available_ms=11) == 0
    assert pace.steps_within(rows=4, available_ms=-5) == 0


def test_unseen_batches_are_expected_to_take_the_most_that_any_other_suggests():
    pace = Pace()
    pace.record(rows=4, steps=1, elapsed_ms=8)
    assert pace.ms_per_step(8) == 16
    assert pace.ms_per_step(2) == 8
    pace.record(rows=16, steps=1, elapsed_ms=64)
    assert pace.ms_per_step(8) == 64


def test_slower_counts_at_once_and_faster_by_half():
    pace = Pace()
    pace.record(rows=1, steps=1, elapsed_ms=10)
    pace.record(rows=1, steps=1, elapsed_ms=6)
    assert pace.ms_per_step(1) == 8
    pace.record(rows=1, steps=1, elapsed_ms=20)
    assert pace.ms_per_step(1) == 20


def test_one_slow_call_does_not_leave_all_later_frames_without_an_iteration():
    pace = Pace()
    pace.record(rows=1, steps=1, elapsed_ms=1)
    pace.record(rows=1, steps=1, elapsed_ms=500)
    fits = []
    while not fits or fits[-1] < 20:
        fits.append(pace.steps_within(rows=1, available_ms=50))
        if fits[-1]:
            pace.record(rows=1, steps=fits[-1], elapsed_ms=fits[-1])
        assert len(fits) < 150
    assert fits[0] == 0
    assert next(count for count in fits if count) == 1


def test_a_machine_that_is_too_slow_is_tried_seldom():
    pace = Pace()
    pace.record(rows=1, steps=1, elapsed_ms=500)
    tried = 0
    for _ in range(1000):
        if count := pace.steps_within(rows=1, available_ms=50):
            assert count == 1
            tried += 1
            pace.record(rows=1, steps=1, elapsed_ms=500)
    assert 10 <= tried <= 25


def test_one_slow_call_does_not_part_a_batch_for_good():
    pace = Pace()
    pace.record(rows=4, steps=1, elapsed_ms=500)
    pace.record(rows=1, steps=5, elapsed_ms=10)  # what runs instead
    tried = [pace.fits([4], steps=5, available_ms=50) for _ in range(200)]
    assert not any(tried[:20])
    assert any(tried)
    pace.record(rows=4, steps=5, elapsed_ms=10)
    pace.record(rows=4, steps=5, elapsed_ms=10)
    assert not pace.fits([4], steps=5, available_ms=50)


@pytest.mark.parametrize("share", [1.05, 1.25, 2, 8])
def test_a_batch_that_does_not_fit_is_never_tried_where_its_rows_do_not_fit_in_turn(share):
    pace = Pace()
    pace.record(rows=2, steps=1, elapsed_ms=10)
    pace.record(rows=1, steps=1, elapsed_ms=5)
    assert pace.fits([2], steps=5, available_ms=61)
    assert not any(pace.fits([2], steps=5, available_ms=60 / share) for _ in range(1000))


def test_batches_fit_as_long_as_their_sum_does():
    pace = Pace()
    pace.record(rows=4, steps=1, elapsed_ms=5)
    pace.record(rows=1, steps=1, elapsed_ms=2)
    assert pace.fits([4, 4, 1], steps=10, available_ms=145)
    assert not pace.fits([4, 4, 1], steps=10, available_ms=130)
    assert pace.fits([], steps=10, available_ms=0)
    assert not any(pace.fits([4], steps=10, available_ms=-1) for _ in range(500))


def test_time_that_is_over_is_no_reason_to_doubt_what_is_expected():
    pace = Pace()
    pace.record(rows=1, steps=1, elapsed_ms=500)
    assert not any(pace.steps_within(rows=1, available_ms=-1) for _ in range(500))
    assert pace.steps_within(rows=1, available_ms=50) == 0


def test_a_deadline_counts_from_its_start():
    now_ns = time.perf_counter_ns()
    assert 0 < Deadline(now_ns, 60_000).remaining_ms() <= 60_000
    assert Deadline(now_ns - 2_000_000, 1.0).remaining_ms() < 0
