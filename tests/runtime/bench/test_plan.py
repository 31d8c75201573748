from ganspect.runtime.bench import BenchOptions
from ganspect.runtime.bench.plan import measurements_of, read_plan


def test_batches_are_sorted_and_each_measured_once() -> None:
    assert read_plan(BenchOptions(batches="16, 1,16")).batches == (1, 16)


def test_small_batches_come_first_and_steps_vary_at_the_smallest_only() -> None:
    found = measurements_of((2, 8), 20, has_encoder=True, has_anomalous=False)
    assert [one.batch for one in found] == sorted(one.batch for one in found)
    assert [one.steps for one in found if one.mode == "search"] == [20, 1, 5, 10, 40, 20]
    assert {one.mode for one in found} == {"encoder", "search_step", "search", "search_exit"}


def test_one_iteration_is_a_search_too() -> None:
    found = measurements_of((1,), 1, has_encoder=False, has_anomalous=False)
    assert [one.steps for one in found if one.mode == "search"] == [1, 2]
