"""Where the heat map is hot: pixel AUROC and AUPRO, with intervals over images, in memory that images do not fill.

Each heat map becomes counts over some thousand score levels, one histogram for its normal pixels and one for each
connected anomalous region; metrics and resamples are sums of these.

    table = PixelTable()
    table.add(heat_map, mask)
    table.metrics(labels, Resampling())
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ganspect.errors import DataError
from ganspect.opencv import cv2
from ganspect.runtime.evaluation.bootstrap import Floats, Interval, Labels, Resampling, interval_of
from ganspect.runtime.evaluation.metrics import trapezoids

HeatMap: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

LARGEST_FPR = 0.3
"""AUPRO is integrated over false-positive rates from 0 to this and divided by it (Bergmann et al. 2019)."""

RESIDUAL_LEVELS: HeatMap = (np.linspace(0, 1, 4097) ** 2).astype(np.float32)
"""Thresholds on a residual in [0, 1], closer together where most residuals are: 1e-4 apart at 0.05."""


DEVIATION_LEVELS: HeatMap = np.concatenate([[0], np.geomspace(0.01, 1000, 4096)]).astype(np.float32)
"""Thresholds on distances without a largest value, in deviations of normal images: 0.3% apart."""


@dataclass(frozen=True)
class PixelMetrics:
    """Pixel `auroc` and `aupro` by name.

    Attributes:
        overall: of all images.
        of_kinds: of the images of one kind of defect and the normal ones, by kind; only kinds that have masks.
    """

    overall: Mapping[str, Interval]
    of_kinds: Mapping[str, Mapping[str, Interval]]


class PixelTable:
    """Counts of pixels by score level, image by image."""

    def __init__(self, levels: HeatMap = RESIDUAL_LEVELS) -> None:
        """Start with no images; `levels` are the thresholds, ascending."""
        self._levels = levels
        self._normal: list[Floats] = []
        self._anomalous: list[Floats] = []
        self._regions: list[Floats] = []
        self._image_of_region: list[int] = []

    def add(self, heat_map: HeatMap, mask: Mask | None) -> None:
        """Count an image's pixels.

        Args:
            heat_map: (H,W) higher is more anomalous.
            mask: (H,W) True where anomalous; None: normal everywhere.

        Raises:
            DataError: they differ in size.
        """
        mask = np.zeros(heat_map.shape, np.bool_) if mask is None else mask
        if mask.shape != heat_map.shape:
            raise DataError(
                f"a mask is (height, width) {mask.shape} and its image {heat_map.shape}; "
                "make the masks in ground_truth as large as the images"
            )
        level = np.searchsorted(self._levels, heat_map, side="right")
        count, regions = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        counts = [self._histogram(level[regions == region]) for region in range(1, count)]
        self._image_of_region += [len(self._normal)] * len(counts)
        self._normal.append(self._histogram(level[~mask]))
        self._anomalous.append(sum(counts, np.zeros(self._levels.size + 1)))
        self._regions += [counted / counted.sum() for counted in counts]

    def part(self, chosen: Sequence[int]) -> "PixelTable":
        """Return the table of some images, by the order in which they were added."""
        part = PixelTable(self._levels)
        place = {index: position for position, index in enumerate(chosen)}
        part._normal = [self._normal[index] for index in chosen]
        part._anomalous = [self._anomalous[index] for index in chosen]
        inside = [region for region, image in enumerate(self._image_of_region) if image in place]
        part._regions = [self._regions[region] for region in inside]
        part._image_of_region = [place[self._image_of_region[region]] for region in inside]
        return part

    def metrics(self, labels: Labels, resampling: Resampling) -> dict[str, Interval] | None:
        """Return `auroc` and `aupro` with intervals over images, or None where there are no anomalous pixels.

        Args:
            labels: (n,) class of each image, in the order added; images are resampled within it.
            resampling: count and seed.
        """
        if not self._regions or not sum(counts.sum() for counts in self._normal):
            return None
        normal, anomalous = _reached(self._normal), _reached(self._anomalous)
        regions, image_of_region = _reached(self._regions), np.array(self._image_of_region)

        def pixel_auroc(weights: Floats) -> Floats:
            area: Floats = trapezoids(_rates(weights @ normal), _rates(weights @ anomalous)).sum(1)
            return area

        def aupro(weights: Floats) -> Floats:
            return _area_to(_rates(weights @ normal), _rates(weights[:, image_of_region] @ regions), LARGEST_FPR)

        return {
            "auroc": interval_of(pixel_auroc, labels, resampling),
            "aupro": interval_of(aupro, labels, resampling),
        }

    def _histogram(self, level: np.ndarray[Any, np.dtype[Any]]) -> Floats:
        counted: Floats = np.bincount(level.ravel(), minlength=self._levels.size + 1).astype(np.float64)
        return counted


def _reached(histograms: list[Floats]) -> Floats:
    """Turn histograms (n,L) into counts at or above each level, from the highest down, beginning with 0: (n,L+1)."""
    return np.pad(np.stack(histograms)[:, ::-1].cumsum(1), ((0, 0), (1, 0)))


def _rates(counts: Floats) -> Floats:
    """Divide by the last column; an anomalous image that no resample drew leaves 0."""
    rates: Floats = counts / np.maximum(counts[:, -1:], np.finfo(np.float64).tiny)
    return rates


def _area_to(fpr: Floats, overlap: Floats, limit: float) -> Floats:
    """Return the area under each curve from 0 to `limit`, divided by `limit`; the last piece is interpolated."""
    width = np.diff(fpr, axis=1)
    inside = np.clip(limit - fpr[:, :-1], 0, width)
    share = np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
    end = overlap[:, :-1] + share * np.diff(overlap, axis=1)
    area: Floats = (inside * (overlap[:, :-1] + end) / 2).sum(1) / limit
    return area
