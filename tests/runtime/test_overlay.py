import resource

import numpy as np
import pytest

from ganspect.errors import ImageError, OutputError
from ganspect.opencv import cv2
from ganspect.preprocess import TileGrid
from ganspect.runtime.overlay import OverlayVideo, overlay, side_by_side, to_picture
from ganspect.runtime.regions import Region
from tests.runtime.test_results import make_verdict

GRID = TileGrid((32, 32), 1)


@pytest.fixture
def picture():
    return np.full((300, 260, 3), 90, np.uint8)


@pytest.fixture
def verdict():
    heat_map = np.zeros((300, 260), np.float32)
    heat_map[100:150, 50:90] = 0.4
    return make_verdict(heat_map=heat_map, regions=(Region((50, 100, 90, 150), 2000, 0.4),))


def test_a_grey_frame_becomes_a_colour_picture():
    frame = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(to_picture(frame, GRID), np.repeat(frame[..., None], 3, axis=2))


def test_a_colour_frame_keeps_its_order():
    frame = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    np.testing.assert_array_equal(to_picture(frame, GRID), frame)


def test_deep_frames_become_8_bit():
    frame = np.full((3, 4), 1 << 11, np.uint16)
    assert np.all(to_picture(frame, TileGrid((32, 32), 1, 12)) == 128)


def test_a_frame_that_the_model_cannot_take_is_no_picture():
    with pytest.raises(ImageError):
        to_picture(np.zeros((3, 4, 4), np.uint8), GRID)


def test_heat_is_drawn_where_the_map_is_hot(picture, verdict):
    drawn = overlay(picture, verdict, full_scale=0.4)
    bar = drawn.shape[0] - 300
    panel = drawn[bar:]
    assert drawn.shape == (300 + bar, 260, 3)
    assert np.all(panel[200:, 150:] == 90)
    assert np.abs(panel[125, 70].astype(int) - 90).max() > 40
    assert np.all(panel[100, 50:90] == 255)
    assert np.all(panel[100:150, 89] == 255)


@pytest.mark.parametrize("name", ["normal", "anomalous", "undecided"])
def test_every_verdict_has_its_colour(picture, name):
    verdict = make_verdict(verdict=name, heat_map=np.zeros((300, 260), np.float32), regions=())
    drawn = overlay(picture, verdict, full_scale=0.4)
    others = [
        overlay(picture, make_verdict(verdict=other, heat_map=verdict.heat_map, regions=()), full_scale=0.4)
        for other in {"normal", "anomalous", "undecided"} - {name}
    ]
    assert all(np.any(drawn[0, 0] != other[0, 0]) for other in others)


def test_small_frames_are_enlarged_with_their_boxes():
    verdict = make_verdict(heat_map=np.zeros((28, 30), np.float32), regions=(Region((4, 5, 10, 12), 9, 0.3),))
    drawn = overlay(np.zeros((28, 30, 3), np.uint8), verdict, full_scale=0.4)
    height, width = drawn.shape[:2]
    assert (height - 26, width) == (28 * 9, 30 * 9)
    assert np.all(drawn[26 + 5 * 9, 4 * 9 : 10 * 9] == 255)


def test_the_frame_stands_beside_its_overlay(picture, verdict):
    drawn = side_by_side(picture, verdict, full_scale=0.4)
    right = overlay(picture, verdict, full_scale=0.4)
    np.testing.assert_array_equal(drawn[:, 260:], right)
    np.testing.assert_array_equal(drawn[-300:, :260], picture)


def test_a_video_appears_when_it_is_whole(tmp_path, picture):
    path = tmp_path / "overlay.mp4"
    with OverlayVideo(path, frames_per_s=10) as video:
        for _ in range(5):
            video.add(picture[:, :251])
        assert not path.exists()
        assert [found.name[0] for found in tmp_path.iterdir()] == ["."]
        video.finish()
    capture = cv2.VideoCapture(str(path))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    assert capture.read()[1].shape == (300, 252, 3)
    assert [found.name for found in tmp_path.iterdir()] == ["overlay.mp4"]


def test_pictures_of_other_sizes_are_fitted(tmp_path, picture):
    with OverlayVideo(tmp_path / "overlay.mp4", frames_per_s=10) as video:
        video.add(picture)
        video.add(np.full((40, 500, 3), 200, np.uint8))
        video.finish()
    capture = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    capture.read()
    second = capture.read()[1]
    assert second.shape == (300, 260, 3)
    assert second[10, 130].min() > 150
    assert second[200, 130].max() < 40


def test_an_unfinished_video_is_removed(tmp_path, picture):
    with OverlayVideo(tmp_path / "overlay.mp4", frames_per_s=10) as video:
        video.add(picture)
    assert list(tmp_path.iterdir()) == []


def test_no_picture_gives_no_video(tmp_path):
    with OverlayVideo(tmp_path / "overlay.mp4", frames_per_s=10) as video:
        video.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_gives_no_video(tmp_path):
    random = np.random.default_rng(0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with OverlayVideo(tmp_path / "overlay.mp4", frames_per_s=10) as video:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        try:
            for _ in range(10):
                video.add(random.integers(0, 256, (240, 320, 3), np.uint8))
            with pytest.raises(OutputError, match=r"cannot write .*overlay\.mp4 to its end"):
                video.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_video_is_an_error(tmp_path, picture):
    with (
        OverlayVideo(tmp_path / "nowhere/overlay.mp4", frames_per_s=10) as video,
        pytest.raises(OutputError, match="no MPEG-4 encoder"),
    ):
        video.add(picture)
