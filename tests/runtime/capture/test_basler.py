"""Basler cameras as pylon itself plays them: its real driver interface, without hardware."""

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ganspect.errors import MissingDependencyError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.buffers import Bell, LatestBuffer, take_next
from ganspect.runtime.capture.feed import Feed, FeedSettings
from ganspect.runtime.capture.source import SourceSettings

ROOT = Path(__file__).resolve().parents[3]
MAIN = "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()"
QUICK = SourceSettings(size_hw=(48, 64), frames_per_s=100)

# Python 3.12 and later say so of every extension that SWIG made.
pytestmark = pytest.mark.filterwarnings("ignore:builtin type [sS]wig:DeprecationWarning")


@pytest.fixture(autouse=True)
def _two_cameras(monkeypatch):
    monkeypatch.setenv("PYLON_CAMEMU", "2")


def shots(text, settings, count=3):
    with open_source(text, settings) as source:
        return list(itertools.islice(source, count))


def test_the_first_camera_gives_frames_and_says_which_it_is():
    before_ns = time.time_ns()
    found = shots("basler:", QUICK)
    assert [shot.frame_index for shot in found] == [0, 1, 2]
    assert {shot.source for shot in found} == {"basler:0815-0000"}
    assert all(before_ns <= shot.timestamp_ns <= time.time_ns() for shot in found)
    assert all((shot.frame.shape, shot.frame.dtype) == ((48, 64), np.uint8) for shot in found)


def test_a_camera_by_its_serial_number_beside_another():
    with open_source("basler:0815-0001", QUICK) as second, open_source("basler:0815-0000", QUICK) as first:
        assert [next(iter(source)).source for source in (first, second)] == ["basler:0815-0000", "basler:0815-0001"]


@pytest.mark.parametrize(
    ("pixel_format", "shape", "dtype", "most"),
    [
        ("Mono8", (48, 64), np.uint8, 255),
        ("Mono10", (48, 64), np.uint16, 1023),
        ("Mono12", (48, 64), np.uint16, 4095),
        ("Mono16", (48, 64), np.uint16, 65535),
        ("BGR8Packed", (48, 64, 3), np.uint8, 255),
        ("RGB8Packed", (48, 64, 3), np.uint8, 255),
        ("BayerRG8", (48, 64, 3), np.uint8, 255),
        ("BayerGB12", (48, 64, 3), np.uint16, 4095),
    ],
)
def test_pixels_come_as_from_every_other_source(pixel_format, shape, dtype, most):
    frame = shots("basler:", SourceSettings(size_hw=(48, 64), pixel_format=pixel_format), 1)[0].frame
    assert (frame.shape, frame.dtype) == (shape, dtype)
    # The test picture is a ramp up to white: neither shifted to the top of 16 bits nor cut down to 8.
    assert most * 0.9 < shots("basler:", SourceSettings(pixel_format=pixel_format), 1)[0].frame.max() <= most


@pytest.mark.parametrize("pixel_format", ["RGB8Packed", "BGR8Packed", "BayerRG8", "RGB16Packed", "BayerRG12"])
def test_colours_are_blue_green_red_in_every_depth(pixel_format, tmp_path):
    picture = np.full((48, 64, 3), (20, 120, 220), np.uint8)
    cv2.imwrite(str(tmp_path / "part.png"), picture)
    with open_source("basler:", SourceSettings(size_hw=(48, 64), pixel_format=pixel_format)) as source:
        camera = source._capture._camera
        camera.StopGrabbing()
        for key, value in (("ImageFilename", str(tmp_path)), ("ImageFileMode", "On"), ("TestImageSelector", "Off")):
            camera.GetNodeMap().GetNode(key).SetValue(value)
        camera.StartGrabbing()
        frame = list(itertools.islice(source, 3))[-1].frame
        for key, value in (("ImageFileMode", "Off"), ("TestImageSelector", "Testimage2")):
            camera.GetNodeMap().GetNode(key).SetValue(value)
    scale = 255 if frame.dtype == np.uint8 else 65535 if pixel_format == "RGB16Packed" else 4095
    middle = frame[10:38, 10:54].mean((0, 1)) * 255 / scale
    assert np.abs(middle - (20, 120, 220)).max() < 5


def test_a_frame_stays_what_it_was_when_the_next_ones_come():
    with open_source("basler:", QUICK) as source:
        frames = iter(source)
        first = next(frames).frame
        copy = first.copy()
        later = [next(frames).frame for _ in range(15)]
    assert (first == copy).all()
    assert any((frame != first).any() for frame in later), "the picture moves"


def test_exposure_gain_rate_and_the_middle_of_the_sensor_are_set():
    settings = SourceSettings(size_hw=(240, 320), frames_per_s=40, exposure_us=700, gain_db=6)
    with open_source("basler:", settings) as source:
        value = source._capture._camera.GetNodeMap().GetNode
        assert value("ExposureTime").GetValue() == pytest.approx(700, abs=1)
        assert value("Gain").GetValue() == pytest.approx(6, abs=0.1)
        assert value("OffsetX").GetValue() == (4096 - 320) // 2
        assert source.frames_per_s == pytest.approx(40, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SourceSettings(exposure_us=0.1), r"exposure_us is 0\.1, and this camera takes from 1 to 10000000"),
        (SourceSettings(gain_db=99), r"gain_db is 99, and this camera takes from 0 to 48"),
        (SourceSettings(size_hw=(48, 9999)), "size_hw is 9999, and this camera takes from 1 to 4096"),
        (SourceSettings(pixel_format="Mono9"), "pixel_format is Mono9, and this camera takes one of Mono8, Mono10"),
        (SourceSettings(trigger_line="Line9"), "trigger_line is Line9, and this camera takes one of Software, Line1"),
    ],
)
def test_what_the_camera_cannot_do_is_said_with_what_it_can(settings, said):
    with pytest.raises(SourceError, match=f"basler:0815-0000: {said}") as caught:
        open_source("basler:", settings)
    assert "\n" not in str(caught.value)
    assert shots("basler:", QUICK, 1), "and it is free again"


def test_a_camera_that_is_not_there_is_named_beside_those_that_are(monkeypatch):
    with pytest.raises(SourceError, match=r"basler:99 is not there; of Basler's cameras .* sees: 0815-0000, 0815-0001"):
        open_source("basler:99")
    monkeypatch.setenv("PYLON_CAMEMU", "0")
    with pytest.raises(SourceError, match="this machine sees no Basler camera: check cable, power"):
        open_source("basler:")


def test_pypylon_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypylon", None)
    monkeypatch.delitem(sys.modules, "ganspect.runtime.capture.basler", raising=False)
    monkeypatch.delitem(sys.modules, "ganspect.runtime.capture.basler_features", raising=False)
    with pytest.raises(
        MissingDependencyError, match=r"pypylon is not installed; run: pip install 'ganspect\[basler\]'"
    ):
        open_source("basler:")


def test_damaged_frames_are_left_out_and_counted_and_too_many_are_a_failure():
    def damage(source, count):
        node = source._capture._camera.GetNodeMap().GetNode
        node("ForceFailedBufferCount").SetValue(count)
        node("ForceFailedBuffer").Execute()

    with open_source("basler:", SourceSettings(size_hw=(48, 64), frames_per_s=200, keep_every=True)) as source:
        frames = iter(source)
        next(frames)
        damage(source, 3)
        for _ in range(15):
            next(frames)
        assert source.dropped == 3
        damage(source, 1000)
        with pytest.raises(SourceError, match=r"basler:0815-0000 delivers damaged frames: .*incompletely"):
            list(frames)


def test_a_slow_reader_gets_the_freshest_frame_or_every_one():
    dropped = {}
    for keep_every in (False, True):
        settings = SourceSettings(size_hw=(48, 64), frames_per_s=100, keep_every=keep_every)
        with open_source("basler:", settings) as source:
            frames = iter(source)
            next(frames)
            threading.Event().wait(0.06)
            next(frames)
            dropped[keep_every] = source.dropped
    assert dropped[False] >= 3
    assert dropped[True] == 0


def test_a_camera_that_gives_nothing_is_a_failure_in_time_unless_it_waits_for_a_signal():
    with open_source("basler:", SourceSettings(size_hw=(48, 64), read_timeout_s=0.3)) as source:
        frames = iter(source)
        next(frames)
        source._capture._camera.GetNodeMap().GetNode("TriggerMode").SetValue("On")
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match=r"gave no frame for 0\.3 s, after \d+ frames; check its cable"):
            list(frames)
        assert time.monotonic() - begin_s < 3


def test_with_a_trigger_line_a_frame_comes_for_each_signal_and_a_stop_does_not_wait_for_one():
    with open_source(
        "basler:", SourceSettings(size_hw=(48, 64), trigger_line="Software", read_timeout_s=0.2)
    ) as source:
        nodes = source._capture._camera.GetNodeMap()
        timer = threading.Timer(0.5, nodes.GetNode("TriggerSoftware").Execute)
        timer.start()
        frames = iter(source)
        assert next(frames).capture_ms > 400, "it waited longer than its time-out"
        timer.join()
        threading.Timer(0.1, source.interrupt).start()
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match="was asked to stop after 1 frames"):
            next(frames)
        assert time.monotonic() - begin_s < 2


def test_a_camera_that_was_taken_away_is_lost_and_opened_again():
    bell = Bell()
    buffer, states, errors = LatestBuffer(bell), [], []

    def note(status):
        states.append(status.state)
        errors.append(status.error)

    feed = Feed(
        "left",
        lambda: open_source("basler:0815-0001", QUICK),
        buffer,
        FeedSettings(backoff_first_s=0.05),
        on_change=note,
    )
    feed.start()
    try:
        assert take_next(bell, [buffer], after=-1, timeout_s=10) is not None
        feed.source._capture._camera.DestroyDevice()
        end_s = time.monotonic() + 10
        while feed.status().opened < 2:
            assert time.monotonic() < end_s, feed.status()
            threading.Event().wait(0.01)
        with bell:
            buffer.take()
        assert take_next(bell, [buffer], after=-1, timeout_s=10) is not None
    finally:
        feed.stop()
    assert "lost" in states
    assert any("basler:0815-0001 was removed, after" in error for error in errors)


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_camera_is_screened(tiny_bundle, tmp_path):
    arguments = ("screen", str(tiny_bundle), "basler:0815-0001", "--max-frames", "5", "--out", str(tmp_path / "out"))
    ended = command(*arguments, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()]
    assert [record["source"] for record in records] == ["basler:0815-0001"] * 5


def test_two_cameras_run_beside_each_other_in_a_station(tiny_bundle, tmp_path):
    path = tmp_path / "station.yaml"
    path.write_text(
        f"bundle: {tiny_bundle}\ndata: data\ninspection: {{backend: onnxruntime, threads: 1}}\ncameras:\n"
        "  - {name: grey, source: 'basler:0815-0000', size_hw: [48, 64], frames_per_s: 50, exposure_us: 500}\n"
        "  - {name: deep, source: 'basler:0815-0001', size_hw: [48, 64], pixel_format: Mono12, bits: 12}\n"
    )
    from ganspect.runtime.station.settings import read_station
    from ganspect.runtime.station.station import Station

    station, stopping = Station.open(read_station(path), tmp_path), threading.Event()
    seen = {"grey": 0, "deep": 0}

    def count(judged):
        seen[judged.entry.camera] += 1
        if min(seen.values()) >= 5:
            stopping.set()

    station.observers.append(count)
    with station:
        thread = threading.Thread(target=station.run, args=(stopping,))
        thread.start()
        thread.join(20)
        stopping.set()
        thread.join(10)
        assert min(seen.values()) >= 5, (seen, [feed.status() for feed in station.cameras.feeds.values()])
        assert station.parts.status("deep").clipped_frames == 0
        assert {station.counts.of(name).unusable for name in seen} == {0}


_HANGS = """
import threading, time
from pypylon import pylon

ready = threading.Event()

def hang():
    factory = pylon.TlFactory.GetInstance()
    camera = pylon.InstantCamera(factory.CreateDevice(factory.EnumerateDevices()[0]))
    camera.Open()
    camera.StartGrabbing()
    ready.set()
    while True:
        camera.RetrieveResult(1000, pylon.TimeoutHandling_Return)

threading.Thread(target=hang, name="camera left", daemon=True).start()
assert ready.wait(20)
time.sleep(0.3)
"""


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["run", "none.yaml"], 2)])
def test_a_thread_that_hangs_in_the_driver_does_not_abort_the_command_s_end(arguments, status, tmp_path):
    program = f"{_HANGS}\n{MAIN}"
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == status, ended.stderr
    assert ended.stderr.startswith("ganspect: ") if status else ended.stdout.startswith("ganspect 0")
