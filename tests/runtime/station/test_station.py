"""The station as a process of its own, on real files, stopped and killed as it is in a plant."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from station_rig.streams import mjpeg_server

from ganspect.errors import OutputError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime.history import History, Query
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station

ROOT = Path(__file__).resolve().parents[3]
MAIN = "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()"


@pytest.fixture
def station_file(tmp_path: Path, tiny_bundle: Path) -> Callable[..., Path]:
    """Return a function that writes a station file with cameras."""

    def write(*cameras: str, **keys: str) -> Path:
        path = tmp_path / "station.yaml"
        lines = [f"bundle: {tiny_bundle}", "data: data", "inspection: {backend: onnxruntime, threads: 1}"]
        lines += [f"{key}: {value}" for key, value in keys.items()]
        path.write_text("\n".join([*lines, "cameras:", *(f"  - {{{camera}}}" for camera in cameras)]) + "\n")
        return path

    return write


def run(path: Path, stopping: threading.Event | None = None) -> Station:
    station = Station.open(read_station(path), path.parent)
    with station:
        station.run(stopping or threading.Event())
    return station


def records(folder: Path, query: Query = Query()) -> list[dict]:  # noqa: B008
    with History.open(folder / "data/history.sqlite", read_only=True) as history:
        return list(history.records(query))


@pytest.fixture
def started(station_file) -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Return a function that starts a station as a process and waits until it runs."""
    running: list[subprocess.Popen] = []

    def start(path: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "run", str(path)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        line = process.stderr.readline()
        while line and " runs with " not in line:
            line = process.stderr.readline()
        assert line, process.stdout.read()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def test_every_frame_of_files_gets_a_verdict_and_the_station_ends(station_file, image_folder, video_file, tmp_path):
    path = station_file(f"name: images, source: {image_folder}", f"name: line, source: {video_file}")
    station = run(path)
    found = records(tmp_path)
    assert len(found) == 4 + 8 == station.recorder.kept
    for camera, count in (("images", 4), ("line", 8)):
        of_camera = [record for record in found if record["camera"] == camera]
        assert [record["sequence"] for record in of_camera] == list(range(count))
        assert {record["bundle"] for record in of_camera} == {of_camera[0]["bundle"]}
        assert all(abs(time.time_ns() - record["timestamp_ns"]) < 60e9 for record in of_camera)
        assert all(record["latency_ms"]["total"] >= record["latency_ms"]["waited"] >= 0 for record in of_camera)
    assert len({record["id"] for record in found}) == len(found)


def test_the_part_of_the_frame_that_is_asked_for_is_inspected(station_file, image_folder, tmp_path):
    path = station_file(f"name: a, source: {image_folder}, roi_xyxy: [4, 2, 40, 36]")
    assert sum(run(path).counts.of("a").verdicts.values()) == 4


def test_a_region_outside_the_frame_is_counted_and_the_line_goes_on(station_file, image_folder, tmp_path):
    path = station_file(
        f"name: a, source: {image_folder}, roi_xyxy: [4, 2, 4000, 36]", f"name: b, source: {image_folder}"
    )
    station = run(path)
    assert station.counts.of("a").unusable == 4
    assert "correct roi_xyxy" in station.counts.of("a").reason
    assert sum(station.counts.of("b").verdicts.values()) == 4


def test_size_and_colour_may_change_from_frame_to_frame_and_what_no_longer_fits_is_one_line(
    station_file, normal_frames, tmp_path, caplog
):
    folder = tmp_path / "parts"
    folder.mkdir()
    grey = normal_frames[0]
    large = cv2.resize(grey, (96, 80))
    changing = [grey, large, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)]
    for number in range(24):
        frame = changing[number % 4] if number % 2 or number < 8 else grey[:30, :30]
        cv2.imwrite(str(folder / f"part_{number:02d}.png"), frame)
    station = run(station_file(f"name: a, source: {folder}, roi_xyxy: [0, 0, 40, 36]", f"name: b, source: {folder}"))
    assert sum(station.counts.of("a").verdicts.values()) == 16
    assert station.counts.of("a").unusable == 8
    assert sum(station.counts.of("b").verdicts.values()) == 24
    lines = [record.getMessage() for record in caplog.records if "roi_xyxy" in record.getMessage()]
    assert lines == ["camera a: the frame has 30x30 pixels and roi_xyxy ends at 40, 36; correct roi_xyxy"]


def test_a_stream_that_changes_its_picture_is_judged_on(station_file, tmp_path):
    shapes = ((120, 160, 3), (96, 128), (240, 320, 3))
    with mjpeg_server(count=30, then="stall", shapes=shapes) as url:
        path, stopping = station_file(f"name: a, source: '{url}', policy: every"), threading.Event()
        station = Station.open(read_station(path), tmp_path)
        seen = []
        station.observers.append(lambda judged: (seen.append(judged.frame.shape), len(seen) < 28 or stopping.set()))
        thread = threading.Thread(target=station.run, args=(stopping,))
        with station:
            thread.start()
            assert stopping.wait(20), (len(seen), station.cameras.feeds["a"].status())
            thread.join(10)
    assert station.counts.of("a").unusable == 0


@pytest.mark.parametrize("declared", ["range: [64, 4032]", "bits: 12"])
def test_files_of_16_bit_feed_a_model_of_8(station_file, normal_frames, tmp_path, declared, caplog):
    folder = tmp_path / "deep"
    folder.mkdir()
    for number, suffix in enumerate(("png", "tif")):
        deep = np.rint(normal_frames[number].astype(float) * (3968 / 255) + 64).astype(np.uint16)
        if number:
            deep[:10] = 20  # a quarter of the frame is beyond the range
        cv2.imwrite(str(folder / f"part_{number}.{suffix}"), deep)
    seen = []
    station = Station.open(read_station(station_file(f"name: a, source: {folder}, {declared}")), tmp_path)
    station.observers.append(lambda judged: seen.append(judged.frame))
    with station:
        station.run(threading.Event())
    assert [frame.dtype for frame in seen] == [np.uint8, np.uint8]
    status = station.parts.status("a")
    if declared.startswith("range"):
        assert (seen[0] == normal_frames[0]).all()
        assert (status.frames, status.clipped_frames, status.clipped_share) == (2, 1, 0.25)
        assert "camera a: 25.0% of the pixels are beyond range [64, 4032] and are clipped" in caplog.text
    else:
        assert (status.frames, status.clipped_frames, status.clipped_share) == (2, 0, 0.0)


def test_files_of_16_bit_without_a_range_say_what_to_write(station_file, tmp_path):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((40, 48), 2000, np.uint16))
    station = run(station_file("name: a, source: deep.png"))
    assert "such as 'range: [0, 4095]' in the station file" in station.counts.of("a").reason


def test_a_frame_that_breaks_the_backend_is_counted_and_many_in_a_row_end_the_station(
    station_file, video_file, image_folder, monkeypatch
):
    def broken(frame):
        raise MemoryError("no memory left")

    for source, loop in ((image_folder, "false"), (video_file, "true")):
        station = Station.open(read_station(station_file(f"name: a, source: {source}, loop: {loop}")), Path("/"))
        monkeypatch.setattr(station.inspector, "inspect", broken)
        with station:
            if loop == "true":
                with pytest.raises(MemoryError):
                    station.run(threading.Event())
                assert station.counts.of("a").unusable == 20
            else:
                station.run(threading.Event())
                assert station.counts.of("a").unusable == 4
        assert station.recorder.kept == 0


def test_a_paused_station_judges_nothing_and_goes_on_where_it_was(station_file, image_folder):
    station = Station.open(read_station(station_file(f"name: a, source: {image_folder}")), Path("/"))
    stopping = threading.Event()
    with station:
        seen = []
        station.observers.append(seen.append)
        station.pause(True)
        thread = threading.Thread(target=station.run, args=(stopping,))
        thread.start()
        wait_for(lambda: len(station.cameras.feeds["a"].buffer) == 4, "the frames wait")
        assert not seen
        station.pause(False)
        thread.join(20)
    assert [judged.entry.camera for judged in seen] == ["a"] * 4
    assert {judged.arrival.sequence for judged in seen} == {0, 1, 2, 3}


def test_a_full_disk_holds_no_frames_and_the_station_still_stops(station_file, video_file, monkeypatch, tmp_path):
    monkeypatch.setattr("ganspect.runtime.station.station._STOPPING_S", 0.3)
    monkeypatch.setattr("ganspect.runtime.history.recorder._HELD_AT_MOST", 3)
    station = Station.open(read_station(station_file(f"name: a, source: {video_file}, loop: true")), tmp_path)
    station.recorder._most = 3
    monkeypatch.setattr(station.history, "append", lambda _: (_ for _ in ()).throw(OutputError("the disk is full")))
    stopping = threading.Event()
    thread = threading.Thread(target=station.run, args=(stopping,))
    thread.start()
    wait_for(lambda: station.recorder.held == 3 and station.recorder.alarm, "the disk is full")
    assert all(kept.ticket[1].frame.size == 0 for kept in station.recorder._held)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    monkeypatch.setattr(station.recorder._thread, "join", lambda timeout=None: None)
    assert station.close() >= 4


def test_a_frame_that_cannot_be_judged_is_put_aside_in_a_watched_folder(station_file, image_folder, tmp_path):
    path = station_file(f"name: a, source: 'watch:{image_folder}', roi_xyxy: [0, 0, 4000, 4000]")
    stopping = threading.Event()
    thread = threading.Thread(target=run, args=(path, stopping))
    thread.start()
    wait_for(lambda: len(list((image_folder / "failed").glob("*"))) == 4, "they are put aside")
    stopping.set()
    thread.join(10)
    assert records(tmp_path) == []


def test_what_is_left_out_is_logged_and_counted(station_file, image_folder, caplog):
    (image_folder / "broken.png").write_bytes(b"no image at all")
    station = run(station_file(f"name: a, source: {image_folder}"))
    assert station.cameras.feeds["a"].status().skipped == 1
    assert "broken.png is left out" in caplog.text


def test_a_file_that_cannot_be_read_ends_and_is_not_tried_for_ever(station_file, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image at all")
    station = run(station_file("name: a, source: bad.png"))
    assert station.cameras.feeds["a"].status().failures == 3


def test_cameras_that_hang_stop_together(station_file):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cameras = [f"name: c{number}, source: 'rtsp://127.0.0.1:{port}/1', open_timeout_s: 20" for number in range(4)]
        path, stopping = station_file(*cameras), threading.Event()
        station = Station.open(read_station(path), path.parent)
        thread = threading.Thread(target=station.run, args=(stopping,))
        thread.start()
        wait_for(lambda: all(feed.status().state == "opening" for feed in station.cameras.feeds.values()), "they open")
        begin_s = time.monotonic()
        stopping.set()
        thread.join(20)
        station.close()
        assert time.monotonic() - begin_s < 6


def test_watched_files_move_when_their_verdict_is_on_disk(station_file, normal_frames, tmp_path):
    (tmp_path / "in").mkdir()
    path, stopping = station_file("name: a, source: 'watch:in'"), threading.Event()
    thread = threading.Thread(target=run, args=(path, stopping))
    thread.start()
    try:
        for number, frame in enumerate(normal_frames[:3]):
            cv2.imwrite(str(tmp_path / f"in/part_{number}.png"), frame)
        done = tmp_path / "in/done"
        wait_for(lambda: done.is_dir() and len(list(done.iterdir())) == 3, "the files are done")
    finally:
        stopping.set()
        thread.join(10)
    assert len(records(tmp_path)) == 3


def test_a_watched_file_that_is_judged_again_after_a_crash_has_one_verdict(
    station_file, image_folder, monkeypatch, tmp_path
):
    path = station_file(f"name: a, source: 'watch:{image_folder}'")

    def run_until(condition):
        stopping = threading.Event()
        thread = threading.Thread(target=run, args=(path, stopping))
        thread.start()
        try:
            wait_for(condition, "the files are judged")
        finally:
            stopping.set()
            thread.join(10)

    with monkeypatch.context() as crash:  # the verdicts are on disk, and no file was moved
        crash.setattr("ganspect.runtime.capture.watch.Ledger.settle", lambda ledger: 0)
        run_until(lambda: (tmp_path / "data/history.sqlite").exists() and len(records(tmp_path)) == 4)
    before = {record["id"] for record in records(tmp_path)}
    assert len(list(image_folder.glob("*.png"))) == 4
    run_until(lambda: not list(image_folder.glob("*.png")))
    assert {record["id"] for record in records(tmp_path)} == before
    assert len(records(tmp_path)) == 4
    # Put back by a person, it is to be judged anew.
    again = next((image_folder / "done").glob("*.png"))
    again.replace(image_folder / again.name)
    run_until(lambda: not list(image_folder.glob("*.png")))
    assert len({record["id"] for record in records(tmp_path)}) == 5


def test_ctrl_c_drains_prints_a_summary_and_ends_well(station_file, started, video_file, tmp_path):
    path = station_file(f"name: line, source: {video_file}, loop: true, policy: latest")
    process = started(path)
    wait_for(lambda: (tmp_path / "data/history.sqlite").exists() and len(records(tmp_path)) > 5, "verdicts come")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    found = records(tmp_path)
    assert f"{len(found)} verdicts" in out
    assert "stopping: frames that were captured are still judged" in err


def test_what_is_on_disk_survives_a_kill_and_the_station_goes_on(station_file, started, video_file, tmp_path):
    path = station_file(f"name: line, source: {video_file}, loop: true, policy: every")
    process = started(path)
    wait_for(lambda: (tmp_path / "data/history.sqlite").exists() and len(records(tmp_path)) > 20, "verdicts come")
    before = {record["id"] for record in records(tmp_path)}
    process.kill()
    process.wait()
    assert before <= {record["id"] for record in records(tmp_path)}
    process = started(path)
    wait_for(lambda: len(records(tmp_path)) > len(before) + 20, "verdicts come again")
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0
    found = records(tmp_path)
    assert before <= {record["id"] for record in found}
    assert len({record["id"] for record in found}) == len(found)


def test_the_log_can_be_json(station_file, image_folder):
    path = station_file(f"name: a, source: {image_folder}", log="json")
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "run", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {"time", "level", "logger", "message"} == set(events[0])
    assert any("runs with onnxruntime" in event["message"] for event in events)


@pytest.mark.parametrize("there", [False, True])
def test_a_station_that_is_refused_leaves_nothing_behind(station_file, tmp_path, there):
    if there:
        (tmp_path / "data").mkdir()
    path = station_file("name: a, source: nowhere.avi")
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "run", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert (tmp_path / "data").exists() == there
    assert not list(tmp_path.glob("data/history*"))


def test_a_station_that_could_read_nothing_does_not_end_well(station_file, tmp_path):
    (tmp_path / "line.avi").write_text("no video")
    path = station_file(f"name: a, source: {tmp_path / 'line.avi'}")
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "run", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("ganspect: no camera gave a frame: a: ")


def test_two_stations_do_not_share_a_folder(station_file, started, video_file):
    path = station_file(f"name: line, source: {video_file}, loop: true")
    started(path)
    ended = subprocess.run(
        [sys.executable, "-c", MAIN, "run", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "another station is running with the data folder" in ended.stderr


def test_a_source_that_cannot_exist_is_refused_before_anything_starts(station_file, tmp_path):
    with pytest.raises(SourceError, match=r"camera a: .*nowhere\.avi' does not exist"):
        Station.open(read_station(station_file("name: a, source: nowhere.avi")), tmp_path)
    with pytest.raises(SourceError, match="there is no such folder"):
        Station.open(read_station(station_file("name: a, source: 'watch:nowhere'")), tmp_path)


def test_a_folder_that_cannot_be_written(station_file, image_folder, tmp_path):
    (tmp_path / "data").write_text("a file in the way")
    with pytest.raises(OutputError, match="is no folder; choose another one"):
        Station.open(read_station(station_file(f"name: a, source: {image_folder}")), tmp_path)


def test_credentials_are_in_no_log_and_no_result(station_file, started, video_file, tmp_path):
    path = station_file(
        f"name: line, source: {video_file}, loop: true",
        "name: away, source: 'rtsp://admin:hunter2@127.0.0.1:9/1', open_timeout_s: 1",
    )
    process = started(path)
    wait_for(lambda: (tmp_path / "data/history.sqlite").exists() and len(records(tmp_path)) > 5, "verdicts come")
    seen = []
    while not any("away is lost" in line for line in seen):
        seen.append(process.stderr.readline())
    process.terminate()
    out, err = process.communicate(timeout=20)
    everything = out + err + "".join(seen) + json.dumps(records(tmp_path))
    assert "rtsp://***@127.0.0.1:9/1 was refused" in everything
    assert "hunter2" not in everything
