"""Whether a bundle's verdicts come from its search or from its encoder alone, where the recipe leaves that to export.

A search may lower the scores of defects more than those of normal parts. So both modes judge held-out normal images,
and the same with defects drawn on them; the search is deployed only where it is surely the better one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ganspect.bundle import open_bundle
from ganspect.datasets.drawn import draw_defect
from ganspect.preprocess import Frame, TileGrid, to_tiles
from ganspect.records import Mode, ModeRecord
from ganspect.runtime.backends import open_backend
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.search import LatentSearch
from ganspect.scoring import auroc

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Scores: TypeAlias = tuple[Array, Array]

LEAST_FRAMES = 8
"""Normal frames without which nothing is sure: of one or two, an interval over frames says nothing."""

_MOST_FRAMES = 64
_DRAWN = 64
_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Judged:
    """What both modes of a bundle say of normal images and of defects drawn on them.

    Attributes:
        scores: scores by mode, of normal images (N,) and of drawn ones (M,); higher is more anomalous. Without an
            encoder the search's alone.
        source: (M,) number of the normal image that each defect is drawn on.
    """

    scores: Mapping[Mode, Scores]
    source: Array


def judge(folder: Path, frames: Sequence[Frame], seed: int) -> Judged:
    """Let both modes of a bundle judge normal frames, of each the middle tile, and defects drawn on them.

    Args:
        folder: a calibrated bundle.
        frames: normal frames that nothing was trained on; of many the first 64 are taken.
        seed: decides which defects are drawn.
    """
    bundle = open_bundle(folder)
    tiles = _one_of_each(frames[:_MOST_FRAMES], tile_grid(bundle))
    source = np.arange(max(_DRAWN, len(tiles))) % len(tiles)
    random = np.random.default_rng(seed)
    drawn = np.stack([draw_defect(tiles[index], random).image for index in source])
    with open_backend("onnxruntime", bundle) as backend:
        search, steps = LatentSearch(bundle, backend), bundle.manifest.search.steps
        of_normal, of_drawn = (search.full(images, steps=steps) for images in (tiles, drawn))
    scores: dict[Mode, Scores] = {"search": (of_normal.score, of_drawn.score)}
    if of_normal.start is not None and of_drawn.start is not None:
        scores["encoder"] = (of_normal.start.encoder_score, of_drawn.start.encoder_score)
    return Judged(scores, source)


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
    if "encoder" not in open_bundle(folder).manifest.graphs:
        return ModeRecord(mode="search", encoder_auroc=None, search_auroc=None, low=None, high=None, images=0, drawn=0)
    judged = judge(folder, frames, seed)
    search, encoder = judged.scores["search"], judged.scores["encoder"]
    low, high = paired_interval(search, encoder, judged.source)
    images, drawn = map(len, search)
    return ModeRecord(
        mode="search" if low > 0 and images >= LEAST_FRAMES else "encoder",
        encoder_auroc=auroc(*encoder),
        search_auroc=auroc(*search),
        low=low,
        high=high,
        images=images,
        drawn=drawn,
    )


def paired_interval(ours: Scores, theirs: Scores, source: Array) -> tuple[float, float]:
    """Return the paired 95% bootstrap interval, over images, of one detector's AUROC less another's.

    Args:
        ours: scores of normal images (N,) and of drawn ones (M,).
        theirs: the other detector's of the same images.
        source: (M,) number of the normal image that each defect is drawn on, with which it comes and goes.
    """
    random, images = np.random.default_rng(0), len(ours[0])
    differences = []
    for _ in range(_RESAMPLES):
        normal = random.integers(0, images, images)
        defects = np.repeat(np.arange(len(source)), np.bincount(normal, minlength=images)[source])
        one, other = (auroc(of_normal[normal], of_drawn[defects]) for of_normal, of_drawn in (ours, theirs))
        differences.append(one - other)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high)


def _one_of_each(frames: Sequence[Frame], grid: TileGrid) -> Array:
    """Return the middle tile of each frame, (T,h,w,C) uint8, so that tiles are as independent as frames are."""
    tiles = [to_tiles(frame, grid).images for frame in frames]
    return np.stack([of_frame[len(of_frame) // 2] for of_frame in tiles])
