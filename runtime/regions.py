"""Anomalous regions: connected parts of a heat map that normal frames would not show.

The rule: a pixel is raised where the heat map exceeds the level there. The level of a pixel is the mean residual of
normal tiles at that pixel plus 3 standard deviations, from the calibration's pixel statistics, and at least the median
of that over the tile, so that a pixel that happened to be calm in a few calibration frames cannot shout. Raised pixels
that touch, also at a corner, form a region; specks under 4 pixels of the model's input are dropped.

    regions = find_regions(heat_map, level, least_area_px=4)
"""

from dataclasses import dataclass

import numpy as np

from ganspect.bundle import PixelStatistics
from ganspect.opencv import cv2
from ganspect.preprocess import Maps, Tiles, stitch

DEVIATIONS = 3.0
"""Standard deviations above the mean normal residual at which a pixel is raised."""

LEAST_MODEL_PIXELS = 4
"""Smallest region, in pixels of the model's input."""

MOST_REGIONS = 20
"""Regions kept for a frame, those with the highest peaks."""


@dataclass(frozen=True)
class Region:
    """A connected anomalous region in frame pixels.

    Attributes:
        xyxy: left, top, right, bottom of its box; right and bottom are exclusive.
        area_px: raised pixels, at most the area of the box.
        peak: highest residual in it, in [0, 1].
    """

    xyxy: tuple[int, int, int, int]
    area_px: int
    peak: float


def tile_level(statistics: PixelStatistics) -> Maps:
    """Return the level above which a residual is no longer normal, (h,w) float32 for one tile."""
    level = statistics.mean + DEVIATIONS * statistics.deviation
    return np.asarray(np.maximum(level, np.median(level)), np.float32)


def frame_level(level: Maps, tiles: Tiles) -> Maps:
    """Return the level for a whole frame, (H,W) float32, joined as heat maps are."""
    return stitch(np.broadcast_to(level, (len(tiles.corners_yx), *level.shape)), tiles)


def least_area_px(tiles: Tiles) -> int:
    """Return the smallest region in frame pixels: 4 pixels of the model's input, scaled as the frame was."""
    frame, canvas = (height * width for height, width in (tiles.frame_hw, tiles.canvas_hw))
    return max(1, round(LEAST_MODEL_PIXELS * frame / canvas))


def find_regions(heat_map: Maps, level: Maps, *, least_area_px: int) -> tuple[Region, ...]:
    """Return the regions where a heat map exceeds the level, highest peak first.

    Args:
        heat_map: (H,W) float32 in [0, 1].
        level: (H,W) float32.
        least_area_px: smaller regions are dropped.
    """
    raised = (heat_map > level).astype(np.uint8)
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(raised, connectivity=8)
    regions = []
    for label in np.flatnonzero(boxes[:, cv2.CC_STAT_AREA] >= least_area_px):
        if label == 0:  # what is not raised
            continue
        x, y, width, height, area_px = (int(value) for value in boxes[label])
        window = np.s_[y : y + height, x : x + width]
        peak = float(heat_map[window][labels[window] == label].max())
        regions.append(Region((x, y, x + width, y + height), area_px, peak))
    return tuple(sorted(regions, key=lambda region: -region.peak)[:MOST_REGIONS])
