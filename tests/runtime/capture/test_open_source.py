import time
from pathlib import Path

import numpy as np
import pytest

from ganspect.errors import ImageError, SourceError
from ganspect.opencv import cv2
from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.source import SourceSettings
from tests.runtime.conftest import write_video

SHARED_VIDEOS = Path(__file__).resolve().parents[3].parent / "shared/data/video"
needs_shared_videos = pytest.mark.skipif(not SHARED_VIDEOS.is_dir(), reason=f"{SHARED_VIDEOS} is absent")


def shots(text):
    with open_source(str(text)) as source:
        return list(source), source


def test_an_image_is_one_frame(image_folder, normal_frames):
    path = image_folder / "part_0.png"
    (shot,), source = shots(path)
    np.testing.assert_array_equal(shot.frame, normal_frames[0])
    assert (shot.source, shot.frame_index, shot.timestamp_ns) == (str(path), 0, path.stat().st_mtime_ns)
    assert shot.capture_ms > 0
    assert (source.length, source.many) == (1, False)


def test_a_folder_gives_its_images_by_name(image_folder):
    (image_folder / "notes.txt").write_text("not an image")
    found, source = shots(image_folder)
    assert [Path(shot.source).name for shot in found] == [f"part_{index}.png" for index in range(4)]
    assert [shot.frame_index for shot in found] == [0, 1, 2, 3]
    assert (source.length, source.many) == (4, True)


def test_unreadable_images_of_a_folder_are_skipped_and_named(image_folder):
    (image_folder / "part_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (image_folder / "part_2.jpg").write_bytes(b"")
    found, source = shots(image_folder)
    assert [shot.frame_index for shot in found] == [0, 3, 4]
    assert [Path(entry.name).name for entry in source.skipped] == ["part_1.png", "part_2.jpg"]
    assert "0 bytes" in source.skipped[1].reason


def test_the_only_image_must_be_readable(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(ImageError, match="is empty"):
        shots(tmp_path / "broken.png")


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="holds no images"):
        open_source(str(tmp_path))


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere\.mp4' does not exist; give an image"):
        open_source(str(tmp_path / "nowhere.mp4"))


def test_nothing_is_no_source():
    with pytest.raises(SourceError, match="the source '' is none: it is empty"):
        open_source("")


@pytest.mark.parametrize("text", ["-1", "123456789012"])
def test_what_is_neither_a_path_nor_a_camera_number_is_an_error(text):
    with pytest.raises(SourceError, match=f"'{text}' does not exist"):
        open_source(text)


def test_a_video_is_read_to_its_end(video_file, normal_frames):
    found, source = shots(video_file)
    assert len(found) == source.length == 8
    assert source.frames_per_s == 10
    assert [shot.frame_index for shot in found] == list(range(8))
    assert [shot.timestamp_ns for shot in found] == [index * 100_000_000 for index in range(8)]
    assert {shot.source for shot in found} == {str(video_file)}
    assert found[3].frame.shape == (40, 48, 3)
    assert np.abs(found[3].frame[..., 0].astype(int) - normal_frames[3]).mean() < 12
    assert source.warnings == []


def test_a_video_that_ends_early_is_read_as_far_as_it_goes(video_file):
    content = video_file.read_bytes()
    video_file.write_bytes(content[: (content.index(b"movi") + len(content)) // 2])
    found, source = shots(video_file)
    assert 0 < len(found) < 8
    assert source.warnings == [
        f"{video_file} ends early: {len(found)} of the 8 frames that it promises could be decoded"
    ]


def test_a_video_without_frames_is_an_error(video_file):
    content = video_file.read_bytes()
    empty = video_file.with_name("empty.avi")
    empty.write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(SourceError, match="without a frame that can be decoded"):
        open_source(str(empty))


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 50])
def test_a_file_that_is_no_video_is_an_error(tmp_path, content):
    path = tmp_path / "line.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="neither an image nor a video"):
        open_source(str(path))


def test_a_camera_that_is_not_there_is_an_error(capfd):
    with pytest.raises(SourceError, match="camera 61 is not there"):
        open_source("61")
    assert capfd.readouterr().err == ""


def test_a_file_whose_name_is_a_number_is_no_camera(tmp_path, monkeypatch, normal_frames):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "line.avi", normal_frames).rename("7")
    found, _ = shots("7")
    assert len(found) == 8


class FakeDevice:
    """Stands in for /dev/video0, which a machine without a camera has not."""

    def __init__(self, frames):
        self._frames = iter(frames)

    def isOpened(self):  # noqa: N802  (OpenCV's name)
        return True

    def get(self, _):
        return 30.0

    def read(self):
        frame = next(self._frames, None)
        return frame is not None, frame

    def release(self):
        pass


def test_a_camera_gives_the_time_of_day_and_its_end_is_an_error(monkeypatch, normal_frames):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeDevice(normal_frames[:2]))
    before_ns = time.time_ns()
    with open_source("0") as source:
        frames = iter(source)
        found = [next(frames), next(frames)]
        with pytest.raises(SourceError, match="camera:0 stopped giving frames after 2"):
            next(frames)
    assert [(shot.source, shot.frame_index) for shot in found] == [("camera:0", 0), ("camera:0", 1)]
    assert before_ns <= found[0].timestamp_ns <= found[1].timestamp_ns <= time.time_ns()
    assert (source.length, source.frames_per_s) == (None, 30.0)


@pytest.mark.parametrize("pixel_format", ["Y16", "Y12 ", "MJPG"])
def test_a_device_by_its_stable_name_is_asked_as_one_by_its_number(monkeypatch, normal_frames, pixel_format):
    asked, opened = [], []

    class Asked(FakeDevice):
        def set(self, key, value):
            asked.append((key, value))

    def capture(target, *_):
        opened.append(target)
        return Asked(normal_frames[:1])

    settings = SourceSettings(size_hw=(480, 640), frames_per_s=30, pixel_format=pixel_format)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    monkeypatch.setattr("os.path.realpath", lambda path: "/dev/video7" if "by-id" in path else path)
    with open_source("/dev/v4l/by-id/usb-cam-index0", settings) as source:
        assert source.name == "/dev/v4l/by-id/usb-cam-index0"
    by_name = list(asked)
    asked.clear()
    with open_source("7", settings):
        assert asked == by_name
    assert opened == [7, 7]
    letters = cv2.VideoWriter.fourcc(*pixel_format.ljust(4))
    raw = [] if pixel_format == "MJPG" else [(cv2.CAP_PROP_CONVERT_RGB, 0)]
    size = [(cv2.CAP_PROP_FRAME_WIDTH, 640), (cv2.CAP_PROP_FRAME_HEIGHT, 480), (cv2.CAP_PROP_FPS, 30)]
    assert by_name == [(cv2.CAP_PROP_FOURCC, letters), *raw, *size]


def test_a_device_that_is_unplugged_is_no_missing_file():
    with pytest.raises(SourceError, match="camera /dev/v4l/by-id/none is not there or in use; see 'ls -l /dev/v4l/by"):
        open_source("/dev/v4l/by-id/none")


@needs_shared_videos
def test_a_container_that_counts_time_slots_does_not_end_early():
    found, source = shots(SHARED_VIDEOS / "tree.avi")
    assert len(found) == 68 < source.length
    assert source.warnings == []
    times_ns = [shot.timestamp_ns for shot in found]
    assert times_ns == sorted(times_ns)


@needs_shared_videos
def test_a_truncated_recording_says_so(tmp_path):
    content = (SHARED_VIDEOS / "vtest.avi").read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(content[: len(content) // 8])
    found, source = shots(cut)
    assert 50 < len(found) < 150
    assert "of the 795 frames" in source.warnings[0]
