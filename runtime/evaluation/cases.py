"""Single images that tell more than a figure: the clearest and the hardest of either class, as pictures.

groups = choose_cases(evaluated)
pictures = draw_case(images.tiles(index), latents, readout, heat_scale=0.2)
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganspect.opencv import cv2
from ganspect.preprocess import Frame, Maps, Tiles, resize
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.readout import Array, Readout

CASES_EACH = 4

_LONGEST_SIDE_PX = 192


@dataclass(frozen=True)
class CaseGroup:
    """Images of one kind.

    Attributes:
        title: what they have in common.
        indices: of the images, the most telling first.
    """

    title: str
    indices: tuple[int, ...]


@dataclass(frozen=True)
class OpenedCase:
    """An image and what the model makes of it.

    Attributes:
        tiles: of the frame.
        reconstruction: (T,h,w,C) uint8 of each tile.
        heat_map: (H,W) residual at the frame's size.
    """

    tiles: Tiles
    reconstruction: Array
    heat_map: Maps


@dataclass(frozen=True)
class CasePictures:
    """What the model saw, what it made of it, and where they differ; data URIs."""

    image: str
    reconstruction: str
    residual: str


def choose_cases(evaluated: Evaluated, count: int = CASES_EACH) -> tuple[CaseGroup, ...]:
    """Return the ends of either class by score; groups without images are left out."""
    score, labels = evaluated.score, evaluated.images.labels
    ascending = np.argsort(score, kind="stable")
    normal = [int(index) for index in ascending if labels[index] == 0]
    anomalous = [int(index) for index in ascending if labels[index] == 1]
    groups = (
        CaseGroup("Defects with the lowest scores: missed ones first", tuple(anomalous[:count])),
        CaseGroup("Normal images with the highest scores: false alarms first", tuple(normal[::-1][:count])),
        CaseGroup("Clearest defects", tuple(anomalous[::-1][:count])),
        CaseGroup("Clearest normal images", tuple(normal[:count])),
    )
    return tuple(group for group in groups if group.indices)


def open_case(evaluated: Evaluated, index: int, readout: Readout) -> OpenedCase:
    """Read an image again and reconstruct it from the latents of the full pass."""
    tiles, latents = evaluated.images.tiles(index), evaluated.full.latents_of(evaluated.mode)[index]
    return OpenedCase(tiles, readout.pictures(latents), readout.heat_map(tiles, latents))


def common_heat_scale(cases: Iterable[OpenedCase]) -> float:
    """Return the residual to draw in the hottest colour, above 0: all but the highest 0.5% of any case are below."""
    return max([0.01, *(float(np.quantile(case.heat_map, 0.995)) for case in cases)])


def draw_case(case: OpenedCase, heat_scale: float) -> CasePictures:
    """Draw an image, its reconstruction and its residual in the frame's proportions."""
    tiles = case.tiles
    heat = np.clip(case.heat_map / heat_scale * 255, 0, 255).astype(np.uint8)
    return CasePictures(
        _encode(_canvas(tiles.images, tiles), tiles),
        _encode(_canvas(case.reconstruction, tiles), tiles),
        _encode(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), tiles),
    )


def _canvas(images: Array, tiles: Tiles) -> Frame:
    """Lay tiles (T,h,w,C), grey or RGB, side by side into one picture, grey or BGR."""
    canvas = np.zeros((*tiles.canvas_hw, images.shape[3]), np.uint8)
    for image, (y, x) in zip(images, tiles.corners_yx, strict=True):
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return np.ascontiguousarray(canvas[..., ::-1])


def _encode(picture: Frame, tiles: Tiles) -> str:
    longest = min(_LONGEST_SIDE_PX, max(tiles.frame_hw))
    height, width = (max(1, round(side * longest / max(tiles.frame_hw))) for side in tiles.frame_hw)
    return png_uri(resize(picture, (height, width)))


def png_uri(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """Return a picture, grey or BGR, as the data URI of a PNG."""
    _, content = cv2.imencode(".png", picture)
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"
