import numpy as np
import pytest

from ganspect.errors import ImageError
from ganspect.preprocess import TileGrid, convert, resize, stitch, to_tiles

GREY = TileGrid((32, 32), 1)
COLOUR = TileGrid((32, 32), 3)
CUT = TileGrid((32, 32), 1, fit="tiles", overlap=0.25)


def _frame(*shape: int, dtype: type = np.uint8, highest: int = 255) -> np.ndarray:
    return np.random.default_rng(0).integers(0, highest + 1, shape).astype(dtype)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3), (16, 20), (32, 32)])
@pytest.mark.parametrize("grid", [GREY, COLOUR])
def test_a_whole_frame_becomes_one_tile(shape, grid):
    tiles = to_tiles(_frame(*shape), grid)
    assert tiles.images.shape == (1, 32, 32, grid.channels)
    assert tiles.images.dtype == np.uint8
    assert tiles.frame_hw == shape[:2]


def test_a_frame_of_the_models_size_is_passed_on_unchanged():
    frame = _frame(32, 32)
    assert (to_tiles(frame, GREY).images[0, ..., 0] == frame).all()


def test_colour_is_turned_from_bgr_to_rgb():
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[..., 0] = 200
    assert to_tiles(frame, COLOUR).images[0, 0, 0].tolist() == [0, 0, 200]


def test_grey_frames_give_three_equal_channels():
    images = to_tiles(_frame(32, 32), COLOUR).images
    assert (images[..., 0] == images[..., 1]).all()
    assert (images[..., 0] == images[..., 2]).all()


def test_colour_frames_give_grey_by_luminance():
    frame = np.zeros((32, 32, 3), np.uint8)
    frame[..., 2] = 255
    assert to_tiles(frame, GREY).images[0, 0, 0, 0] == 76


def test_a_frame_that_is_not_square_keeps_height_before_width():
    assert to_tiles(_frame(100, 50), TileGrid((48, 64), 1)).images.shape == (1, 48, 64, 1)


@pytest.mark.parametrize(("bits", "highest", "expected"), [(12, 4095, 255), (16, 65535, 255), (12, 16, 1)])
def test_deep_frames_keep_their_highest_eight_bits(bits, highest, expected):
    grid = TileGrid((32, 32), 1, bits=bits)
    assert (to_tiles(np.full((32, 32), highest, np.uint16), grid).images == expected).all()


def test_the_tiles_cover_every_pixel_and_stay_inside():
    tiles = to_tiles(_frame(70, 101), CUT)
    seen = np.zeros((70, 101), int)
    for y, x in tiles.corners_yx:
        seen[y : y + 32, x : x + 32] += 1
        assert 0 <= y <= 70 - 32
        assert 0 <= x <= 101 - 32
    assert seen.min() >= 1


def test_neighbouring_tiles_overlap_as_asked():
    assert sorted({x for _, x in to_tiles(_frame(32, 80), CUT).corners_yx}) == [0, 24, 48]


def test_a_tile_holds_the_pixels_at_its_corner():
    frame = _frame(70, 101)
    tiles = to_tiles(frame, CUT)
    for image, (y, x) in zip(tiles.images, tiles.corners_yx, strict=True):
        assert (image[..., 0] == frame[y : y + 32, x : x + 32]).all()


def test_cut_frames_are_stitched_where_they_were():
    frame = _frame(70, 101)
    tiles = to_tiles(frame, CUT)
    heat_map = stitch(tiles.images[..., 0].astype(np.float32), tiles)
    assert heat_map.dtype == np.float32
    assert (heat_map == frame).all()


def test_the_largest_residual_wins_where_tiles_overlap():
    tiles = to_tiles(_frame(32, 56), CUT)
    residuals = np.stack([np.full((32, 32), value, np.float32) for value in (0.7, 0.2)])
    heat_map = stitch(residuals, tiles)
    assert tiles.corners_yx == ((0, 0), (0, 24))
    assert heat_map[0, 24] == np.float32(0.7)
    assert heat_map[0, 31] == np.float32(0.7)
    assert heat_map[0, 32] == np.float32(0.2)


@pytest.mark.parametrize("grid", [GREY, CUT])
@pytest.mark.parametrize("shape", [(20, 90), (5, 5)])
def test_the_heat_map_has_the_frames_size_also_for_small_frames(grid, shape):
    tiles = to_tiles(_frame(*shape), grid)
    heat_map = stitch(np.ones((len(tiles.images), 32, 32), np.float32), tiles)
    assert heat_map.shape == shape
    assert np.allclose(heat_map, 1)


def test_shrinking_averages_areas_so_that_no_pixel_is_passed_over():
    striped = np.tile(np.array([255, 0, 0, 255], np.uint8), (64, 16))[..., None]
    assert np.unique(resize(striped, (16, 16))).tolist() == [128]


@pytest.mark.parametrize("shape", [(32,), (2, 2, 2, 2), (0, 32), (32, 0, 3)])
def test_a_frame_of_other_dimensions_is_refused(shape):
    with pytest.raises(ImageError, match=r"a frame of shape .* was given; expected \(height, width\)"):
        to_tiles(np.zeros(shape, np.uint8), GREY)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_a_frame_with_other_channels_is_refused(channels):
    with pytest.raises(ImageError, match=f"a frame with {channels} channels was given; expected 1 .* or 3"):
        convert(_frame(8, 8, channels), GREY)


def test_a_deep_frame_for_an_eight_bit_model_is_refused():
    with pytest.raises(ImageError, match=r"a frame of uint16 was given, the model expects 8 bit \(uint8\)"):
        convert(_frame(8, 8, dtype=np.uint16), GREY)


def test_an_eight_bit_frame_for_a_deep_model_is_refused():
    with pytest.raises(ImageError, match=r"a frame of uint8 was given, the model expects 12 bit \(uint16\)"):
        convert(_frame(8, 8), TileGrid((32, 32), 1, bits=12))


def test_values_beyond_the_bits_are_refused():
    with pytest.raises(ImageError, match="a frame has values up to 4096, 12 bit ends at 4095"):
        convert(np.full((8, 8), 4096, np.uint16), TileGrid((32, 32), 1, bits=12))
