"""Each kind of defect by itself: how many are found, how they rank, how well the heat map shows where they are.

    kinds_of(evaluated)["crack"]["at_threshold"]["detections"]

One figure over all kinds hides the kind that is never found, and in pixel figures large defects drown small ones.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from ganspect.datasets import Sample
from ganspect.runtime.evaluation.bootstrap import Labels
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.metrics import auroc_interval
from ganspect.runtime.evaluation.operating_point import operating_point

Members: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]


def members_of_kinds(samples: Sequence[Sample]) -> dict[str, Members]:
    """Return for each kind of defect, by name, the indices of its images and of all normal ones.

    Args:
        samples: of the test set.

    Returns:
        Nothing where there is one kind only: the figures over all images are its own.
    """
    kinds = sorted({sample.kind for sample in samples if sample.label == 1})
    if len(kinds) < 2:
        return {}
    belongs = {kind: [sample.label == 0 or sample.kind == kind for sample in samples] for kind in kinds}
    return {kind: np.flatnonzero(chosen) for kind, chosen in belongs.items()}


def kinds_of(evaluated: Evaluated) -> dict[str, dict[str, Any]]:
    """Return for each kind what metrics.json has of it, all against the same normal images; see docs/evaluate.md."""
    pixel = {} if evaluated.pixel is None else evaluated.pixel.of_kinds
    return {
        kind: {
            "images": int((evaluated.images.labels[members] == 1).sum()),
            "image": _image(evaluated, members),
            "at_threshold": _at_threshold(evaluated, members),
            "pixel": {name: figure.to_json() for name, figure in pixel[kind].items()} if kind in pixel else None,
        }
        for kind, members in members_of_kinds(evaluated.images.samples).items()
    }


def _image(evaluated: Evaluated, members: Members) -> dict[str, Any] | None:
    labels: Labels = evaluated.images.labels[members]
    interval = auroc_interval(evaluated.score[members], labels, evaluated.resampling)
    return None if interval is None else {"auroc": interval.to_json()}


def _at_threshold(evaluated: Evaluated, members: Members) -> dict[str, Any] | None:
    threshold = evaluated.threshold
    if threshold is None:
        return None
    point = asdict(operating_point(evaluated.score[members], evaluated.images.labels[members], threshold))
    return {key: point[key] for key in ("n_anomalous", "detections", "tpr", "tpr_low", "tpr_high")}
