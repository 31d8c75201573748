import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from station_rig.streams import RtspServer, rtsp_is_missing

from ganspect.bundle import open_bundle
from ganspect.cli.options import level_range
from ganspect.errors import CalibrationError, ConfigError, ImageError, OutputError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.results import KEYS, ResultsFile
from ganspect.runtime.screening import ScreenOptions, screen_source
from tests.runtime.conftest import change_manifest, set_scale, set_threshold, write_video

ROOT = Path(__file__).resolve().parents[2]
SHARED_VIDEO = ROOT.parent / "shared/data/video/vtest.avi"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def strict_bundle(copy, tiny_bundle):
    """A bundle that finds every frame anomalous."""
    return set_threshold(copy(tiny_bundle), 0.0)


def screen(bundle, source, out, **options):
    return screen_source(bundle, str(source), out, ScreenOptions(**options))


def lines(out):
    text = (out / "results.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_video_gives_a_line_a_frame(tiny_bundle, video_file, out):
    screen(tiny_bundle, video_file, out)
    found = lines(out)
    assert [line["frame"] for line in found] == list(range(8))
    assert all(tuple(line) == KEYS for line in found)
    assert {line["source"] for line in found} == {str(video_file)}
    assert {line["mode"] for line in found} == {"search"}
    threshold = open_bundle(tiny_bundle).require_calibration().search.value
    assert {line["threshold"] for line in found} == {threshold}
    for line in found:
        assert line["anomalous"] == (line["verdict"] != "normal") == (line["score"] > threshold)
        assert set(line["latency_ms"]) == {"capture", "preprocess", "score", "search", "total"}
        parts = [value for name, value in line["latency_ms"].items() if name != "total"]
        assert line["latency_ms"]["total"] >= sum(parts) - 0.01
    assert names(out) == ["results.jsonl", "summary.json"]


def test_lines_and_summary_are_on_the_bundles_scale(copy, tiny_bundle, image_folder, out):
    folder = set_scale(copy(tiny_bundle), search=(0.1, 0.3), encoder=(0.05, 0.4))
    screen(folder, image_folder, out)
    threshold = (open_bundle(folder).require_calibration().search.value - 0.1) / (0.3 - 0.1)
    assert json.loads((out / "summary.json").read_text())["threshold"] == pytest.approx(threshold)
    for line in lines(out):
        assert line["threshold"] == pytest.approx(threshold)
        assert line["anomalous"] == (line["score"] > line["threshold"])


def test_the_summary_counts_the_lines(tiny_bundle, image_folder, out, capsys):
    summary = screen(tiny_bundle, image_folder, out)
    content = json.loads((out / "summary.json").read_text())
    verdicts = [line["verdict"] for line in lines(out)]
    assert content["frames"] == len(verdicts) == 4
    for verdict in ("normal", "anomalous", "undecided"):
        assert content[verdict] == verdicts.count(verdict)
    assert content["interrupted"] is False
    assert content == summary.to_dict()
    printed = capsys.readouterr().out
    assert "frames" in printed
    assert "p50 / p95 / p99" in printed


def test_an_image_is_one_line(strict_bundle, image_folder, out):
    screen(strict_bundle, image_folder / "part_2.png", out)
    (line,) = lines(out)
    assert (line["verdict"], line["outcome"], line["steps"]) == ("anomalous", "complete", 5)
    for region in line["regions"]:
        x1, y1, x2, y2 = region["xyxy"]
        assert 0 <= x1 < x2 <= 48
        assert 0 <= y1 < y2 <= 40
        assert 0 < region["area_px"] <= (x2 - x1) * (y2 - y1)


def test_encoder_mode_is_recorded(tiny_bundle, image_folder, out):
    screen(tiny_bundle, image_folder, out, mode="encoder")
    assert {(line["mode"], line["steps"], line["start_score"]) for line in lines(out)} == {("encoder", 0, None)}


def test_no_time_leaves_frames_undecided(strict_bundle, image_folder, out):
    summary = screen(strict_bundle, image_folder, out, budget_ms=0)
    assert {(line["verdict"], line["anomalous"], line["outcome"]) for line in lines(out)} == {
        ("undecided", True, "budget")
    }
    assert summary.to_dict()["undecided"] == 4


def test_other_steps_than_calibrated_are_a_warning(strict_bundle, image_folder, out):
    summary = screen(strict_bundle, image_folder, out, steps=2)
    assert {line["steps"] for line in lines(out)} == {2}
    assert "calibrated for 5 steps and 2 were asked for" in summary.warnings[0]


def test_pictures_of_anomalies_are_saved(strict_bundle, image_folder, out):
    screen(strict_bundle, image_folder, out, save_anomalies=True)
    assert names(out / "anomalies") == [f"part_{index}_{index:06d}.png" for index in range(4)]
    picture = cv2.imread(str(out / "anomalies/part_2_000002.png"))
    assert picture.shape == (40 * 6 + 26, 2 * 48 * 6, 3)


def test_normal_frames_get_no_picture(copy, tiny_bundle, image_folder, out):
    screen(set_threshold(copy(tiny_bundle), 1.0), image_folder, out, save_anomalies=True)
    assert not (out / "anomalies").exists()


def test_the_overlay_video_has_every_frame(tiny_bundle, video_file, out):
    screen(tiny_bundle, video_file, out, video=True)
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 8
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    assert names(out) == ["overlay.mp4", "results.jsonl", "summary.json"]


def test_a_run_may_end_after_some_frames(tiny_bundle, video_file, out):
    summary = screen(tiny_bundle, video_file, out, max_frames=3)
    assert len(lines(out)) == 3
    assert summary.warnings == []


def test_a_video_that_ends_early_is_a_warning(tiny_bundle, video_file, out):
    content = video_file.read_bytes()
    video_file.write_bytes(content[: (content.index(b"movi") + len(content)) // 2])
    summary = screen(tiny_bundle, video_file, out)
    assert 0 < len(lines(out)) < 8
    assert "ends early" in summary.warnings[0]
    assert summary.interrupted is False


def test_images_that_cannot_be_used_are_skipped_and_named(tiny_bundle, image_folder, out, capsys):
    (image_folder / "part_0.png").write_bytes(b"")
    cv2.imwrite(str(image_folder / "deep.png"), np.zeros((40, 48), np.uint16))
    cv2.imwrite(str(image_folder / "alpha.png"), np.zeros((40, 48, 4), np.uint8))
    summary = screen(tiny_bundle, image_folder, out)
    assert len(lines(out)) == 3
    assert sorted(Path(entry.name).name for entry in summary.skipped) == ["alpha.png", "deep.png", "part_0.png"]
    assert "deep.png: a frame of uint16 was given" in capsys.readouterr().out


def test_a_folder_of_unusable_images_is_an_error(tiny_bundle, tmp_path, out):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    cv2.imwrite(str(folder / "b.png"), np.zeros((40, 48), np.uint16))
    with pytest.raises(SourceError, match=r"nothing in .* can be inspected, 2 images were skipped: .*0 bytes"):
        screen(tiny_bundle, folder, out)
    assert names(out) == []


@pytest.mark.parametrize(("channels", "dtype", "reason"), [(4, np.uint8, "4 channels"), (1, np.uint16, "uint16")])
def test_the_only_image_must_be_usable(tiny_bundle, tmp_path, out, channels, dtype, reason):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 48, channels), dtype))
    with pytest.raises(ImageError, match=rf"a\.png.*{reason}"):
        screen(tiny_bundle, tmp_path / "a.png", out)


def test_an_older_run_is_replaced(strict_bundle, image_folder, video_file, out):
    screen(strict_bundle, image_folder, out, save_anomalies=True, video=True)
    screen(strict_bundle, video_file, out)
    assert len(lines(out)) == 8
    assert names(out) == ["anomalies", "results.jsonl", "summary.json"]
    assert names(out / "anomalies") == []


def test_a_run_that_cannot_start_leaves_the_older_one(strict_bundle, image_folder, tmp_path, out):
    screen(strict_bundle, image_folder, out)
    before = (out / "results.jsonl").read_bytes()
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(ImageError):
        screen(strict_bundle, tmp_path / "broken.png", out)
    with pytest.raises(SourceError):
        screen(strict_bundle, tmp_path / "nowhere", out)
    assert (out / "results.jsonl").read_bytes() == before
    assert (out / "summary.json").exists()


def test_a_folder_with_other_files_is_refused_before_work_starts(tiny_bundle, tmp_path, image_folder):
    with pytest.raises(OutputError, match=r"holds other files and no results\.jsonl"):
        screen(tiny_bundle, tmp_path / "nowhere", image_folder)


def test_an_uncalibrated_bundle_is_an_error(copy, tiny_bundle, image_folder, out):
    bundle = copy(tiny_bundle)
    (bundle / "calibration.json").unlink()
    with pytest.raises(CalibrationError, match="ganspect calibrate"):
        screen(bundle, image_folder, out)


def test_an_unknown_backend_is_an_error(tiny_bundle, image_folder, out):
    with pytest.raises(ConfigError, match="unknown backend"):
        screen(tiny_bundle, image_folder, out, backend="onyx")


def test_a_full_disk_ends_the_run_with_whole_lines(tiny_bundle, video_file, out, monkeypatch):
    original, written = ResultsFile.write, []

    def write(results, record):
        if len(written) == 3:
            raise OutputError("cannot write results.jsonl: the disk is full")
        written.append(record)
        original(results, record)

    monkeypatch.setattr(ResultsFile, "write", write)
    with pytest.raises(OutputError, match="the disk is full"):
        screen(tiny_bundle, video_file, out, video=True)
    assert len(lines(out)) == 3
    assert names(out) == ["results.jsonl"]


PROGRAM = """
import os, sys
import ganspect.runtime.capture.video as video

decode, calls = video.decode, []

def decode_and_signal(capture):
    calls.append(1)
    if len(calls) == 5:
        os.kill(os.getpid(), {signal})
    return decode(capture)

video.decode = decode_and_signal
from ganspect.cli import main
main()
"""


def command(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_finished_properly(tiny_bundle, video_file, out, number):
    program = PROGRAM.format(signal=int(number))
    ended = command(program, "screen", tiny_bundle, video_file, "--out", out, "--video")
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(lines(out)) == 4
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["frames"], summary["interrupted"]) == (4, True)
    capture = cv2.VideoCapture(str(out / "overlay.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 4
    assert "interrupted" in ended.stdout


def test_a_killed_run_leaves_nothing_that_looks_whole(tiny_bundle, video_file, out):
    program = PROGRAM.format(signal=int(signal.SIGKILL))
    ended = command(program, "screen", tiny_bundle, video_file, "--out", out, "--video")
    assert ended.returncode == -signal.SIGKILL
    assert len(lines(out)) == 4
    assert [name for name in names(out) if not name.startswith(".")] == ["results.jsonl"]
    screen(tiny_bundle, video_file, out, video=True)
    assert names(out) == ["overlay.mp4", "results.jsonl", "summary.json"]


MAIN = "from ganspect.cli import main; main()"


def test_a_bad_source_is_one_sentence_and_status_2(tiny_bundle, tmp_path, out):
    (tmp_path / "line.mp4").write_text("no video at all")
    ended = command(MAIN, "screen", tiny_bundle, tmp_path / "line.mp4", "--out", out)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"ganspect: {tmp_path / 'line.mp4'} is neither an image nor a video")
    assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(not SHARED_VIDEO.exists(), reason=f"{SHARED_VIDEO} is absent")
def test_a_street_is_screened(tiny_bundle, out):
    screen(tiny_bundle, SHARED_VIDEO, out, max_frames=20)
    assert len(lines(out)) == 20


def test_a_video_of_frames_that_the_model_cannot_take_is_an_error(copy, tiny_bundle, tmp_path, normal_frames, out):
    bundle = change_manifest(copy(tiny_bundle), image={"bits": 12})
    video = write_video(tmp_path / "line.avi", normal_frames)
    with pytest.raises(ImageError, match=r"line\.avi: a frame of uint8 was given, the model expects 12 bit"):
        screen(bundle, video, out)
    assert names(out) == []


def test_frames_that_the_budget_leaves_without_a_score_are_counted(copy, tiny_bundle, tmp_path, out):
    folder = change_manifest(copy(tiny_bundle), search={"burn_in": 2})
    image = tmp_path / "part.png"
    cv2.imwrite(str(image), np.zeros((40, 48), np.uint8))
    screen(folder, image, out, budget_ms=0)
    warnings = json.loads((out / "summary.json").read_text())["warnings"]
    assert "1 frames have no score: this bundle's scores count after 2 iterations" in warnings[0]
    assert lines(out)[0]["verdict"] == "undecided"


def test_the_tuning_reaches_the_backend(tiny_bundle, image_folder, tmp_path, monkeypatch):
    got, load = [], Inspector.load

    def noted(*arguments, **options):
        got.append(options["tuning"])
        return load(*arguments, **options)

    monkeypatch.setattr(Inspector, "load", noted)
    screen_source(
        tiny_bundle, str(image_folder), tmp_path / "out", ScreenOptions(tuning=Tuning(threads=1, arena=False))
    )
    assert got == [Tuning(threads=1, arena=False)]


def test_images_of_a_watched_folder_move_when_their_result_is_written(tiny_bundle, image_folder, tmp_path):
    options = ScreenOptions(max_frames=3)
    screen_source(tiny_bundle, f"watch:{image_folder}", tmp_path / "out", options)
    lines = (tmp_path / "out/results.jsonl").read_text().splitlines()
    moved = sorted(path.name for path in (image_folder / "done").iterdir())
    assert moved == sorted(Path(json.loads(line)["source"]).name for line in lines)
    assert len(moved) == 3


def test_a_source_of_12_bits_is_screened_by_its_range(tiny_bundle, normal_frames, tmp_path):
    (tmp_path / "deep").mkdir()
    for number, frame in enumerate(normal_frames[:3]):
        deep = np.rint(frame.astype(float) * (4095 / 255)).astype(np.uint16)
        deep[0, 0] = 5000 if number == 1 else 0
        cv2.imwrite(str(tmp_path / f"deep/{number}.png"), deep)
        shallow = frame.copy()
        shallow[0, 0] = 255 if number == 1 else 0
        (tmp_path / "shallow").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"shallow/{number}.png"), shallow)
    options = ScreenOptions(tuning=Tuning(threads=1), save_anomalies=True)
    found = screen_source(tiny_bundle, str(tmp_path / "deep"), tmp_path / "a", replace(options, levels=(0, 4095)))
    screen_source(tiny_bundle, str(tmp_path / "shallow"), tmp_path / "b", options)
    scores = [
        [json.loads(line)["score"] for line in (tmp_path / f"{out}/results.jsonl").read_text().splitlines()]
        for out in "ab"
    ]
    assert scores[0] == scores[1]
    assert len(scores[0]) == 3
    assert "1 frames had pixels beyond range 0,4095: clipped" in found.warnings


@pytest.mark.parametrize("text", ["4095", "9,9", "0,70000", "a,b", "-1,5"])
def test_a_range_that_is_none(text):
    with pytest.raises(ConfigError, match="is no range; give two levels with black < white, such as 0,4095"):
        level_range(text)


@pytest.mark.skipif(bool(rtsp_is_missing()), reason=rtsp_is_missing())
def test_the_password_of_a_stream_is_in_no_file_and_not_printed(tiny_bundle, out, capsys):
    server = RtspServer()
    try:
        source = server.url.replace("rtsp://", "rtsp://viewer:hunter2@")
        screen(tiny_bundle, source, out, max_frames=2)
    finally:
        server.kill()
    written = "".join(path.read_text() for path in out.iterdir() if path.is_file())
    printed = "".join(capsys.readouterr())
    assert "hunter2" not in written + printed
    assert json.loads((out / "summary.json").read_text())["source"].startswith("rtsp://***@127.0.0.1")
