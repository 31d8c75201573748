"""A threshold from the station itself: from all frames of a good period it keeps its promise, from passed ones not."""

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.calibration import calibrate, calibrate_folder
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from tests.conftest import texture
from tests.runtime.conftest import set_threshold, write_video

RATE = 0.1


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 80 good parts."""
    random = np.random.default_rng(60)
    return write_video(tmp_path_factory.mktemp("line") / "line.avi", [texture(random) for _ in range(80)])


def station(folder: Path, bundle: Path, line: Path, *, loop: bool) -> Station:
    path = folder / "station.yaml"
    path.write_text(
        f"name: line3\nbundle: {bundle}\ndata: data\ninspection: {{backend: onnxruntime, threads: 1}}\n"
        "good_period: {frames: 80}\n"
        f"cameras: [{{name: a, source: '{line}', policy: every, loop: {str(loop).lower()}}}]\n"
    )
    return Station.open(read_station(path), folder)


def flagged(folder: Path, bundle: Path, line: Path) -> float:
    """Return which share of the line's parts a station flags."""
    opened = station(folder, bundle, line, loop=False)
    with opened:
        opened.run(threading.Event())
        verdicts = opened.counts.of("a").verdicts
    return 1 - verdicts["normal"] / sum(verdicts.values())


def test_a_line_whose_every_part_is_flagged_gets_the_threshold_that_was_asked_for(tiny_bundle, line, tmp_path):
    bundle = set_threshold(shutil.copytree(tiny_bundle, tmp_path / "bundle"), 1e-6)
    running, stopping = station(tmp_path, bundle, line, loop=True), threading.Event()
    with running:
        thread = threading.Thread(target=running.run, args=(stopping,))
        thread.start()
        (tmp_path / "data/good/on").write_text("first")
        end_s = time.monotonic() + 30
        while running.good_period.status().complete is None:
            assert time.monotonic() < end_s
            time.sleep(0.02)
        # The station goes on with the threshold that it has.
        calibrate_folder(bundle, str(tmp_path / "data/good/first"), RATE)
        assert running.inspector.threshold == pytest.approx(1e-6)
        stopping.set()
        thread.join(10)
        assert running.counts.of("a").verdicts["normal"] == 0
        assert running.good_period.status().frames == {"a": 80}
        (drift,) = running.drift.status()
        assert (drift.camera, drift.reference) == ("a", "station")  # six frames are too few to tell drift from
        assert drift.reference_frames >= 80
    record = open_bundle(bundle).require_calibration()
    assert record.good_period.frames == {"a": 80}
    assert record.search.n == 60
    assert flagged(tmp_path, bundle, line) <= RATE + 0.03
    assert flagged(tmp_path, bundle, line) > 0


def test_passed_frames_alone_would_lower_the_threshold_again_and_again(tiny_bundle, tmp_path):
    random = np.random.default_rng(61)
    parts = [(str(number), texture(random)) for number in range(80)]
    fresh = [texture(random) for _ in range(80)]

    def rate_of(folder: Path, frames: list[np.ndarray]) -> tuple[float, list[bool]]:
        with Inspector.load(folder, tuning=Tuning(threads=1)) as inspector:
            passed = [not inspector.inspect(frame).anomalous for frame in frames]
        return 1 - sum(passed) / len(passed), passed

    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    thresholds = [calibrate(bundle, parts, RATE, "all").search.value]
    honest, _ = rate_of(bundle, fresh)
    for _ in range(6):
        _, passed = rate_of(bundle, [frame for _, frame in parts])
        left = [part for part, ok in zip(parts, passed, strict=True) if ok]
        thresholds.append(calibrate(bundle, left, RATE, "passed").search.value)
    ratcheted, _ = rate_of(bundle, fresh)
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] < thresholds[0]
    assert honest <= 0.2
    assert ratcheted >= honest + 0.15
