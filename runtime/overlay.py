"""Pictures of verdicts: the frame beside its heat map with boxes, and the frames of the overlay video.

cv2.imwrite("anomaly.png", side_by_side(picture, verdict, full_scale=0.3))
"""

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ganspect.errors import OutputError
from ganspect.opencv import cv2
from ganspect.preprocess import Frame, TileGrid, convert
from ganspect.runtime.verdict import Verdict

Picture = np.ndarray[Any, np.dtype[np.uint8]]

_LEAST_SIDE_PX = 240
_BAR_PX = 26
_COLOURS_BGR = {"normal": (80, 175, 76), "anomalous": (60, 60, 230), "undecided": (0, 165, 255)}
_WHITE = (255, 255, 255)


def to_picture(frame: Frame, grid: TileGrid) -> Picture:
    """Return a frame the model can take as (H,W,3) BGR uint8 at its own size, whatever its bits and channels."""
    return np.asarray(cv2.cvtColor(convert(frame, TileGrid(grid.size_hw, 3, grid.bits)), cv2.COLOR_RGB2BGR))


def overlay(picture: Picture, verdict: Verdict, *, full_scale: float) -> Picture:
    """Return the frame under its heat map, with the regions' boxes and a line of text above.

    Args:
        picture: (H,W,3) BGR uint8.
        verdict: of the same frame.
        full_scale: residual that is drawn in the hottest colour.

    Returns:
        (H',W',3) BGR uint8, enlarged by a whole factor where the frame is small, with a bar for the text.
    """
    return _titled(heat_panel(picture, verdict, full_scale=full_scale), verdict)


def heat_panel(picture: Picture, verdict: Verdict, *, full_scale: float) -> Picture:
    """Return the frame under its heat map with the regions' boxes: `overlay` without its line of text."""
    factor = _factor(picture)
    panel = _enlarge(_heated(picture, verdict, full_scale), factor)
    for region in verdict.regions:
        x1, y1, x2, y2 = (value * factor for value in region.xyxy)
        cv2.rectangle(panel, (x1, y1), (x2 - 1, y2 - 1), _WHITE, 1)
    return panel


def plain_panel(picture: Picture) -> Picture:
    """Return the frame at the size of its `heat_panel`."""
    return _enlarge(picture, _factor(picture))


def side_by_side(picture: Picture, verdict: Verdict, *, full_scale: float) -> Picture:
    """Return the frame on the left and its `overlay` on the right, (H',2W',3) BGR uint8."""
    right = overlay(picture, verdict, full_scale=full_scale)
    left = np.zeros_like(right)
    plain = plain_panel(picture)
    left[_BAR_PX : _BAR_PX + plain.shape[0], : plain.shape[1]] = plain
    return np.concatenate([left, right], axis=1)


class OverlayVideo:
    """An MP4 file that is written under a hidden name and put in place only when it is whole."""

    def __init__(self, path: Path, *, frames_per_s: float) -> None:
        """Remember where; the first picture decides the size."""
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial{os.getpid()}{path.suffix}")
        self._frames_per_s = frames_per_s
        self._writer: Any = None
        self._size_wh = (0, 0)
        self._written = 0

    def add(self, picture: Picture) -> None:
        """Append a picture, scaled to the first one's size.

        Raises:
            OutputError: OpenCV cannot write MP4 files here.
        """
        if self._writer is None:
            height, width = picture.shape[:2]
            self._size_wh = (width + width % 2, height + height % 2)
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._partial), fourcc, self._frames_per_s, self._size_wh)
            if not self._writer.isOpened():
                raise OutputError(f"cannot write {self._path}: this OpenCV has no MPEG-4 encoder; leave --video out")
        self._writer.write(_fit(picture, self._size_wh))
        self._written += 1

    def finish(self) -> None:
        """Put the video in place; without a picture there is none.

        Raises:
            OutputError: it is not whole, as on a full disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        check = cv2.VideoCapture(str(self._partial))
        whole = check.isOpened() and int(check.get(cv2.CAP_PROP_FRAME_COUNT)) >= self._written
        check.release()
        if not whole:
            raise OutputError(f"cannot write {self._path} to its end; free some space and screen again")
        self._partial.replace(self._path)

    def __enter__(self) -> "OverlayVideo":
        """Return the video."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was not finished."""
        if self._writer is not None:
            self._writer.release()
        self._partial.unlink(missing_ok=True)


def _heated(picture: Picture, verdict: Verdict, full_scale: float) -> Picture:
    heat = np.minimum(verdict.heat_map / np.float32(full_scale), 1)
    colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    # Calm pixels stay as they are, so that the part is seen through its heat map.
    weight = (heat * np.float32(0.75))[..., None]
    return np.asarray(picture + (colours.astype(np.float32) - picture) * weight, np.float32).astype(np.uint8)


def _titled(panel: Picture, verdict: Verdict) -> Picture:
    width = panel.shape[1]
    bar = np.full((_BAR_PX, width, 3), _COLOURS_BGR[verdict.verdict], np.uint8)
    text = f"{verdict.verdict}  {verdict.score:.4g} / {verdict.threshold:.4g}"
    (text_width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    scale = 0.5 * min(1.0, (width - 8) / text_width)
    cv2.putText(bar, text, (4, 18), cv2.FONT_HERSHEY_SIMPLEX, scale, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([bar, panel])


def _factor(picture: Picture) -> int:
    height, width = picture.shape[:2]
    return math.ceil(_LEAST_SIDE_PX / min(_LEAST_SIDE_PX, int(height), int(width)))


def _enlarge(picture: Picture, factor: int) -> Picture:
    return picture.repeat(factor, 0).repeat(factor, 1) if factor > 1 else picture


def _fit(picture: Picture, size_wh: tuple[int, int]) -> Picture:
    """Scale into a fixed size, keeping the shape; the rest stays black."""
    width, height = size_wh
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner_wh = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    scaled = cv2.resize(picture, inner_wh, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: inner_wh[1], : inner_wh[0]] = scaled
    return canvas
