"""Bundles that take over from one another while a station runs on a video that never ends."""

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ganspect.bundle import CALIBRATION, MANIFEST, Bundle, append_calibration, open_bundle
from ganspect.errors import BundleError, OutputError
from ganspect.files import sha256_of
from ganspect.runtime import Inspector
from ganspect.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from ganspect.runtime.station.self_test import self_test
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from ganspect.runtime.trust.keys import read_private_key, write_key_pair
from ganspect.runtime.trust.signature import sign_bundle
from tests.runtime.conftest import change_manifest, set_threshold
from tests.runtime.station.test_station import MAIN, ROOT, records, wait_for


class Line:
    """A station that runs in a thread, and the versions of its bundle."""

    def __init__(self, folder: Path, bundle: Path, video: Path, *lines: str) -> None:
        self.folder, self.original = folder, bundle
        self.version("v1")
        self.link("v1")
        self.file = folder / "station.yaml"
        own = ["bundle: bundle", "data: data", "inspection: {backend: onnxruntime, threads: 1}", *lines]
        camera = f"  - {{name: line, source: {video}, loop: true, policy: every}}"
        self.file.write_text("\n".join([*own, "cameras:", camera]) + "\n")

    def version(self, name: str, **changes: dict[str, object]) -> Path:
        """Copy the bundle to another version."""
        return change_manifest(shutil.copytree(self.original, self.folder / name), **changes)

    def link(self, name: str) -> None:
        """Move the link as the guide says: a new one, renamed over the old one."""
        (self.folder / "next").symlink_to(name)
        (self.folder / "next").replace(self.folder / "bundle")

    def start(self) -> None:
        self.station = Station.open(read_station(self.file), self.folder)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.station.run, args=(self._stopping,))
        self._thread.start()
        self.wait_for_frames(3)

    def stop(self) -> list[dict]:
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.station.close() == 0
        return sorted(records(self.folder), key=lambda record: record["sequence"])

    def wait_for_frames(self, count: int) -> None:
        begin = self.station.recorder.kept
        wait_for(lambda: self.station.recorder.kept >= begin + count, "frames are judged")

    def reload(self, **expected: int) -> None:
        """Reload, and wait until the status says so."""
        self.station.reload()
        assert self.station.swap.status().state != "idle"
        for key, value in expected.items():
            wait_for(lambda key=key, value=value: getattr(self.station.swap.status(), key) == value, f"{key} {value}")
        wait_for(lambda: self.station.swap.status().state == "idle", "it is over")


@pytest.fixture
def line(tmp_path: Path, tiny_bundle: Path, video_file: Path) -> Iterator[Callable[..., Line]]:
    """Return a function that starts a station with more lines in its file."""
    made: list[Line] = []

    def start(*lines: str, started: bool = True) -> Line:
        made.append(Line(tmp_path, tiny_bundle, video_file, *lines))
        if started:
            made[0].start()
        return made[0]

    yield start
    for one in made:
        if hasattr(one, "station"):
            one._stopping.set()
            one._thread.join(20)
            one.station.close()


def bundle_id(folder: Path) -> str:
    return sha256_of(folder / MANIFEST)[:16]


def judged(folder: Path) -> list[dict]:
    """Return the records of a station that may just be making its history."""
    try:
        return records(folder)
    except OutputError:
        return []


def assert_complete(found: list[dict]) -> None:
    assert [record["sequence"] for record in found] == list(range(len(found)))


def test_another_version_takes_over_between_two_frames_and_no_verdict_is_lost(line):
    running = line("sinks: [{kind: pictures}]")
    old = running.station.inspector
    second = running.version("v2")
    change_manifest(second, training={"source": "another day"})
    threshold = 2 * open_bundle(second).require_calibration().search.value
    set_threshold(second, threshold)
    running.link("v2")
    followed = []
    running.station.swap.followers.append(followed.append)
    running.reload(swapped=1)
    running.wait_for_frames(3)
    status = running.station.swap.status()
    assert (status.bundle, status.refused, status.error) == (bundle_id(second), 0, "")
    assert Path(status.folder) == second.resolve()
    assert followed == [running.station.inspector]
    assert running.station.sinks.pictures[0]._grid is running.station.inspector.grid
    wait_for(lambda: not old.backend._sessions, "the old one's graphs are freed")
    found = running.stop()
    assert_complete(found)
    ids = [record["bundle"] for record in found]
    first = ids.index(bundle_id(second))
    assert set(ids[:first]) == {bundle_id(running.folder / "v1")}
    assert set(ids[first:]) == {bundle_id(second)}
    # The threshold changes with the very verdict that the id changes with.
    assert {record["threshold"] for record in found[first:]} == {threshold}
    assert threshold not in {record["threshold"] for record in found[:first]}


def test_a_new_calibration_of_the_same_bundle_and_a_folder_that_was_renamed(line):
    running = line()
    raised = 2 * open_bundle(running.folder / "v1").require_calibration().search.value
    set_threshold(running.folder / "v1", raised)
    running.reload(swapped=1)
    assert running.station.inspector.threshold == raised
    second = running.version("v2")
    change_manifest(second, training={"source": "another day"})
    expected = bundle_id(second)
    (running.folder / "bundle").unlink()
    second.rename(running.folder / "bundle")
    running.reload(swapped=2)
    assert running.station.swap.status().bundle == expected
    assert_complete(running.stop())


def damaged(folder: Path) -> None:
    (folder / "search.onnx").write_bytes(b"no graph at all")


def no_graph(folder: Path) -> None:
    """A manifest that vouches for what is no graph."""
    damaged(folder)
    rehash(folder, "search.onnx")


def nan_weights(folder: Path) -> None:
    weights = folder / "weights.bin"
    values = np.frombuffer(weights.read_bytes(), np.float32)
    weights.write_bytes(np.full_like(values, np.nan).tobytes())
    rehash(folder, "weights.bin")


def rehash(folder: Path, name: str) -> None:
    change_manifest(folder, sha256={name: sha256_of(folder / name)})


def uncalibrated(folder: Path) -> None:
    (folder / CALIBRATION).unlink()


def other_bits(folder: Path) -> None:
    change_manifest(folder, image={"bits": 12})


def low_threshold(folder: Path) -> None:
    set_threshold(folder, 1e-9)


def no_tiles(folder: Path) -> None:
    record = open_bundle(folder).require_calibration()
    append_calibration(folder, record.model_copy(update={"tiles_file": None, "tiles_sha256": None}))


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (damaged, "search.onnx was changed"),
        (no_graph, "cannot load"),
        (nan_weights, "scores that are no numbers"),
        (uncalibrated, "has no threshold yet"),
        (other_bits, "takes images with bits 12, the bundle in force with 8"),
        (low_threshold, "flags 100% of the normal tiles that its calibration kept"),
        (no_tiles, "kept no images to compare on"),
        (gone, "is no bundle"),
    ],
)
def test_a_bad_version_is_refused_and_the_line_goes_on(line, harm, said):
    running = line()
    before = running.station.inspector
    harm(running.version("v2"))
    running.link("v2")
    running.reload(refused=1)
    status = running.station.swap.status()
    assert said in status.error
    assert status.swapped == 0
    assert running.station.inspector is before
    running.wait_for_frames(3)
    found = running.stop()
    assert_complete(found)
    assert {record["bundle"] for record in found} == {bundle_id(running.folder / "v1")}


@pytest.mark.parametrize(("key", "value"), [("channels", 3), ("colour_order", "rgb"), ("bits", 16)])
def test_a_bundle_for_another_kind_of_camera_is_refused(tiny_bundle, key, value):
    new = open_bundle(tiny_bundle)
    image = new.manifest.image.model_copy(update={key: value})
    old = Bundle(new.folder, new.manifest.model_copy(update={"image": image}), new.calibration, "")
    with Inspector.load(tiny_bundle) as inspector:
        before = SimpleNamespace(bundle=old)
        with pytest.raises(BundleError, match=f"takes images with {key} .*, the bundle in force with {value}"):
            self_test(inspector, before, {})


def test_a_camera_whose_frames_it_cannot_judge(tiny_bundle):
    with Inspector.load(tiny_bundle) as inspector:
        frames = {"upper": np.zeros((40, 48), np.uint16)}
        with pytest.raises(BundleError, match="cannot judge the frames of camera upper: a frame of uint16 was given"):
            self_test(inspector, inspector, frames)


def test_scores_that_are_not_the_references_are_refused(line, monkeypatch):
    run = OnnxRuntimeCpu.run

    def wrong(self, graph, inputs):
        outputs = run(self, graph, inputs)
        if self._forms["fp32"] and "best_score_out" in outputs:  # what runs the line, and not the reference
            outputs["best_score_out"] = (
                outputs["best_score_out"].max() + outputs["best_score_out"].min() - outputs["best_score_out"]
            )
        return outputs

    running = line()
    monkeypatch.setattr(OnnxRuntimeCpu, "run", wrong)
    running.reload(refused=1)
    assert "onnxruntime in fp32 does not give the reference's verdicts" in running.station.swap.status().error


def test_a_bundle_that_fails_in_its_first_frames_is_rolled_back_and_no_frame_is_lost(line):
    running = line()
    before = running.station.inspector
    second = running.version("v2")
    change_manifest(second, training={"source": "another day"})
    running.link("v2")

    def fail_soon(inspector):
        inspect, calls = inspector.inspect, []

        def inspected(frame):
            calls.append(frame)
            if len(calls) > 4:
                raise MemoryError("no memory left")
            return inspect(frame)

        if inspector is not before:
            inspector.inspect = inspected

    running.station.swap.followers.append(fail_soon)
    running.reload(swapped=1, rolled_back=1)
    running.wait_for_frames(3)
    status = running.station.swap.status()
    assert (status.bundle, status.error) == (bundle_id(running.folder / "v1"), "no memory left")
    assert running.station.inspector is before
    found = running.stop()
    assert_complete(found)
    assert [record["bundle"] for record in found].count(bundle_id(second)) == 4
    assert running.station.counts.of("line").unusable == 0


def test_a_roll_back_holds_when_somebody_cannot_follow(line, caplog, monkeypatch):
    def cannot(inspector):
        raise OSError("the folder is gone")

    running = line()
    running.station.swap.followers.insert(0, cannot)
    old = running.station.inspector
    change_manifest(running.version("v2"), training={"source": "another day"})
    running.link("v2")
    running.station.reload()
    wait_for(lambda: running.station.inspector is not old, "it is in force")
    monkeypatch.setattr(
        running.station.inspector, "inspect", lambda frame: (_ for _ in ()).throw(MemoryError("broken"))
    )
    wait_for(lambda: running.station.swap.status().rolled_back == 1, "it is rolled back")
    assert running.station.inspector is old
    running.wait_for_frames(25)
    running.stop()
    assert "not everything follows bundle" in caplog.text
    assert running.station.counts.of("line").unusable == 0


def test_a_frame_that_the_old_one_cannot_judge_either_rolls_nothing_back(line):
    running = line()
    failing = threading.Event()

    def fail_both(inspector):
        def inspected(frame):
            if not failing.is_set():
                return type(inspector).inspect(inspector, frame)
            failing.clear()
            running.station.swap._before.inspect = lambda _: (_ for _ in ()).throw(ValueError("old"))
            raise ValueError("new")

        inspector.inspect = inspected

    running.station.swap.followers.append(fail_both)
    failing.set()
    running.reload(swapped=1)
    running.wait_for_frames(3)
    assert running.station.counts.of("line").unusable == 1
    assert running.station.swap.status().rolled_back == 0


def test_what_is_asked_in_a_trial_ends_it_and_is_done_afterwards(line):
    running = line()
    for expected in (1, 2, 3):
        running.station.reload()
        wait_for(lambda expected=expected: running.station.swap.status().swapped == expected, "it takes over")
    assert running.station.swap.status().refused == 0
    assert_complete(running.stop())


def test_a_station_that_trusts_a_key_starts_with_no_other_bundle_and_takes_none(line, tmp_path):
    running = line("trust: {public_key: line.pub.pem, signed_calibration: true}", started=False)
    write_key_pair(tmp_path / "line.pem")
    key = read_private_key(tmp_path / "line.pem")
    with pytest.raises(BundleError, match="is not signed"):
        running.start()
    sign_bundle(tmp_path / "v1", key, calibration=True)
    running.start()
    second = running.version("v2")
    change_manifest(second, training={"source": "another day"})
    running.link("v2")
    running.reload(refused=1)
    assert "is not signed" in running.station.swap.status().error
    sign_bundle(second, key)
    running.reload(refused=2)
    assert "the calibration of" in running.station.swap.status().error
    sign_bundle(second, key, calibration=True)
    running.reload(swapped=1)
    assert running.station.swap.status().bundle == bundle_id(second)
    assert_complete(running.stop())


def test_the_station_ends_while_a_bundle_is_on_trial(line):
    running = line()
    running.station.reload()
    wait_for(lambda: running.station.swap.status().state == "trial", "it is on trial")
    assert_complete(running.stop())


@pytest.fixture
def process(line) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts the station as a process, of a session of its own where it is asked."""
    started = []

    def start(**options: object) -> tuple[Line, subprocess.Popen]:
        made = line(started=False)
        program = [sys.executable, "-c", MAIN, "run", str(made.file)]
        started.append(subprocess.Popen(program, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options))
        wait_for(lambda: len(judged(made.folder)) > 3, "verdicts come")
        return made, started[0]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_sighup_swaps_in_a_real_process(process):
    made, running = process(stdout=subprocess.PIPE, start_new_session=True)
    second = made.version("v2")
    change_manifest(second, training={"source": "another day"})
    made.link("v2")
    running.send_signal(signal.SIGHUP)
    wait_for(lambda: bundle_id(second) in {record["bundle"] for record in records(made.folder)}, "the new one judges")
    running.terminate()
    _, err = running.communicate(timeout=20)
    assert running.returncode == 0, err
    assert f"bundle {bundle_id(second)} from {second.resolve()} is in force" in err
    assert_complete(sorted(records(made.folder), key=lambda record: record["sequence"]))


def test_a_terminal_that_is_gone_ends_the_station(process):
    ours, theirs = pty.openpty()
    try:
        # The first thing that a session leader without a terminal opens becomes its terminal.
        name = os.ttyname(theirs)
        _, running = process(
            stdout=theirs,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(name, os.O_RDWR)),
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert running.wait(20) is not None
    assert "loaded anew" not in running.stderr.read()
