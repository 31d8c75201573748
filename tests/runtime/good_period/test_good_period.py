"""Good periods with real files and real threads: what is stored, what makes a hole, and what a calibration refuses."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ganspect.datasets.images import read_image
from ganspect.errors import CalibrationError, ConfigError, OutputError
from ganspect.runtime.calibration import calibrate_folder
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.good_period import GoodPeriod, GoodPeriodSettings
from ganspect.runtime.good_period.collector import Collector
from ganspect.runtime.good_period.record import PERIOD, read_period
from ganspect.runtime.judged import Judged
from tests.conftest import texture
from tests.runtime.history.entries import entry

Opened = Callable[..., GoodPeriod]


def judged(number: int, frame: np.ndarray, *, camera: str = "left", verdict: str = "normal", at_s: float = 0) -> Judged:
    shot = Shot("line", number, 0, frame, 0.1)
    arrival = Arrival(camera, number, shot, int(at_s * 1e9), 0)
    return Judged(arrival, frame, None, entry(number, camera=camera, verdict=verdict))


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Return a function that opens the good periods of the station in `tmp_path`."""
    periods: list[GoodPeriod] = []

    def make(**settings: object) -> GoodPeriod:
        period = GoodPeriod(GoodPeriodSettings(**settings), data=tmp_path, station="line3", bundle="ab" * 8)
        periods.append(period)
        return period

    yield make
    for period in periods:
        period.close()


@pytest.fixture
def frames() -> list[np.ndarray]:
    random = np.random.default_rng(40)
    return [texture(random) for _ in range(24)]


def stored(good: GoodPeriod) -> dict:
    wait_for(lambda: good.status().state == "off", "it is stored")
    return json.loads((good.status().folder / PERIOD).read_text())


def test_every_inspected_frame_is_stored_without_loss_whatever_its_verdict(opened, frames):
    good = opened()
    good.observe(judged(0, frames[0]))
    assert good.status().state == "off"
    assert good.begin("shift").state == "on"
    deep = (frames[1].astype(np.uint16) << 4) | 3
    colour = np.dstack([frames[2], frames[3], frames[4]])
    given = [judged(1, deep, verdict="anomalous"), judged(2, colour, camera="right", verdict="undecided")]
    given.append(judged(3, frames[5][4:30, 2:40], camera="right"))
    for one in given:
        good.observe(one)
    good.end()
    good.observe(judged(4, frames[6]))
    period = stored(good)
    assert (period["station"], period["name"], period["bundle"]) == ("line3", "shift", "ab" * 8)
    assert (period["complete"], period["frames"]) == (True, {"left": 1, "right": 2})
    assert period["begun"] <= period["ended"]
    for image, one in zip(period["images"], given, strict=True):
        assert image["id"] == one.entry.uid
        read = read_image(good.folder / "shift" / image["file"])
        assert read.dtype == one.frame.dtype
        np.testing.assert_array_equal(read, one.frame)
    status = good.status()
    assert (status.complete, status.frames, status.waiting) == (True, {"left": 1, "right": 2}, 0)


def test_the_switch_is_a_file(opened, frames):
    good = opened()
    switch = good.folder / "on"
    switch.write_text("night-1\n")
    wait_for(lambda: good.status().state == "on", "it is on")
    good.observe(judged(0, frames[0]))
    switch.unlink()
    assert stored(good)["name"] == "night-1"
    good.begin()
    assert switch.exists()
    good.end()
    assert not switch.exists()


def test_frames_are_spaced_by_count_and_clock(opened, frames):
    good = opened(every_n=2, at_most_per_s=2)
    good.begin("spaced")
    for number, at_s in enumerate((0.0, 0.1, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9, 1.2)):
        good.observe(judged(number, frames[number], at_s=at_s))
        good.observe(judged(number, frames[number], camera="right", at_s=float(number)))
    good.end()
    period = stored(good)
    assert period["frames"] == {"left": 3, "right": 5}
    assert (period["every_n"], period["at_most_per_s"]) == (2, 2.0)


def test_a_period_ends_by_itself_when_its_frames_are_there(opened, frames):
    good = opened(frames=3)
    good.begin("short")
    for number, frame in enumerate(frames):
        good.observe(judged(number, frame))
    period = stored(good)
    assert (period["complete"], period["reason"], period["frames"]) == (True, "its 3 frames are there", {"left": 3})
    wait_for(lambda: not (good.folder / "on").exists(), "the switch follows")


def test_a_frame_without_room_in_memory_makes_a_hole(opened, frames, monkeypatch):
    free = threading.Event()
    store = Collector._store
    monkeypatch.setattr(Collector, "_store", lambda self, held: (free.wait(10), store(self, held))[1])
    good = opened(memory_mb=1)
    good.begin("dense")
    big = np.zeros((700, 1000), np.uint8)
    for number in range(3):
        good.observe(judged(number, big))
    free.set()
    period = stored(good)
    assert not period["complete"]
    assert period["reason"] == "frames came faster than the disk takes them"


def test_a_frame_that_cannot_be_stored_makes_a_hole(opened, frames, caplog):
    good = opened()
    good.begin("gone")
    good.observe(judged(0, frames[0]))
    wait_for(lambda: good.status().frames == {"left": 1}, "it is stored")
    shutil.rmtree(good.folder / "gone")
    good.observe(judged(1, frames[1]))
    wait_for(lambda: good.status().state == "off", "it is over")
    assert not good.status().complete
    assert "a frame could not be stored" in good.status().reason
    assert "stays open and cannot be used" in caplog.text


def test_the_quota_ends_a_period_and_refuses_another(opened):
    good = opened(quota_mb=1)
    good.begin("full")
    noise = np.random.default_rng(0).integers(0, 256, (600, 600), np.uint8)
    for number in range(6):
        good.observe(judged(number, noise))
    period = stored(good)
    assert (period["complete"], period["frames"]) == (True, {"left": 3})
    assert period["reason"] == "the quota of all good periods is used up"
    with pytest.raises(OutputError, match=r"use up their 1 MB; remove old ones, or raise good_period\.quota_mb"):
        good.begin()


def test_a_station_that_stops_or_dies_leaves_an_incomplete_period(opened, frames, tmp_path, caplog):
    first = opened()
    first.begin("stopped")
    first.observe(judged(0, frames[0]))
    first.close()
    period = read_period(first.folder / "stopped")
    assert not period.complete
    assert period.reason == "the station stopped before the period was ended"
    died = period.model_copy(update={"ended": None, "reason": ""})
    shutil.copytree(first.folder / "stopped", first.folder / "died")
    (first.folder / "died" / PERIOD).write_text(died.model_dump_json())
    (first.folder / "on").touch()
    second = opened()
    assert read_period(second.folder / "died").reason == "the station ended before the period did"
    assert read_period(second.folder / "stopped") == period
    assert "begin a good period anew" in caplog.text
    assert not (second.folder / "on").exists()
    assert second.status().state == "off"


def test_what_cannot_begin_says_why(opened, caplog):
    good = opened()
    with pytest.raises(ConfigError, match=r"'\.\./x' is no name of a good period"):
        good.begin("../x")
    good.begin("one")
    assert good.begin() == good.begin("one")
    with pytest.raises(ConfigError, match="the good period one is on; end it"):
        good.begin("two")
    good.end()
    wait_for(lambda: good.status().state == "off", "it is over")
    assert good.status().reason == "no frame was inspected meanwhile"
    with pytest.raises(ConfigError, match="already; give the good period another name"):
        good.begin("one")
    (good.folder / "on").write_text("no name")
    wait_for(lambda: "no good period begins: 'no name' is no name" in caplog.text, "it is said")
    wait_for(lambda: not (good.folder / "on").exists(), "the switch is taken back")


@pytest.fixture
def whole(opened, frames) -> Path:
    """A good period of 24 frames."""
    good = opened()
    good.begin("whole")
    for number, frame in enumerate(frames):
        good.observe(judged(number, frame))
    good.end()
    stored(good)
    return good.folder / "whole"


def test_calibrate_takes_a_whole_period_and_remembers_it(copy, tiny_bundle, whole):
    bundle = copy(tiny_bundle)
    calibrate_folder(bundle, str(whole), 0.1)
    record = json.loads((bundle / "calibration.json").read_text())["entries"][-1]
    assert record["images"] == str(whole)
    assert len(record["start_scores"]) == len(record["encoder_scores"]) == record["search"]["n"] == 18
    period = record["good_period"]
    assert (period["station"], period["name"], period["frames"]) == ("line3", "whole", {"left": 24})


def change(folder: Path, **keys: object) -> None:
    content = json.loads((folder / PERIOD).read_text())
    (folder / PERIOD).write_text(json.dumps({**content, **keys}))


def open_again(folder: Path) -> None:
    change(folder, ended=None)


def leave_incomplete(folder: Path) -> None:
    change(folder, complete=False, reason="the disk is full")


def take_one_out(folder: Path) -> None:
    next(folder.glob("*.png")).unlink()


def break_one(folder: Path) -> None:
    next(folder.glob("*.png")).write_bytes(b"half")


def break_the_record(folder: Path) -> None:
    (folder / PERIOD).write_text("{")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (open_again, r"good/whole is still open; end it first by removing .*good/on or on the page"),
        (leave_incomplete, r"incomplete \(the disk is full\), and what is missing could be what scores high"),
        (take_one_out, r"no longer as it was stored: 1 of its 24 images are missing and 0 were added"),
        (break_one, r"1 images of the good period .* cannot be used, the first because .*; begin another one"),
        (break_the_record, r"period\.json is damaged or cannot be read; begin another good period"),
    ],
)
def test_calibrate_refuses_a_period_with_a_hole(copy, tiny_bundle, whole, damage, sentence):
    bundle = copy(tiny_bundle)
    damage(whole)
    with pytest.raises(CalibrationError, match=sentence):
        calibrate_folder(bundle, str(whole), 0.1)
    assert len(json.loads((bundle / "calibration.json").read_text())["entries"]) == 1
