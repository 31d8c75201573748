import time

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


def test_a_deadline_counts_from_its_start():
    now_ns = time.perf_counter_ns()
    assert 0 < Deadline(now_ns, 60_000).remaining_ms() <= 60_000
    assert Deadline(now_ns - 2_000_000, 1.0).remaining_ms() < 0
