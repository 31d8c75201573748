import logging
import math

import numpy as np
import pytest

from ganspect.runtime.drift.monitor import HORIZON_WINDOWS, Monitor
from ganspect.runtime.drift.settings import DriftSettings


def monitor(scores, *, origin="calibration", **settings):
    return Monitor("left", DriftSettings(**settings), scores, origin)


def feed(watched, scores):
    """Add scores until the alarm begins, and return after how many, or None."""
    for number, score in enumerate(scores, 1):
        watched.add(float(score))
        if watched._since_ns is not None:
            return number
    return None


@pytest.mark.parametrize("n_reference", [60, 100, 300])
def test_without_drift_as_few_cameras_raise_an_alarm_as_promised(n_reference):
    """Whole stations: an alarm anywhere in the horizon counts, with as many looks as there are."""
    rate, cameras = 0.2, 40
    random = np.random.default_rng([2, n_reference])
    alarmed = 0
    for _ in range(cameras):
        watched = monitor(random.gamma(4, size=n_reference).tolist(), window=100, false_alarm_rate=rate)
        alarmed += feed(watched, random.gamma(4, size=HORIZON_WINDOWS * 100)) is not None
    assert alarmed <= rate * cameras + 2 * math.sqrt(rate * (1 - rate) * cameras)


@pytest.mark.parametrize(("n_reference", "within"), [(60, 550), (100, 450), (300, 350)])
def test_a_shift_of_one_deviation_is_found_within_a_window(n_reference, within):
    random = np.random.default_rng([3, n_reference])
    found = []
    for _ in range(40):
        watched = monitor(random.normal(size=n_reference).tolist())
        assert feed(watched, random.normal(size=500)) is None
        found.append(feed(watched, random.normal(1.0, size=1000)) or math.inf)
    assert np.quantile(found, 0.9) <= within


def test_a_few_more_defects_are_no_drift_of_the_camera():
    random = np.random.default_rng(4)
    scores = random.normal(size=2000)
    scores[random.random(2000) < 0.05] += 20
    watched = monitor(random.normal(size=100).tolist())
    assert feed(watched, scores) is None
    assert abs(watched.status().shift) < 0.5


def test_an_alarm_is_logged_once_when_it_begins_and_once_when_it_ends(caplog):
    random = np.random.default_rng(5)
    watched = monitor(random.normal(size=100).tolist())
    with caplog.at_level(logging.INFO, "ganspect.station"):
        feed(watched, random.normal(size=500))
        assert watched.status().since_ns is None
        for score in random.normal(2.0, size=1000):
            watched.add(score)
        status = watched.status()
        assert status.alarmed
        assert status.since_ns is not None
        assert status.ks > status.ks_limit
        assert status.psi > status.psi_limit
        assert status.shift == pytest.approx(2, abs=0.6)
        for score in random.normal(size=1000):
            watched.add(score)
        assert not watched.status().alarmed
    begins, ends = (record.getMessage() for record in caplog.records)
    assert begins.startswith("camera left: drift: KS ")
    assert "look at lens, light and focus" in begins
    assert ends.startswith("camera left: drift is over: KS ")


def test_the_log_tells_some_parts_from_all_parts(caplog):
    random = np.random.default_rng(6)
    watched = monitor(random.normal(size=300).tolist())
    scores = np.where(random.random(1000) < 0.35, 20.0, random.normal(-0.35, size=1000))
    assert feed(watched, scores) is not None
    assert "look at those that are anomalous" in caplog.text


def test_an_alarm_does_not_flutter_at_the_limit(caplog):
    random = np.random.default_rng(7)
    watched = monitor(random.normal(size=100).tolist())
    # At the limit: without hysteresis it comes and goes some twenty times.
    for score in random.normal(0.35, size=10_000):
        watched.add(score)
    assert watched.status().alarmed
    assert len(caplog.records) == 1


def test_the_same_picture_again_and_again_is_no_drift():
    random = np.random.default_rng(8)
    watched = monitor(random.normal(size=100).tolist())
    assert feed(watched, np.full(2000, 0.3)) is None
    # A file that loops: forty different pictures, however often they come, are forty.
    looped = monitor(random.normal(size=100).tolist())
    assert feed(looped, np.tile(random.normal(size=40), 50)) is None
    assert looped.status().ks_limit > 0.4


def test_only_each_nth_frame_counts():
    watched = monitor(np.linspace(0, 1, 100).tolist(), every_n=5)
    for number in range(300):
        watched.add(number / 300)
    assert watched.status().frames == 60


def test_a_reference_is_learned_from_the_first_window(caplog):
    random = np.random.default_rng(9)
    watched = monitor(None, origin="station", window=100)
    scores = random.normal(size=100)
    scores[7] = math.inf
    learned = None
    for score in scores:
        assert learned is None
        assert watched.status().learning
        learned = watched.add(score)
    assert sorted(learned) == sorted(scores[np.isfinite(scores)])
    status = watched.status()
    assert (status.reference, status.learning, status.reference_frames, status.frames) == ("station", False, 99, 0)
    assert feed(watched, random.normal(3.0, size=100)) is not None


def test_a_still_scene_is_not_learned():
    watched = monitor(None, origin="station", window=100)
    assert all(watched.add(0.5) is None for _ in range(500))
    assert watched.status().learning
