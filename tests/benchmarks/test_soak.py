"""The soak in its short form, and its limits, which must be able to fail."""

import json
from dataclasses import replace

import numpy as np
import pytest
from soak import SLOPE_FROM, Sample, figures, main, run, slope
from station_rig.usage import Usage


def samples(kb_per_100000: float, *, descriptors: int = 0, frames: int = 5 * SLOPE_FROM) -> list[Sample]:
    """Return a station's samples that grows by so much; `descriptors` more of them in the end."""
    noise = np.random.default_rng(0).normal(0, 20, 400)
    return [
        Sample(
            at_s=index / 2,
            frames=round(frames * (index + 1) / 400),
            usage=Usage(
                rss_kb=round(150_000 + kb_per_100000 * frames / 100_000 * index / 400 + noise[index]),
                anonymous_kb=100_000,
                descriptors=12 + descriptors * (index > 300),
                threads=11,
                cpu_s=index / 2,
            ),
            history_bytes=900 * index,
        )
        for index in range(400)
    ]


def test_a_slope_is_found_with_an_interval_around_it():
    frames = np.arange(1000) * 1000.0
    found = slope(frames, 5e-3 * frames + np.random.default_rng(1).normal(0, 50, 1000))
    assert found.low < 500 < found.high
    assert found.high - found.low < 20
    flat = slope(frames, np.random.default_rng(2).normal(0, 50, 1000))
    assert flat.low < 0 < flat.high


def test_growth_descriptors_threads_and_status_fail():
    assert figures(samples(0), 0)["passed"]
    assert not figures(samples(400), 0)["passed"]
    assert not figures(samples(0, descriptors=1), 0)["passed"]
    assert not figures(samples(0), 1)["passed"]
    grown = samples(0)
    more = replace(grown[-1], usage=replace(grown[-1].usage, threads=12))
    assert not figures([*grown[:-1], more], 0)["passed"]


def test_a_short_run_is_not_judged_by_its_slope():
    found = figures(samples(40_000, frames=2000), 0)
    assert found["passed"]
    assert not found["slope_judged"]


def test_two_thousand_frames_go_through_a_real_station(tiny_bundle, tmp_path, capsys):
    found = run(2000, tmp_path, bundle=tiny_bundle)
    # So short a run tells nothing about what grows: threads and descriptors of the start still come and go.
    assert found["status"] == 0, found
    assert found["descriptors"]["end"] <= found["descriptors"]["begin"] + 4, found
    assert found["threads"]["end"] <= found["threads"]["begin"] + 4, found
    assert found["frames"] >= 2000
    assert found["frames_per_s"] > 20
    assert 300 < found["history_bytes_per_verdict"] < 5000
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found
    assert json.loads((tmp_path / "soak.json").read_text()) == found


def test_too_few_frames_tell_nothing(tmp_path, capsys):
    assert main(["--frames", "10", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "soak: --frames 10 tells nothing about memory; give 1000 or more\n"


@pytest.mark.parametrize("name", ["anonymous_kb", "rss_kb"])
def test_each_kind_of_memory_is_told(name):
    assert {"value", "low", "high"} == set(figures(samples(0), 0)[f"{name}_per_100000"])
