"""Images on both sides of a threshold, made from normal ones, so that a flip of the verdict can show.

Normal images lie under the threshold, most far under it, and real defects far above it: a backend with errors of
several percent would change no verdict on them. So blobs of rising strength are drawn on normal tiles, and those kept
whose score in the reference is near the threshold.

    images, scores = straddling_images(tiles, score, threshold=0.2, reach=0.07, random=np.random.default_rng(0))
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ganspect.runtime.rows import Array

ScoreTiles: TypeAlias = Callable[[Array], Array]
"""Scores of (T,h,w,C) uint8 tiles, (T,) float32."""

DRAWN = 96
"""Images that are drawn, each with a blob of its own; tiles are taken in turn, so that few share one."""

_COARSE = np.array([0, 16, 32, 64, 96, 144, 192, 255], np.float64)


def straddling_images(
    tiles: Array, score: ScoreTiles, *, threshold: float, reach: float, random: np.random.Generator
) -> tuple[Array, Array]:
    """Draw blobs on normal tiles and keep what lies near the threshold.

    Args:
        tiles: (T,h,w,C) uint8, normal.
        score: of the reference.
        threshold: T.
        reach: the largest distance of a kept image's score from T.
        random: places, sizes and signs of the blobs.

    Returns:
        (N,h,w,C) uint8 images and their (N,) scores, perhaps none.
    """
    bases = tiles[np.resize(random.permutation(len(tiles)), DRAWN)]
    blobs = np.stack([_blob(bases.shape[1:3], random) for _ in bases])
    coarse = [score(_drawn(bases, blobs, np.full(len(bases), strength))) for strength in _COARSE]
    weak, strong = _brackets(np.stack(coarse, axis=1), threshold)
    images = _drawn(bases, blobs, weak + (strong - weak) * random.random(DRAWN))
    scores = score(images)
    near = np.abs(scores - threshold) <= reach
    return images[near], scores[near]


def _blob(size_hw: tuple[int, int], random: np.random.Generator) -> Array:
    """Return a soft ellipse of height 1 or -1 at a random place, (h,w)."""
    height, width = size_hw
    rows, columns = np.mgrid[:height, :width]
    centre = random.uniform(0.15, 0.85, 2) * size_hw
    radii = random.uniform(0.04, 0.15, 2) * min(size_hw)
    distance = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2
    blob: Array = random.choice([-1.0, 1.0]) * np.exp(-distance)
    return blob


def _drawn(bases: Array, blobs: Array, strengths: Array) -> Array:
    drawn = bases + (blobs * strengths[:, None, None])[..., None]
    pixels: Array = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return pixels


def _brackets(scores: Array, threshold: float) -> tuple[Array, Array]:
    """Return, for each tile, the coarse strengths between which its score passes the threshold; else a wide pair."""
    above = scores > threshold
    first = np.where(above.any(1), above.argmax(1), len(_COARSE) - 1)
    last = np.clip(first, 1, len(_COARSE) - 1)
    return _COARSE[last - 1], _COARSE[last]
