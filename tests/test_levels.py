"""A camera's raw levels brought to the model's by a declared range."""

import numpy as np
import pytest

from ganspect.errors import ImageError
from ganspect.opencv import cv2
from ganspect.preprocess import Levels, TileGrid, to_tiles

DEPTHS = [(np.uint8, 0, 255), (np.uint16, 0, 1023), (np.uint16, 0, 4095), (np.uint16, 0, 65535), (np.uint16, 200, 3900)]
LARGEST = {8: 255, 12: 4095, 16: 65535}


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("dtype", "black", "white"), DEPTHS)
def test_every_depth_feeds_every_model_exactly_at_both_ends(dtype, black, white, bits):
    frame = np.linspace(black, white, 40 * 48).round().astype(dtype).reshape(40, 48)
    found, beyond = Levels(black, white, bits).apply(frame)
    assert (found.dtype, beyond) == (np.uint8 if bits == 8 else np.uint16, 0)
    assert (found[0, 0], found[-1, -1]) == (0, LARGEST[bits])
    exact = (frame.astype(float) - black) * LARGEST[bits] / (white - black)
    assert np.abs(found - exact).max() <= 0.5
    tile = to_tiles(found, TileGrid((40, 48), 1, bits=bits)).images[0, ..., 0]
    assert (tile[0, 0], tile[-1, -1]) == (0, 255)
    assert np.abs(tile.astype(float) - exact * 255 / LARGEST[bits]).max() <= 1


def test_a_model_sees_the_same_part_through_a_camera_of_8_and_one_of_12_bits():
    shallow = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = np.rint(shallow * (4095 / 255)).astype(np.uint16)
    assert (Levels(0, 4095, 8).apply(deep)[0] == shallow).all()


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_what_is_beyond_is_clipped_and_counted_by_pixels(channels):
    frame = np.full((10, 12, *channels), 500, np.uint16)
    frame[0, 0], frame[3, 4], frame[5, 6] = 99, 901, 65535
    frame[7, 7], frame[8, 8] = 100, 900
    found, beyond = Levels(100, 900, 8).apply(frame)
    assert beyond == 3
    found = found.reshape(10, 12, -1)
    assert [int(found[place].max()) for place in ((0, 0), (3, 4), (5, 6), (7, 7), (8, 8))] == [0, 255, 255, 0, 255]


def test_one_colour_that_is_beyond_counts_its_pixel():
    frame = np.full((4, 4, 3), 10, np.uint8)
    frame[1, 2, 1] = 201
    assert Levels(0, 200, 8).apply(frame)[1] == 1


def test_a_part_of_a_larger_frame_is_converted_too():
    frame = np.arange(2000, dtype=np.uint16).reshape(40, 50)
    assert (Levels(0, 1999, 8).apply(frame[5:20, 7:31])[0] == Levels(0, 1999, 8).apply(frame)[0][5:20, 7:31]).all()


def test_an_opencv_that_looks_up_8_bit_only_gives_the_same(monkeypatch):
    frame = np.random.default_rng(0).integers(0, 4096, (30, 40, 3)).astype(np.uint16)
    expected, _ = Levels(50, 4000, 12).apply(frame)

    def older(source, table):
        raise cv2.error("(lutcn == cn || lutcn == 1) && _lut.total() == 256")

    monkeypatch.setattr(cv2, "LUT", older)
    found, _ = Levels(50, 4000, 12).apply(frame)
    assert (found == expected).all()
    assert found.dtype == expected.dtype


def test_a_range_that_the_frame_cannot_reach_is_refused():
    with pytest.raises(ImageError, match=r"range is \[0, 4095\], but the frame has 8 bit and ends at 255; ask the cam"):
        Levels(0, 4095, 8).apply(np.zeros((4, 4), np.uint8))


def test_other_numbers_are_refused():
    with pytest.raises(ImageError, match="a frame of float32 was given; expected uint8 or uint16"):
        Levels(0, 255, 8).apply(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize(
    ("frame", "bits", "white"),
    [
        (np.full((4, 4), 900, np.uint16), 8, 4095),
        (np.full((4, 4), 5000, np.uint16), 8, 65535),
        (np.full((4, 4), 5000, np.uint16), 12, 65535),
        (np.full((4, 4), 200, np.uint8), 12, 255),
    ],
)
def test_without_a_range_a_mismatch_says_what_to_write(frame, bits, white):
    with pytest.raises(ImageError, match=rf"such as 'range: \[0, {white}\]' in the station file or --range 0,{white}"):
        to_tiles(frame, TileGrid((32, 32), 1, bits=bits))
