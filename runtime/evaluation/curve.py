"""AUROC over the number of iterations, from the encoder's start and from random ones: what a start is worth.

curve = draw_curve(images, search, CurvePlan(iterations=(1, 10, 100), images=60), Resampling(), progress)
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from rich.progress import Progress

from ganspect.runtime.evaluation.bootstrap import Interval, Labels, Resampling
from ganspect.runtime.evaluation.labelled import LabelledImages
from ganspect.runtime.evaluation.metrics import auroc_interval
from ganspect.runtime.evaluation.passes import frames_in_batches, largest_of_frames
from ganspect.runtime.evaluation.readout import Array, Readout
from ganspect.runtime.search import LatentSearch

Start: TypeAlias = Literal["encoder", "random"]


@dataclass(frozen=True)
class CurvePlan:
    """How far the curve goes, and on how many images.

    Attributes:
        iterations: counts at which the AUROC is taken.
        images: at most; half of each class as far as there are, for the AUROC does not depend on the shares.
    """

    iterations: tuple[int, ...]
    images: int


@dataclass(frozen=True)
class Curve:
    """AUROC of the search's best score after so many iterations.

    Attributes:
        iterations: the counts.
        encoder_start: at each; None without an encoder.
        random_start: at each.
        n_normal: normal images that it was drawn on.
        n_anomalous: anomalous ones.
    """

    iterations: tuple[int, ...]
    encoder_start: tuple[Interval, ...] | None
    random_start: tuple[Interval, ...]
    n_normal: int
    n_anomalous: int


def draw_curve(
    images: LabelledImages,
    search: LatentSearch,
    readout: Readout,
    plan: CurvePlan,
    resampling: Resampling,
    progress: Progress,
) -> Curve | None:
    """Search a part of the images, exit off, and note the scores on the way; None where a class is missing.

    Within the search's burn-in no score counts yet; there the score of the point that was reached stands.
    """
    chosen = balanced_part(images.labels, plan.images)
    labels = images.labels[chosen]
    if len(np.unique(labels)) < 2:
        return None
    starts: tuple[Start, ...] = ("encoder", "random") if search.has_encoder else ("random",)
    task = progress.add_task("curve", total=len(starts) * len(chosen), detail=f"{max(plan.iterations)} iterations")
    lines: dict[Start, tuple[Interval, ...]] = {}
    for start in starts:
        scores: list[Array] = []
        for tiles, lengths in frames_in_batches(images, chosen):
            at = _scores_at(tiles, search, readout, plan.iterations, start)
            scores.append(np.stack([largest_of_frames(at[stop], lengths) for stop in plan.iterations]))
            progress.advance(task, len(lengths))
        lines[start] = _line(np.concatenate(scores, axis=1), labels, resampling)
    return Curve(
        plan.iterations, lines.get("encoder"), lines["random"], int((labels == 0).sum()), int((labels == 1).sum())
    )


def _scores_at(
    tiles: Array, search: LatentSearch, readout: Readout, stops: tuple[int, ...], start: Start
) -> dict[int, Array]:
    manifest = search.bundle.manifest
    scores = search.full(tiles, steps=max(stops), start=start, checkpoints=stops).scores_at
    for stop in stops:
        if stop <= manifest.search.burn_in:
            reached = search.full(tiles, steps=stop - 1, start=start).points
            scores[stop] = readout.scores(readout.represent(tiles), reached)[manifest.scores.search]
    return scores


def balanced_part(labels: Labels, count: int, seed: int = 0) -> Array:
    """Return the indices of at most `count` images, ascending: half of each class as far as there are."""
    random = np.random.default_rng(seed)
    normal, anomalous = (random.permutation(np.flatnonzero(labels == value)) for value in (0, 1))
    half = min(len(normal), max(count // 2, count - len(anomalous)))
    return np.sort(np.concatenate([normal[:half], anomalous[: count - half]]))


def _line(scores: Array, labels: Labels, resampling: Resampling) -> tuple[Interval, ...]:
    intervals = (auroc_interval(row, labels, resampling) for row in scores)
    return tuple(interval for interval in intervals if interval is not None)
