"""Whether a bundle's verdicts come from its search or from its encoder alone, where the recipe leaves that to export.

A search may lower the scores of defects more than those of normal parts. So both modes judge held-out normal images,
and the same with defects drawn on them; the search is deployed only where it is surely the better one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.bundle import open_bundle
from ganspect.datasets.drawn import draw_defect
from ganspect.preprocess import Frame, TileGrid, to_tiles
from ganspect.records import ModeRecord
from ganspect.runtime.backends import open_backend
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.search import LatentSearch
from ganspect.scoring import auroc

Array = np.ndarray[Any, np.dtype[Any]]

LEAST_FRAMES = 8
"""Normal frames without which nothing is sure: of one or two, an interval over frames says nothing."""

_MOST_FRAMES = 64
_DRAWN = 64
_RESAMPLES = 1000
_CONFIDENCE = 0.95


def decide_mode(folder: Path, frames: Sequence[Frame], seed: int) -> ModeRecord:
    """Compare both modes of a bundle by drawn defects.

    Args:
        folder: a calibrated bundle.
        frames: normal frames that no threshold was taken from.
        seed: decides which defects are drawn.

    Returns:
        What was found; its mode is `search` where the paired interval of the difference is above 0 and there are
        `LEAST_FRAMES`, else `encoder` (a bundle without an encoder has `search`).
    """
    bundle = open_bundle(folder)
    if "encoder" not in bundle.manifest.graphs:
        return ModeRecord(mode="search", encoder_auroc=None, search_auroc=None, low=None, high=None, images=0, drawn=0)
    tiles = _one_of_each(frames[:_MOST_FRAMES], tile_grid(bundle))
    source = np.arange(max(_DRAWN, len(tiles))) % len(tiles)
    random = np.random.default_rng(seed)
    drawn = np.stack([draw_defect(tiles[index], random).image for index in source])
    with open_backend("onnxruntime", bundle) as backend:
        search, steps = LatentSearch(bundle, backend), bundle.manifest.search.steps
        found = [search.full(images, steps=steps) for images in (tiles, drawn)]
    scores = {
        "search": [part.score for part in found],
        "encoder": [part.start.encoder_score for part in found if part.start is not None],
    }
    low, high = _interval(scores, source, len(tiles))
    return ModeRecord(
        mode="search" if low > 0 and len(tiles) >= LEAST_FRAMES else "encoder",
        encoder_auroc=auroc(*scores["encoder"]),
        search_auroc=auroc(*scores["search"]),
        low=low,
        high=high,
        images=len(tiles),
        drawn=len(drawn),
    )


def _one_of_each(frames: Sequence[Frame], grid: TileGrid) -> Array:
    """Return the middle tile of each frame, (T,h,w,C) uint8, so that tiles are as independent as frames are."""
    tiles = [to_tiles(frame, grid).images for frame in frames]
    return np.stack([of_frame[len(of_frame) // 2] for of_frame in tiles])


def _interval(scores: dict[str, list[Array]], source: Array, images: int) -> tuple[float, float]:
    """Return the paired bootstrap interval, over images, of the search's AUROC less the encoder's."""
    random = np.random.default_rng(0)
    differences = []
    for _ in range(_RESAMPLES):
        normal = random.integers(0, images, images)
        # A defect stays with the image that it was drawn on.
        defects = np.repeat(np.arange(len(source)), np.bincount(normal, minlength=images)[source])
        search, encoder = (auroc(scores[mode][0][normal], scores[mode][1][defects]) for mode in ("search", "encoder"))
        differences.append(search - encoder)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high)
