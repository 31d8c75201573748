import numpy as np
import pytest

from ganspect.bundle import PixelStatistics
from ganspect.preprocess import TileGrid, to_tiles
from ganspect.runtime.regions import MOST_REGIONS, find_regions, frame_level, least_area_px, tile_level


@pytest.fixture
def heat_map():
    return np.full((40, 60), 0.05, np.float32)


@pytest.fixture
def level():
    return np.full((40, 60), 0.1, np.float32)


def test_a_calm_map_has_no_regions(heat_map, level):
    assert find_regions(heat_map, level, least_area_px=1) == ()


def test_a_region_has_its_box_area_and_peak(heat_map, level):
    heat_map[10:14, 20:30] = 0.3
    heat_map[12, 25] = 0.7
    (region,) = find_regions(heat_map, level, least_area_px=4)
    assert region.xyxy == (20, 10, 30, 14)
    assert region.area_px == 40
    assert region.peak == pytest.approx(0.7)


def test_pixels_at_the_level_are_not_raised(heat_map, level):
    heat_map[10:14, 20:30] = level[0, 0]
    assert find_regions(heat_map, level, least_area_px=1) == ()


def test_regions_come_by_peak(heat_map, level):
    heat_map[2:6, 2:6], heat_map[20:24, 2:6], heat_map[30:34, 40:44] = 0.3, 0.9, 0.6
    regions = find_regions(heat_map, level, least_area_px=4)
    assert [round(region.peak, 1) for region in regions] == [0.9, 0.6, 0.3]


def test_pixels_that_touch_at_a_corner_are_one_region(heat_map, level):
    heat_map[4, 4] = heat_map[5, 5] = 0.5
    (region,) = find_regions(heat_map, level, least_area_px=1)
    assert (region.xyxy, region.area_px) == ((4, 4, 6, 6), 2)


def test_specks_are_dropped(heat_map, level):
    heat_map[4, 4:7] = 0.5
    assert len(find_regions(heat_map, level, least_area_px=3)) == 1
    assert find_regions(heat_map, level, least_area_px=4) == ()


def test_a_box_ends_with_the_frame(heat_map, level):
    heat_map[38:, 58:] = 0.5
    (region,) = find_regions(heat_map, level, least_area_px=1)
    assert region.xyxy == (58, 38, 60, 40)


def test_another_regions_peak_in_the_same_box_is_not_counted(heat_map, level):
    heat_map[10:20, 10] = heat_map[19, 10:20] = 0.3
    heat_map[11:14, 16:19] = 0.9
    peaks = {region.area_px: round(region.peak, 1) for region in find_regions(heat_map, level, least_area_px=1)}
    assert peaks == {19: 0.3, 9: 0.9}


def test_only_the_highest_are_kept(heat_map, level):
    heat_map[::2, ::2] = np.linspace(0.2, 0.9, 600, dtype=np.float32).reshape(20, 30)
    regions = find_regions(heat_map, level, least_area_px=1)
    assert len(regions) == MOST_REGIONS
    assert min(region.peak for region in regions) > 0.87


def test_the_level_is_three_deviations_above_the_mean_and_at_least_its_median():
    mean, deviation = np.full((4, 4), 0.1, np.float32), np.full((4, 4), 0.02, np.float32)
    mean[0, 0], mean[1, 1] = 0.0, 0.5
    level = tile_level(PixelStatistics(mean=mean, deviation=deviation))
    assert level[1, 1] == pytest.approx(0.56)
    assert level[0, 0] == pytest.approx(0.16)
    assert level.dtype == np.float32


def test_the_level_of_a_frame_is_joined_as_heat_maps_are():
    level = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    resized = to_tiles(np.zeros((8, 12), np.uint8), TileGrid((4, 4), 1))
    assert frame_level(level, resized).shape == (8, 12)
    cut = to_tiles(np.zeros((4, 7), np.uint8), TileGrid((4, 4), 1, fit="tiles"))
    np.testing.assert_array_equal(frame_level(level, cut)[:, :3], level[:, :3])
    assert frame_level(level, cut).shape == (4, 7)


def test_the_smallest_region_is_four_pixels_of_the_model():
    assert least_area_px(to_tiles(np.zeros((40, 60), np.uint8), TileGrid((20, 30), 1))) == 16
    assert least_area_px(to_tiles(np.zeros((40, 60), np.uint8), TileGrid((20, 30), 1, fit="tiles"))) == 4
    assert least_area_px(to_tiles(np.zeros((2, 2), np.uint8), TileGrid((20, 30), 1))) == 1
