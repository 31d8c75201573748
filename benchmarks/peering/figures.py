"""Image AUROC, pixel AUROC and AUPRO of what another model says, by ganspect's own code: one measure for all.

figures = figures_of(split, Path("scores.npz"))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganspect.errors import DataError
from ganspect.preprocess import stitch, to_tiles
from ganspect.runtime.evaluation.bootstrap import Resampling
from ganspect.runtime.evaluation.metrics import auroc_interval
from ganspect.runtime.evaluation.pixels import DEVIATION_LEVELS, PixelTable
from peering.splits import Split

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Figures:
    """How well scores and maps tell anomalous images and pixels from normal ones.

    Attributes:
        image_auroc: AUROC over images.
        pixel_auroc: AUROC over pixels; None without masks or maps.
        aupro: mean overlap of regions up to a false-positive rate of 0.3; None without masks or maps.
    """

    image_auroc: float
    pixel_auroc: float | None
    aupro: float | None

    @classmethod
    def of_metrics(cls, metrics: Mapping[str, Any]) -> "Figures":
        """Return those that `ganspect evaluate` wrote into metrics.json."""
        pixel = metrics["pixel"]
        return cls(
            metrics["image"]["auroc"]["value"],
            None if pixel is None else pixel["auroc"]["value"],
            None if pixel is None else pixel["aupro"]["value"],
        )


def figures_of(split: Split, judged: Path) -> Figures:
    """Return the figures of a file that `peering.serving.judge_all` wrote.

    Raises:
        DataError: the number of images is another one, or a score is not a number.
    """
    with np.load(judged) as content:
        scores, maps = content["scores"], content["maps"] if "maps" in content.files else None
    if len(scores) != len(split.samples) or not np.isfinite(scores).all():
        raise DataError(
            f"{judged} has {int(np.isfinite(scores).sum())} finite scores for {len(split.samples)} test images; "
            "delete it, and the images are judged again"
        )
    interval = auroc_interval(scores, split.labels, _POINT)
    if interval is None:
        raise DataError("the test images are of one class; figures need both")
    pixel = None if maps is None else _pixel(split, maps)
    return Figures(
        interval.value,
        None if pixel is None else pixel["auroc"].value,
        None if pixel is None else pixel["aupro"].value,
    )


def _pixel(split: Split, maps: Array) -> Mapping[str, Any] | None:
    """Judge maps (n,h,w), enlarged to their frames as ganspect's are, by masks; None where there are none.

    All are first brought to one scale, on which the largest value is the highest level: figures do not depend on it,
    but beyond the levels all pixels would be alike.
    """
    table, labels = PixelTable(DEVIATION_LEVELS), []
    maps = maps * (DEVIATION_LEVELS[-1] / max(maps.max(), np.finfo(np.float32).tiny))
    for sample, anomaly_map in zip(split.samples, maps, strict=True):
        if sample.label == 0 or sample.read_mask is not None:
            heat_map = stitch(anomaly_map[None], to_tiles(sample.read(), split.grid))
            mask = sample.read_mask() if sample.label == 1 and sample.read_mask is not None else None
            table.add(heat_map, mask)
            labels.append(sample.label)
    return table.metrics(np.array(labels), _POINT) if any(labels) else None


_POINT = Resampling(count=1)
"""Values alone are wanted; one resample costs nothing."""
