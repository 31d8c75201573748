"""The latency of streams in its short form, and the time code that it rests on."""

import time

import numpy as np
import pytest
from station_rig.parts import normal_part
from station_rig.streams import rtsp_is_missing
from station_rig.time_code import BITS, BLOCK, UNIT_NS, read_time_code
from stream_latency import CAMERAS, main, run

from tests.runtime.conftest import write_video


def coded(taken_ns: int) -> np.ndarray:
    """Return a frame with a strip, as the camera writes it."""
    bits = np.asarray([taken_ns // UNIT_NS >> place & 1 for place in reversed(range(BITS))])
    row = np.repeat(np.where(bits, 235, 16), BLOCK).astype(np.uint8)
    frame = np.full((360, 640, 3), 90, np.uint8)
    frame[:BLOCK] = row[None, :, None]
    frame[BLOCK : 2 * BLOCK] = 251 - row[None, :, None]
    return frame


def test_a_time_code_is_read_and_a_torn_one_is_none():
    taken_ns = time.monotonic_ns()
    frame = coded(taken_ns)
    assert 0 <= taken_ns - read_time_code(frame) < UNIT_NS
    frame[:BLOCK, 320:] = coded(taken_ns + 10**12)[:BLOCK, 320:]
    assert read_time_code(frame) is None
    assert read_time_code(np.full((360, 640, 3), 90, np.uint8)) is None


@pytest.mark.skipif(bool(rtsp_is_missing()), reason=rtsp_is_missing())
def test_station_and_loop_are_measured_on_the_same_streams(tiny_bundle, tmp_path):
    random = np.random.default_rng(4)
    video = write_video(tmp_path / "line.avi", [normal_part(random) for _ in range(8)])
    found = run(0.06, tmp_path, bundle=tiny_bundle, video=video, backend="onnxruntime", budget_ms=500)
    for one in (found["station"], found["loop"]):
        assert set(one["verdicts_per_s"]) == set(CAMERAS)
        assert one["verdicts"] > 10
        assert one["unreadable"] == 0
        age = one["capture_to_verdict_ms"]
        assert 0 < age["p50"] <= age["p95"] <= age["p99"] <= age["max"] < 5000
        assert one["iterations_mean"] >= 1
        assert one["cores_used"]["this"] > 0
    assert found["station"]["captured"]["left"] > 10


def test_a_video_that_is_not_there_is_named(tmp_path, capsys):
    if rtsp_is_missing():
        pytest.skip(rtsp_is_missing())
    assert main(["--video", str(tmp_path / "none.avi"), "--out", str(tmp_path)]) == 2
    assert "does not exist; run make demo, or give --video" in capsys.readouterr().err
