import pytest

from ganspect.runtime.bench.figures import latency, row_of
from ganspect.runtime.bench.measurement import Measurement
from ganspect.runtime.bench.rounds import Result

DESCRIBED = {"backend": "openvino", "precision": "bf16", "load_ms": 12.0}


def result(mode: str, batch: int, samples_ms: list[float], iterations: list[float], energy_j: float | None) -> Result:
    # One call of each turn is not timed, but takes energy like the others.
    measured = (samples_ms, iterations, len(samples_ms) + 1, 123.4, None, energy_j)
    return Result(DESCRIBED, Measurement(mode, batch, 20), False, 5.0, *measured)


def test_percentiles_interpolate_between_samples() -> None:
    found = latency([float(value) for value in range(1, 102)])
    assert (found["p50_ms"], found["p90_ms"], found["p95_ms"], found["p99_ms"]) == (51, 91, 96, 100)
    assert (found["min_ms"], found["max_ms"], found["mean_ms"]) == (1, 101, 51)


def test_one_sample_is_every_percentile() -> None:
    assert set(latency([2.5]).values()) == {2.5, 0.0}


def test_throughput_counts_images_and_energy_is_an_images_share() -> None:
    row = row_of(result("search", 4, [10.0, 30.0], [20.0, 20.0], 3.0))
    assert row["images_per_s"] == pytest.approx(200)
    assert row["ms_per_step"] == pytest.approx(1.0)
    assert row["energy_mj"] == pytest.approx(250)


def test_a_mode_without_iterations_has_no_duration_of_one() -> None:
    assert row_of(result("encoder", 1, [10.0], [0.0], None))["ms_per_step"] is None


def test_a_step_has_no_energy_of_its_own() -> None:
    assert row_of(result("search_step", 1, [1.0], [1.0], 3.0))["energy_mj"] is None


def test_steps_lost_in_noise_have_no_throughput() -> None:
    assert row_of(result("search_step", 1, [-0.1], [1.0], None))["images_per_s"] is None
