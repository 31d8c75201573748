"""metrics.json: what was measured, under keys that do not change.

    write_json(folder / "metrics.json", metrics_of(evaluated))

Every metric is `{"value", "low", "high"}`, its bootstrap interval with it; what cannot be computed is null, and
`notes` says why under the same key.
"""

import math
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from ganspect import __version__
from ganspect.records import Mode, Threshold
from ganspect.runtime.evaluation.baselines import PcaScores, brighter_is_anomalous
from ganspect.runtime.evaluation.bootstrap import Floats, Interval
from ganspect.runtime.evaluation.curve import Curve
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.kinds import kinds_of
from ganspect.runtime.evaluation.metrics import auroc_difference, auroc_interval, has_both_classes, image_metrics
from ganspect.runtime.evaluation.operating_point import operating_point
from ganspect.runtime.machine import machine
from ganspect.scoring import SCORES, in_order, terms_of, total

Json: TypeAlias = dict[str, Any]

_ONE_CLASS = "the test set has images of one class only; AUROC and its like need normal and anomalous ones"


def metrics_of(evaluated: Evaluated) -> Json:
    """Return the content of metrics.json."""
    systems = _systems(evaluated)
    own = systems[evaluated.mode]
    return {
        "image": own["image"],
        "pixel": None if evaluated.pixel is None else _to_json(evaluated.pixel.overall),
        "at_threshold": own["at_threshold"],
        "kinds": kinds_of(evaluated),
        "scores": _scores(evaluated),
        "pca": _pca(evaluated),
        "baselines": _baselines(evaluated),
        "mean_intensity": _mean_intensity(evaluated),
        "delta_pca": _delta_pca(evaluated),
        "deployed": _deployed(evaluated),
        "counts": _counts(evaluated),
        "systems": systems,
        "curve": None if evaluated.curve is None else _curve(evaluated.curve),
        "notes": _notes(evaluated),
        "protocol": _protocol(evaluated),
        "bundle": _bundle(evaluated),
        "environment": _environment(evaluated),
    }


def _systems(evaluated: Evaluated) -> dict[str, Json]:
    calibration = evaluated.bundle.require_calibration()
    thresholds: dict[Mode, Threshold | None] = {"search": calibration.search, "encoder": calibration.encoder}
    scores: dict[Mode, Floats | None] = {"search": evaluated.full.search, "encoder": evaluated.full.encoder}
    systems = {}
    for mode, threshold in thresholds.items():
        score = scores[mode]
        if score is not None and threshold is not None:
            systems[mode] = _system(evaluated, mode, score, threshold)
    return {str(mode): system for mode, system in systems.items()}


def _system(evaluated: Evaluated, mode: Mode, score: Floats, threshold: Threshold) -> Json:
    labels = evaluated.images.labels
    shown = {"threshold": evaluated.scales[mode].of(threshold.value)}
    point = asdict(operating_point(score, labels, threshold)) | shown
    return {"image": _to_json(image_metrics(score, labels, evaluated.resampling)), "at_threshold": point}


def _scores(evaluated: Evaluated) -> Json:
    recorded = evaluated.bundle.manifest.scores
    full = evaluated.full
    main = full.at_search if full.at_search is not None else full.at_start
    table: Json = {
        name: {
            "auroc": _auroc(evaluated, None if main is None else main[name]),
            "at_last": {"auroc": _auroc(evaluated, None if full.at_last is None else full.at_last[name])},
            "at_start": {"auroc": _auroc(evaluated, None if full.at_start is None else full.at_start[name])},
            "formula": recorded.formulas[name],
            "deployed": name == recorded.search and evaluated.mode == "search",
        }
        for name in in_order(recorded.formulas)
    }
    if full.encoder is not None:
        formula = recorded.formulas.get(recorded.encoder or "", recorded.encoder)
        auroc = _auroc(evaluated, full.encoder)
        deployed = evaluated.mode == "encoder"
        table["encoder"] = {
            "auroc": auroc,
            "at_last": {"auroc": None},
            "at_start": {"auroc": auroc},
            "formula": formula,
            "deployed": deployed,
        }
    return table


def _pca(evaluated: Evaluated) -> Json | None:
    if evaluated.pca is None:
        return None
    pca, labels, resampling = evaluated.pca.usual, evaluated.images.labels, evaluated.resampling
    return {
        "image": _to_json(image_metrics(pca.worst, labels, resampling)),
        "mean_residual": {"auroc": _auroc(evaluated, pca.mean)},
        "deployed_score": _pca_by_deployed_score(evaluated, evaluated.pca.like_bundle),
        "formula": SCORES["residual_worst"].formula,
        "components": pca.components,
        "images": pca.images,
        "size_hw": list(evaluated.images.grid.size_hw),
    }


def _pca_by_deployed_score(evaluated: Evaluated, pca: PcaScores) -> Json | None:
    """Return how a PCA of the bundle's size does by its score, which tells what score and size are worth alone."""
    recorded = evaluated.bundle.manifest.scores
    name = recorded.search if evaluated.mode == "search" else recorded.encoder
    if name is None or not set(terms_of(name)) <= set(pca.scores):
        return None
    scores = total(name, pca.scores.__getitem__, recorded.deviations)
    labels, resampling = evaluated.images.labels, evaluated.resampling
    delta = auroc_difference(evaluated.score, scores, labels, resampling)
    return {
        "name": name,
        "components": pca.components,
        "image": _to_json(image_metrics(scores, labels, resampling)),
        "delta": None if delta is None else delta.to_json(),
    }


def _baselines(evaluated: Evaluated) -> dict[str, Json]:
    """Return simple detectors on the bundle's features by name; none for bundles that see pixels."""
    labels, resampling = evaluated.images.labels, evaluated.resampling
    found = {}
    for baseline in evaluated.features:
        delta = auroc_difference(evaluated.score, baseline.scores, labels, resampling)
        found[baseline.name] = {
            "image": _to_json(image_metrics(baseline.scores, labels, resampling)),
            "pixel": None if baseline.pixel is None else _to_json(baseline.pixel),
            "delta": None if delta is None else delta.to_json(),
            "size_bytes": baseline.size_bytes,
            "ms_an_image": baseline.ms_an_image,
            "images": baseline.images,
        }
    return found


def _mean_intensity(evaluated: Evaluated) -> Json:
    labels, intensity = evaluated.images.labels, evaluated.intensity
    if not has_both_classes(labels):
        return {"image": None, "direction": None, "brighter": None, "darker": None}
    brighter = brighter_is_anomalous(intensity, labels)
    return {
        "image": _to_json(image_metrics(intensity if brighter else -intensity, labels, evaluated.resampling)),
        "direction": "brighter" if brighter else "darker",
        "brighter": {"auroc": _auroc(evaluated, intensity)},
        "darker": {"auroc": _auroc(evaluated, -intensity)},
    }


def _delta_pca(evaluated: Evaluated) -> Json | None:
    if evaluated.pca is None:
        return None
    labels, resampling = evaluated.images.labels, evaluated.resampling
    difference = auroc_difference(evaluated.score, evaluated.pca.usual.worst, labels, resampling)
    return None if difference is None else difference.to_json()


def _deployed(evaluated: Evaluated) -> Json:
    screened, labels, threshold = evaluated.screened, evaluated.images.labels, evaluated.threshold
    limit = math.inf if threshold is None else threshold.value
    flips = int((screened.anomalous != ~(evaluated.score <= limit)).sum())
    p50, p95, p99 = np.percentile(screened.latency_ms, [50, 95, 99])
    return {
        "images": labels.size,
        "agreement": 1 - flips / labels.size,
        "flips": flips,
        "iterations": _iterations(evaluated),
        "latency_ms": {"p50": float(p50), "p95": float(p95), "p99": float(p99)},
        "images_per_s": 1000 / float(screened.latency_ms.mean()),
    }


def _iterations(evaluated: Evaluated) -> Json | None:
    if evaluated.mode == "encoder":
        return None
    steps, labels = evaluated.screened.steps, evaluated.images.labels

    def mean(value: int) -> float | None:
        return float(steps[labels == value].mean()) if (labels == value).any() else None

    return {
        "full": evaluated.steps,
        "normal": mean(0),
        "anomalous": mean(1),
        "one_is_enough": float((steps <= 1).mean()),
    }


def _counts(evaluated: Evaluated) -> Json:
    labels, skipped = evaluated.images.labels, evaluated.images.skipped
    return {
        "normal": int((labels == 0).sum()),
        "anomalous": int((labels == 1).sum()),
        "skipped": len(skipped),
        "skipped_images": [asdict(image) for image in skipped],
        "with_mask": sum(sample.read_mask is not None and sample.label == 1 for sample in evaluated.images.samples),
    }


def _curve(curve: Curve) -> Json:
    def line(intervals: tuple[Interval, ...] | None) -> dict[str, list[float] | None]:
        return {
            "": None if intervals is None else [interval.value for interval in intervals],
            "_low": None if intervals is None else [interval.low for interval in intervals],
            "_high": None if intervals is None else [interval.high for interval in intervals],
        }

    lines = {"encoder_start": line(curve.encoder_start), "random_start": line(curve.random_start)}
    return {
        "iterations": list(curve.iterations),
        **{f"{start}{end}": values for start, parts in lines.items() for end, values in parts.items()},
        "n_images": curve.n_normal + curve.n_anomalous,
        "n_normal": curve.n_normal,
        "n_anomalous": curve.n_anomalous,
    }


def _notes(evaluated: Evaluated) -> dict[str, str]:
    notes = {}
    calibration = evaluated.bundle.require_calibration()
    if not has_both_classes(evaluated.images.labels):
        notes["image"] = _ONE_CLASS
    if evaluated.pca is None:
        notes["pca"] = (
            f"{evaluated.images.dataset.name} has fewer than 2 readable normal training images to fit a PCA on"
        )
    if evaluated.pixel is None:
        notes["pixel"] = "the data set has no masks of its anomalous images"
    if evaluated.mode == "search" and evaluated.steps != calibration.steps:
        notes["at_threshold"] = (
            f"the search took up to {evaluated.steps} iterations and the threshold was calibrated with "
            f"{calibration.steps}; the promised false-alarm rate holds for that number only"
        )
    if evaluated.full.encoder is None:
        notes["systems.encoder"] = "the bundle has no encoder"
    if evaluated.full.search is None:
        notes["systems.search"] = "encoder mode does not run the search"
    return notes


def _protocol(evaluated: Evaluated) -> Json:
    return {
        "data": evaluated.images.dataset.name,
        "mode": evaluated.mode,
        "steps": evaluated.steps if evaluated.mode == "search" else None,
        "resamples": evaluated.resampling.count,
        "confidence": evaluated.resampling.confidence,
        "bootstrap_seed": evaluated.resampling.seed,
        "split_seed": evaluated.bundle.manifest.training.split_seed,
        "f1": "the largest over all thresholds; at_threshold.f1 is the deployed one",
    }


def _bundle(evaluated: Evaluated) -> Json:
    manifest, calibration = evaluated.bundle.manifest, evaluated.bundle.require_calibration()
    return {
        "folder": evaluated.bundle.folder.resolve().name,
        "system": manifest.system,
        "backbone": None if manifest.backbone is None else manifest.backbone.model_dump(mode="json"),
        "weighing": manifest.scores.weighing,
        "weights_bytes": sum((evaluated.bundle.folder / name).stat().st_size for name in manifest.sha256),
        "choice": None if manifest.choice is None else manifest.choice.model_dump(mode="json"),
        "trained_on": manifest.training.source,
        "training_images": manifest.training.n_training,
        "training_steps": manifest.training.steps,
        "health": manifest.health.model_dump(mode="json"),
        "size_hw": list(manifest.image.size_hw),
        "channels": manifest.image.channels,
        "fit": manifest.image.fit,
        "search_score": manifest.scores.search,
        "encoder_score": manifest.scores.encoder,
        "score_scale": manifest.scores.scale,
        "restarts": manifest.search.restarts,
        "calibrated": calibration.created,
        "calibration_steps": calibration.steps,
        "exported_with": {"ganspect": manifest.ganspect_version, **manifest.versions},
    }


def _environment(evaluated: Evaluated) -> Json:
    return {"ganspect": __version__, "backend": dict(evaluated.backend), **machine()}


def _auroc(evaluated: Evaluated, score: Floats | None) -> dict[str, float] | None:
    interval = None if score is None else auroc_interval(score, evaluated.images.labels, evaluated.resampling)
    return None if interval is None else interval.to_json()


def _to_json(intervals: Any) -> Json | None:
    return None if intervals is None else {name: interval.to_json() for name, interval in intervals.items()}
