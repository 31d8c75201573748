"""Frames to the model's tiles and residual maps back to the frame: the only place where pixels are resized or cut.

Frames are as OpenCV gives them: (H,W) or (H,W,1) grey, (H,W,3) BGR; uint8, or uint16 for 12 and 16 bit.
Tiles are what every graph takes: (T,h,w,C) uint8, grey or RGB.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ganspect.errors import ImageError
from ganspect.opencv import cv2

Frame: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Maps: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

_LARGEST = {8: 255, 12: 4095, 16: 65535}


@dataclass(frozen=True)
class TileGrid:
    """How frames become tiles: a recipe's and a manifest's image section in one form.

    Attributes:
        size_hw: of a tile, in pixels.
        channels: 1 grey or 3 RGB.
        bits: significant bits of the frame's values.
        fit: `resize` the whole frame into one tile, or cut `tiles`.
        overlap: share of a tile's side that its neighbour covers too.
    """

    size_hw: tuple[int, int]
    channels: Literal[1, 3]
    bits: Literal[8, 12, 16] = 8
    fit: Literal["resize", "tiles"] = "resize"
    overlap: float = 0.25


@dataclass(frozen=True)
class Tiles:
    """The tiles of one frame.

    Attributes:
        images: (T,h,w,C) uint8.
        corners_yx: (T,2) top left corner of each tile in the canvas.
        canvas_hw: size of what was cut: the frame's, or larger where the frame is smaller than a tile.
        frame_hw: size of the frame.
    """

    images: np.ndarray[Any, np.dtype[np.uint8]]
    corners_yx: tuple[tuple[int, int], ...]
    canvas_hw: tuple[int, int]
    frame_hw: tuple[int, int]


class Levels:
    """Brings a camera's raw levels to the model's, by the two that were declared to be its black and its white.

    Black becomes 0 and white the largest value of the model's bits, both exactly; what lies between is rounded to the
    nearest level, what lies beyond is clipped.

    Attributes:
        black: raw level of the model's black.
        white: raw level of the model's white.
    """

    def __init__(self, black: int, white: int, bits: Literal[8, 12, 16]) -> None:
        """Make the table.

        Args:
            black: 0 or more.
            white: above black, at most 65535.
            bits: of the model.
        """
        self.black, self.white = black, white
        largest = _LARGEST[bits]
        levels = (np.arange(65536, dtype=np.float64) - black) * (largest / (white - black))
        self._table = np.rint(levels.clip(0, largest)).astype(np.uint8 if bits == 8 else np.uint16)

    def apply(self, frame: Frame) -> tuple[Frame, int]:
        """Return the frame as the model takes it, and how many of its pixels were beyond the range.

        Args:
            frame: (H,W) or (H,W,3); uint8 or uint16.

        Raises:
            ImageError: another dtype, or uint8 where the range goes beyond it.
        """
        if frame.dtype not in (np.uint8, np.uint16):
            raise ImageError(f"a frame of {frame.dtype} was given; expected uint8 or uint16")
        if frame.dtype == np.uint8 and self.white > 255:
            raise ImageError(
                f"range is [{self.black}, {self.white}], but the frame has 8 bit and ends at 255; ask the camera for a "
                "deeper pixel_format, or correct range"
            )
        return self._look_up(frame), self._count_beyond(frame)

    def _look_up(self, frame: Frame) -> Frame:
        if frame.dtype == np.uint8:
            return np.asarray(cv2.LUT(frame, self._table[:256]))
        try:
            return np.asarray(cv2.LUT(frame, self._table))
        except cv2.error:  # OpenCV 4, as on JetPack, looks up 8 bit only
            return np.asarray(self._table[frame])

    def _count_beyond(self, frame: Frame) -> int:
        if self.black == 0 and self.white >= np.iinfo(frame.dtype).max:
            return 0
        inside = cv2.inRange(frame, (float(self.black),) * 4, (float(self.white),) * 4)
        return int(inside.size - cv2.countNonZero(inside))


def to_tiles(frame: Frame, grid: TileGrid) -> Tiles:
    """Turn a frame into the model's tiles.

    Args:
        frame: (H,W), (H,W,1) or (H,W,3) BGR; uint8 when `grid.bits` is 8, else uint16.
        grid: the model's input.

    Raises:
        ImageError: other dimensions, channels or dtype than these, or values beyond `grid.bits`.
    """
    pixels = convert(frame, grid)
    frame_hw = pixels.shape[:2]
    if grid.fit == "resize":
        return Tiles(resize(pixels, grid.size_hw)[None], ((0, 0),), grid.size_hw, frame_hw)
    canvas_hw = (max(frame_hw[0], grid.size_hw[0]), max(frame_hw[1], grid.size_hw[1]))
    canvas = pixels if canvas_hw == frame_hw else resize(pixels, canvas_hw)
    corners = [(y, x) for y in _starts(canvas_hw[0], grid, 0) for x in _starts(canvas_hw[1], grid, 1)]
    height, width = grid.size_hw
    images = np.stack([canvas[y : y + height, x : x + width] for y, x in corners])
    return Tiles(images, tuple(corners), canvas_hw, frame_hw)


def stitch(residuals: Maps, tiles: Tiles) -> Maps:
    """Join (T,h,w) residual maps of tiles into one heat map of the frame's size, the largest where they overlap."""
    heat_map: Maps = np.zeros(tiles.canvas_hw, np.float32)
    height, width = residuals.shape[1:]
    for residual, (y, x) in zip(residuals, tiles.corners_yx, strict=True):
        place = heat_map[y : y + height, x : x + width]
        np.maximum(place, residual, out=place)
    if tiles.canvas_hw == tiles.frame_hw:
        return heat_map
    return np.asarray(cv2.resize(heat_map, tiles.frame_hw[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def convert(frame: Frame, grid: TileGrid) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bring a frame to (H,W,C) uint8 with the model's channels, at its own size; see `to_tiles` for the errors."""
    if frame.ndim not in (2, 3) or 0 in frame.shape:
        raise ImageError(f"a frame of shape {frame.shape} was given; expected (height, width) or (height, width, 3)")
    return _to_channels(_to_uint8(frame, grid.bits), grid.channels)


def resize(pixels: Frame, size_hw: tuple[int, int]) -> Frame:
    """Resize (H,W,C) uint8 pixels: area averaging to shrink, linear to enlarge."""
    height, width = size_hw
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    scaled = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return scaled.reshape((height, width, pixels.shape[2]))


def _starts(extent: int, grid: TileGrid, axis: int) -> list[int]:
    side = grid.size_hw[axis]
    stride = max(1, round(side * (1 - grid.overlap)))
    count = -(-(extent - side) // stride) + 1
    return [min(index * stride, extent - side) for index in range(count)]


def _to_uint8(frame: Frame, bits: int) -> Frame:
    expected = np.uint8 if bits == 8 else np.uint16
    if frame.dtype != expected:
        raise ImageError(
            f"a frame of {frame.dtype} was given, the model expects {bits} bit ({np.dtype(expected).name}); declare "
            f"the camera's levels for black and white, {_such_as(frame)}, or train with image.bits set to the camera's"
        )
    if bits == 8:
        return frame
    if int(frame.max()) > _LARGEST[bits]:
        raise ImageError(
            f"a frame has values up to {int(frame.max())}, {bits} bit ends at {_LARGEST[bits]}; declare "
            f"the camera's levels for black and white, {_such_as(frame)}, or set image.bits"
        )
    return (frame >> (bits - 8)).astype(np.uint8)


def _such_as(frame: Frame) -> str:
    white = 255 if frame.dtype == np.uint8 else next(one for one in (4095, 65535) if one >= int(frame.max()))
    return f"such as 'range: [0, {white}]' in the station file or --range 0,{white}"


def _to_channels(frame: Frame, channels: int) -> Frame:
    given = 1 if frame.ndim == 2 else frame.shape[2]
    if given not in (1, 3):
        raise ImageError(
            f"a frame with {given} channels was given; expected 1 (grey) or 3 (BGR): remove the alpha channel"
        )
    if given == channels == 1:
        return frame.reshape((*frame.shape[:2], 1))
    if channels == 1:
        return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None]
    return cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB if given == 1 else cv2.COLOR_BGR2RGB)
