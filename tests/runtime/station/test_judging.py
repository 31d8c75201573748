"""Frames that wait together are judged together, and one that cannot be judged spoils no other."""

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ganspect.errors import ConfigError, ImageError
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.capture.source import Shot
from ganspect.runtime.station.judging import Found, Judging, Unusable, known_tiles
from ganspect.runtime.station.settings import CameraSettings, read_station
from ganspect.runtime.station.station import Station
from ganspect.runtime.station.together import Timing, time_together
from tests.runtime.conftest import write_video


def arrivals_of(frames):
    now_ns = time.perf_counter_ns()
    return [
        Arrival(f"c{index}", 0, Shot("x", 0, 0, frame, 0.0), now_ns, time.time_ns())
        for index, frame in enumerate(frames)
    ]


def whole(arrival):
    return arrival.shot.frame


def judging(asked=4, part=whole):
    return Judging(part, asked=asked, cameras=4)


@pytest.fixture
def settled(inspector):
    """Judging that takes up to four frames, ready."""
    made = judging()
    made.settle(inspector, 1)
    return made


@pytest.fixture
def counted(inspector, monkeypatch):
    """How many frames each call of the inspector judged."""
    counts, judge = [], inspector.judge

    def counting(frames):
        counts.append(len(frames))
        yield from judge(frames)

    monkeypatch.setattr(inspector, "judge", counting)
    return counts


@pytest.fixture
def three_cameras(tmp_path, tiny_bundle, normal_frames, scratched_frames):
    """Return a function: the file of a station with three cameras whose frames have different sizes."""

    def write(batch: str) -> Path:
        sources = {"a": normal_frames, "b": scratched_frames, "c": [np.tile(frame, (2, 2)) for frame in normal_frames]}
        cameras = []
        for name, frames in sources.items():
            write_video(tmp_path / f"{name}.avi", frames)
            cameras.append(f"  - {{name: {name}, source: {name}.avi}}")
        cameras[0] = cameras[0].replace("}", ", roi_xyxy: [4, 2, 40, 36]}")
        path = tmp_path / "station.yaml"
        inspection = f"inspection: {{backend: onnxruntime, threads: 1, batch: {batch}}}"
        path.write_text("\n".join([f"bundle: {tiny_bundle}", "data: data", inspection, "cameras:", *cameras]) + "\n")
        return path

    return write


def run_when_all_wait(path):
    station = Station.open(read_station(path), path.parent)
    judged = []
    station.observers.append(judged.append)
    station.pause(True)
    thread = threading.Thread(target=station.run, args=(threading.Event(),))
    with station:
        thread.start()
        end_s = time.monotonic() + 20
        while not all(len(feed.buffer) == 8 for feed in station.cameras.feeds.values()):
            assert time.monotonic() < end_s
            threading.Event().wait(0.01)
        station.pause(False)
        thread.join(20)
    return station, judged


@pytest.mark.parametrize(("batch", "together"), [("3", {3}), ("2", {2}), ("1", {1})])
def test_frames_of_three_cameras_that_wait_are_judged_together_in_order(three_cameras, batch, together):
    station, judged = run_when_all_wait(three_cameras(batch))
    for camera in "abc":
        sequences = [one.arrival.sequence for one in judged if one.arrival.camera == camera]
        assert sequences == list(range(8))
        assert sum(station.counts.of(camera).verdicts.values()) == 8
    assert {one.verdict.together for one in judged} == together
    assert all(one.frame.shape[:2] == (34, 36) for one in judged if one.arrival.camera == "a")
    assert all(one.entry.record["latency_ms"]["waited"] > 0 for one in judged)
    status = station.judging.status()
    assert (status.asked, status.size) == (int(batch), int(batch))
    assert status.frames == (24 if batch != "1" else 0)


def test_auto_measures_and_says_so_in_one_line(three_cameras, caplog):
    caplog.set_level(logging.INFO, "ganspect.station")
    begin_s = time.monotonic()
    with Station.open(read_station(three_cameras("auto")), three_cameras("auto").parent) as station:
        assert time.monotonic() - begin_s < 10
        status = station.judging.status()
    assert status.size in (1, 2, 3)
    assert (status.share is None) == (status.size == 1)
    assert len([line for line in caplog.messages if "of the time in turn" in line]) == 1


@pytest.mark.parametrize("batch", ["0", "17", "many"])
def test_an_impossible_batch_is_refused(three_cameras, batch):
    with pytest.raises(ConfigError, match=r"inspection\.batch"):
        read_station(three_cameras(batch))


def test_the_largest_number_that_pays_is_taken():
    assert Timing("score", 1, {2: 0.7, 4: 0.89, 8: 0.95}).best() == 4
    assert Timing("score", 1, {2: 0.95}).best() == 1
    assert Timing("score", 1, {}).best() == 1


def test_a_timing_has_a_share_for_each_size_and_an_end(inspector, monkeypatch):
    timing = time_together(inspector, tiles=2, most=6)
    assert (timing.graph, timing.tiles, list(timing.shares)) == ("score", 2, [2, 3, 4, 6])
    assert all(share > 0 for share in timing.shares.values())
    monkeypatch.setattr("ganspect.runtime.station.together._LIMIT_S", 0.0)
    assert time_together(inspector, tiles=2, most=6).shares == {}


def test_a_lone_frame_does_not_wait_and_is_no_batch(inspector, settled, counted, normal_frames):
    (found,) = settled.judge(inspector, arrivals_of(normal_frames[:1]), alone=inspector.inspect)
    assert isinstance(found, Found)
    assert found.verdict.together == 1
    assert settled.status().batches == 0


def test_a_frame_that_is_none_is_left_out_and_the_others_are_one_batch(inspector, settled, counted, normal_frames):
    frames = [normal_frames[0], np.zeros((40, 48, 4), np.uint8), normal_frames[1]]
    found = {one.arrival.camera: one for one in settled.judge(inspector, arrivals_of(frames), alone=inspector.inspect)}
    assert isinstance(found["c1"], Unusable)
    assert isinstance(found["c1"].error, ImageError)
    assert isinstance(found["c0"], Found)
    assert isinstance(found["c2"], Found)
    assert counted == [2]


def test_a_frame_that_breaks_a_batch_is_found_and_the_others_are_judged(
    inspector, settled, normal_frames, monkeypatch, caplog
):
    score = inspector.search.score

    def broken(images):
        if (images == 77).all(axis=(1, 2, 3)).any():
            raise MemoryError("no memory left")
        return score(images)

    monkeypatch.setattr(inspector.search, "score", broken)
    frames = [normal_frames[0], np.full((40, 48), 77, np.uint8), normal_frames[1], normal_frames[2]]
    for _ in range(4):
        found = {
            one.arrival.camera: one for one in settled.judge(inspector, arrivals_of(frames), alone=inspector.inspect)
        }
        assert [type(found[f"c{index}"]) for index in range(4)] == [Found, Unusable, Found, Found]
    assert "4 frames could not be judged together" in caplog.text
    assert (settled.status().size, settled.status().failed) == (4, 4)


def test_a_batch_that_fails_midway_judges_no_frame_twice(inspector, settled, normal_frames, monkeypatch):
    judge = inspector.judge

    def stops(frames):
        found = judge(frames)
        yield next(found)
        if len(frames) > 1:
            raise MemoryError("no memory left")

    monkeypatch.setattr(inspector, "judge", stops)
    found = list(settled.judge(inspector, arrivals_of(normal_frames[:3]), alone=inspector.inspect))
    assert sorted(one.arrival.camera for one in found) == ["c0", "c1", "c2"]
    assert all(isinstance(one, Found) for one in found)


@pytest.mark.parametrize("how", ["measured first", "fails together", "alone", "one is left"])
def test_a_frame_is_cut_once_however_it_is_judged(inspector, normal_frames, monkeypatch, how):
    cut = []

    def part(arrival):
        cut.append(arrival.camera)
        if how == "one is left" and arrival.camera == "c0":
            raise ImageError("no part")
        return arrival.shot.frame

    def broken(frames):
        raise MemoryError("no memory left")

    made = judging("auto" if how == "measured first" else 4, part)
    made.settle(inspector, None if how == "measured first" else 1)
    if how == "fails together":
        monkeypatch.setattr(inspector, "judge", broken)
    count = 1 if how == "alone" else 2
    found = list(made.judge(inspector, arrivals_of(normal_frames[:count]), alone=lambda frame: frame))
    assert (len(found), len(cut)) == (count, count)


def test_batches_that_fail_again_and_again_are_made_no_more(inspector, settled, normal_frames, monkeypatch, caplog):
    score = inspector.search.score

    def small(images):
        if len(images) > 1:
            raise MemoryError("no memory left")
        return score(images)

    monkeypatch.setattr(inspector.search, "score", small)
    for _ in range(3):
        found = list(settled.judge(inspector, arrivals_of(normal_frames[:2]), alone=inspector.inspect))
        assert all(isinstance(one, Found) for one in found)
    assert settled.most == 1
    assert "frames are judged in turn from now on" in caplog.text
    settled.renew()
    assert settled.most == 4, "another bundle may do better"
    other = judging()
    other.settle(inspector, 1)
    assert other.most == 1
    assert "frames are judged in turn, several at once failed: " in caplog.text


def test_sizes_that_are_not_known_are_measured_with_the_first_frames(inspector, normal_frames):
    made = judging("auto")
    made.settle(inspector, None)
    assert (made.most, made.status().size) == (4, None)
    assert all(
        isinstance(one, Found) for one in made.judge(inspector, arrivals_of(normal_frames[:3]), alone=inspector.inspect)
    )
    assert made.status().size in (1, 2, 3, 4)


def test_tiles_are_known_before_a_frame_where_the_file_says_its_size(inspector):
    grid = replace(inspector.grid, fit="tiles", overlap=0.0)
    free = CameraSettings(name="a", source="0")
    part = CameraSettings(name="a", source="0", roi_xyxy=(0, 0, 64, 32))
    sized = CameraSettings(name="b", source="1", size_hw=(64, 64))
    assert known_tiles(inspector.grid, [free]) == 1
    assert known_tiles(grid, [part]) == 2
    assert known_tiles(grid, [part, sized]) == 4
    assert known_tiles(grid, [part, free]) is None
