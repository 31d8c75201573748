"""Drift of a station's cameras with a real bundle: a dirty lens is found, a clean one is not."""

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ganspect.bundle import CALIBRATION
from ganspect.opencv import cv2
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.calibration import calibrate
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.drift import Drift, DriftSettings
from ganspect.runtime.history.entry import Entry
from ganspect.runtime.judged import Judged
from tests.conftest import texture
from tests.runtime.conftest import set_scale

SETTINGS = DriftSettings(window=100)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """The tiny bundle, calibrated on 120 frames."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("drift") / "bundle")
    random = np.random.default_rng(50)
    calibrate(folder, [(str(number), texture(random)) for number in range(120)], 0.05, "stripes")
    return folder


def load(folder: Path, **options: str) -> Inspector:
    return Inspector.load(folder, tuning=Tuning(threads=1), **options)


def show(drift: Drift, inspector: Inspector, frames, camera: str = "left") -> list[Judged]:
    given = []
    for number, frame in enumerate(frames):
        verdict = inspector.inspect(frame)
        arrival = Arrival(camera, number, Shot("line", number, 0, frame, 0.1), 0, 0)
        entry = Entry.of(arrival, verdict, mode=inspector.mode, bundle="0", waited_ms=0)
        given.append(Judged(arrival, frame, verdict, entry))
        drift.observe(given[-1])
    return given


def clean(seed: int, count: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [texture(random) for _ in range(count)]


def dirty(seed: int, count: int) -> list[np.ndarray]:
    return [cv2.GaussianBlur(cv2.convertScaleAbs(frame, alpha=0.8), (0, 0), 1.5) for frame in clean(seed, count)]


def test_the_calibration_keeps_what_the_thresholds_frames_scored_at_the_start(bundle):
    record = json.loads((bundle / CALIBRATION).read_text())["entries"][-1]
    assert len(record["start_scores"]) == len(record["encoder_scores"]) == record["search"]["n"] == 90
    with load(bundle) as inspector:
        scores = [inspector.inspect(frame).start_score for frame in clean(50, 120)]
    assert set(np.float32(record["start_scores"])) <= set(np.round(np.float32(scores), 7)) | set(np.float32(scores))


@pytest.mark.parametrize("mode", ["search", "encoder"])
def test_a_dirty_lens_is_found_and_a_clean_one_is_not(bundle, tmp_path, mode):
    with load(bundle, mode=mode) as inspector:
        drift = Drift(inspector, ("left", "right"), SETTINGS, tmp_path)
        show(drift, inspector, clean(51, 200))
        show(drift, inspector, clean(52, 100), "right")
        assert not any(status.alarmed for status in drift.status())
        show(drift, inspector, dirty(53, 100))
        left, right = drift.status()
    assert (left.camera, left.reference, left.reference_frames, left.frames) == ("left", "calibration", 90, 100)
    assert left.alarmed
    assert left.since_ns <= time.time_ns()
    assert not right.alarmed


def test_scores_are_compared_on_the_scale_that_is_reported(bundle, tmp_path):
    folder = set_scale(shutil.copytree(bundle, tmp_path / "scaled"), (0.01, 0.5), (0.01, 0.5))
    with load(folder) as inspector:
        drift = Drift(inspector, ("left",), SETTINGS, tmp_path)
        show(drift, inspector, clean(51, 100))
        assert not drift.status()[0].alarmed
        assert drift.status()[0].ks < 0.3


def without_scores(bundle: Path, folder: Path) -> Path:
    """Copy a bundle with a calibration as older versions wrote it."""
    shutil.copytree(bundle, folder)
    content = json.loads((folder / CALIBRATION).read_text())
    for entry in content["entries"]:
        for key in ("start_scores", "encoder_scores", "good_period"):
            entry.pop(key, None)
    (folder / CALIBRATION).write_text(json.dumps(content))
    return folder


def test_an_older_calibration_lets_the_station_learn_and_remember(bundle, tmp_path):
    with load(without_scores(bundle, tmp_path / "older")) as inspector:
        drift = Drift(inspector, ("left",), SETTINGS, tmp_path)
        show(drift, inspector, clean(54, 60))
        status = drift.status()[0]
        assert (status.reference, status.learning, status.reference_frames, status.psi) == ("station", True, 60, None)
        show(drift, inspector, clean(55, 60))
        for thread in [one for one in threading.enumerate() if one.name == "drift"]:
            thread.join(10)
        # After a restart a lens that is dirty by then is not taken for the normal one.
        again = Drift(inspector, ("left", "right"), SETTINGS, tmp_path)
        show(again, inspector, dirty(56, 100))
        left, right = again.status()
        assert (left.reference, left.learning, left.alarmed) == ("station", False, True)
        assert right.learning
    with load(without_scores(bundle, tmp_path / "other"), mode="encoder") as inspector:
        assert Drift(inspector, ("left",), SETTINGS, tmp_path).status()[0].learning


def test_what_was_learned_and_cannot_be_read_is_learned_again(bundle, tmp_path, caplog):
    (tmp_path / "drift.json").write_text("{")
    with load(bundle) as inspector:
        drift = Drift(inspector, ("left",), DriftSettings(reference="station"), tmp_path)
        assert drift.status()[0].learning
    assert "drift.json cannot be read; drift is told from the frames that come now" in caplog.text


def test_what_cannot_be_watched_says_why(tiny_anogan_bundle, bundle, tmp_path):
    with load(tiny_anogan_bundle) as inspector:
        drift = Drift(inspector, ("left",), SETTINGS, tmp_path)
        show(drift, inspector, clean(57, 1))
        assert drift.status()[0].reference == "none"
        assert "the bundle has no encoder" in drift.status()[0].reason
    with load(bundle) as inspector:
        off = Drift(inspector, ("left",), DriftSettings(enabled=False), tmp_path)
        assert "drift.enabled" in off.status()[0].reason
