"""The sections of the page, each a function from what was measured to text, table and drawings, or None.

To add one, write such a function and put it into `SECTIONS`; nothing else changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ganspect.datasets import Skipped
from ganspect.runtime.evaluation.breakdown import kinds_section, pixels_section, scores_section
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.metrics import has_both_classes
from ganspect.runtime.evaluation.page import Drawing, Section, Table
from ganspect.runtime.evaluation.plots import (
    SYSTEM_STYLES,
    Line,
    curve_plot,
    histogram_plot,
    precision_recall_plot,
    roc_plot,
)
from ganspect.runtime.evaluation.wording import MISSING, NAMES, alarms, compared, detections, percent, with_interval

Metrics: TypeAlias = Mapping[str, Any]
SectionBuilder: TypeAlias = Callable[[Evaluated, Metrics], Section | None]


def systems_table(metrics: Metrics) -> Table:
    """Return encoder, search, PCA and mean intensity side by side; what was not measured is left out."""
    rows: list[tuple[str, ...]] = []
    strong: set[int] = set()
    found = compared(metrics)
    for key in (key for key in NAMES if key in found):
        if key == metrics["protocol"]["mode"]:
            strong.add(len(rows))
        rows.append(_system_row(NAMES[key], found[key]))
    header = ("", "AUROC [95%]", "AUPRC", "found at 1% false alarms", "false alarms at threshold", "found at threshold")
    return Table(header, tuple(rows), frozenset(strong))


def _system_row(name: str, system: Metrics) -> tuple[str, ...]:
    image, point = system["image"], system.get("at_threshold")
    if image is None:
        return name, MISSING, MISSING, MISSING, alarms(point), detections(point)
    reached = percent(image["tpr_at_fpr_1pct"]["value"])
    return (
        name,
        with_interval(image["auroc"]),
        f"{image['auprc']['value']:.3f}",
        reached,
        alarms(point),
        detections(point),
    )


def _side_by_side(evaluated: Evaluated, metrics: Metrics) -> Section:
    lines, labels = _lines(evaluated, metrics), evaluated.images.labels
    drawings = (
        (
            Drawing(roc_plot(lines, labels), "ROC: up and to the left is better; the diagonal is guessing."),
            Drawing(
                precision_recall_plot(lines, labels),
                "Precision and recall: up and to the right is better; the level line is guessing.",
            ),
        )
        if lines
        else ()
    )
    return Section(
        "Beside simple detectors",
        "A detector that does not beat the simple ones is not worth deploying. The deployed mode is in bold; search "
        "and encoder have a threshold, set from normal images before this test.",
        drawings,
        systems_table(metrics),
        remarks=_baseline_remarks(metrics),
    )


def _baseline_remarks(metrics: Metrics) -> tuple[str, ...]:
    remarks = []
    if pca := metrics["pca"]:
        size, by_mean = "x".join(map(str, pca["size_hw"])), with_interval(pca["mean_residual"]["auroc"])
        remarks.append(
            f"PCA: {pca['components']} components of {pca['images']} normal training images at {size} pixels, scored "
            f"by the {pca['formula']}; by its mean residual {by_mean}."
        )
        if same := pca["deployed_score"]:
            remarks.append(
                f"PCA, same score: {same['components']} components, at most as many as the bundle's latent has "
                f"dimensions, by the bundle's own score, {same['name']}; what the bundle is better by is then due to "
                f"its model and its search alone: {with_interval(same['delta'])}."
            )
    if features := metrics["baselines"]:
        remarks.append(_feature_remark(metrics, features))
    if direction := metrics["mean_intensity"]["direction"]:
        remarks.append(
            f"Mean intensity: {direction} images count as anomalous; that direction was chosen on the "
            "test labels, which flatters it."
        )
    return tuple(remarks)


def _feature_remark(metrics: Metrics, features: Metrics) -> str:
    figures = []
    for name, found in features.items():
        pixel = "" if found["pixel"] is None else f"; pixel AUROC {found['pixel']['auroc']['value']:.3f}"
        figures.append(
            f"{NAMES[name]}: the bundle is better by {with_interval(found['delta'])}{pixel}; "
            f"{found['size_bytes'] / 1e6:.1f} MB, {found['ms_an_image']:.1f} ms an image"
        )
    count = next(iter(features.values()))["images"]
    return (
        f"Simple detectors on the bundle's own features, fitted on {count} normal training images without training. "
        f"{'. '.join(figures)}."
    )


def _lines(evaluated: Evaluated, metrics: Metrics) -> tuple[Line, ...]:
    if not has_both_classes(evaluated.images.labels):
        return ()
    sign = 1 if metrics["mean_intensity"]["direction"] == "brighter" else -1
    scores = {
        "search": evaluated.full.search,
        "encoder": evaluated.full.encoder,
        "pca": None if evaluated.pca is None else evaluated.pca.usual.worst,
        "mean_intensity": sign * evaluated.intensity,
    }
    return tuple(Line(NAMES[key], score, SYSTEM_STYLES[key]) for key, score in scores.items() if score is not None)


def _threshold(evaluated: Evaluated, metrics: Metrics) -> Section:
    point = metrics["at_threshold"]
    drawing = Drawing(
        histogram_plot(evaluated.shown_score, evaluated.images.labels, point["threshold"]),
        "How the deployed scores are spread; images right of the threshold are flagged.",
        wide=True,
    )
    rows = (
        ("false alarms", alarms(point), f"95% interval {percent(point['fpr_low'])} to {percent(point['fpr_high'])}"),
        (
            "defects found",
            detections(point),
            f"95% interval {percent(point['tpr_low'])} to {percent(point['tpr_high'])}",
        ),
        ("promised", percent(point["promised_rate"]), _promise(point)),
        ("F1 at the threshold", MISSING if point["f1"] is None else f"{point['f1']:.3f}", _best_f1(metrics)),
    )
    return Section("Scores and threshold", "", (drawing,), Table((), rows), remarks=_note(metrics, "at_threshold"))


def _promise(point: Metrics) -> str:
    text = (
        f"on average over calibrations; under {percent(point['upper_limit_95'])} in 95% of them: T is the "
        f"{point['calibration_k']}-th smallest of {point['calibration_n']} held-out normal scores"
    )
    if point["chance_if_kept"] is None:
        return text
    return (
        f"{text}; so many false alarms or more come about with probability {point['chance_if_kept']:.2g} if it is kept"
    )


def _best_f1(metrics: Metrics) -> str:
    if metrics["image"] is None:
        return ""
    return f"the best threshold in hindsight would reach {with_interval(metrics['image']['f1'])}"


def _curve(evaluated: Evaluated, metrics: Metrics) -> Section | None:
    curve = evaluated.curve
    if curve is None:
        return None
    drawing = Drawing(
        curve_plot(curve),
        f"AUROC of the best score after so many iterations, exit off, with its 95% band, on {curve.n_normal} normal "
        f"and {curve.n_anomalous} anomalous images.",
        wide=True,
    )
    rows = tuple(
        (label, *(f"{interval.value:.3f}" for interval in line))
        for label, line in (("encoder's start", curve.encoder_start), ("random starts", curve.random_start))
        if line is not None
    )
    header = ("AUROC after", *(str(count) for count in curve.iterations))
    lead = "Drawn on a smaller, balanced part of the images: compare its points with each other, not with those above."
    return Section("What more iterations are worth", lead, (drawing,), Table(header, rows))


def _note(metrics: Metrics, key: str) -> tuple[str, ...]:
    note = metrics["notes"].get(key)
    return () if note is None else (f"{note}.",)


def _protocol(evaluated: Evaluated, metrics: Metrics) -> Section:
    counts, bundle, environment = metrics["counts"], metrics["bundle"], metrics["environment"]
    return Section(
        "How these figures were made",
        "Scores are the bundle's own graphs' with the early exit off; verdicts, iterations and times are of a second "
        "pass, frame by frame, as a station runs it. Only the direction of mean intensity was chosen by test labels.",
        table=Table((), _protocol_rows(metrics, counts, bundle, environment)),
        remarks=_skipped(counts["skipped_images"]),
    )


def _protocol_rows(
    metrics: Metrics, counts: Metrics, bundle: Metrics, environment: Metrics
) -> tuple[tuple[str, str], ...]:
    protocol, deployed = metrics["protocol"], metrics["deployed"]
    images = f"{counts['normal']} normal, {counts['anomalous']} anomalous, {counts['skipped']} skipped"
    training = f"{bundle['system']}, trained on {bundle['training_images']} images of {bundle['trained_on']}"
    scale = ", scaled by the calibration's minimum and maximum" if bundle["score_scale"] == "min_max" else ""
    search = f", {protocol['steps']} iterations, {bundle['restarts']} start(s)" if protocol["steps"] else ""
    resamples = f"{protocol['resamples']} resamples, seed {protocol['bootstrap_seed']}"
    agreement = f"{percent(deployed['agreement'])} of {deployed['images']} verdicts as in full"
    return (
        ("data", f"{protocol['data']}: {images}"),
        (
            "split",
            f"seed {protocol['split_seed']}, where the data set has no split of its own; no test image seen before",
        ),
        ("bundle", f"{bundle['folder']}: {training}"),
        ("training's health", _health(bundle["health"])),
        ("mode", f"{protocol['mode']}, score {bundle[protocol['mode'] + '_score']}{scale}{search}"),
        ("intervals", f"bootstrap over images, each class apart, {resamples}; rates: Wilson"),
        ("as deployed", f"{agreement}, {deployed['flips']} differ"),
        ("calibrated", f"{bundle['calibrated']}, with {bundle['calibration_steps']} iterations"),
        ("exported with", ", ".join(f"{name} {version}" for name, version in bundle["exported_with"].items())),
        ("run with", _environment(environment)),
    )


def _health(health: Metrics) -> str:
    stages = [
        f"stage {stage}: {', '.join(f'{name} {value:.3g}' for name, value in figures.items())}"
        for stage, figures in health["stages"].items()
    ]
    return "; ".join(stages) or "not measured"


def _environment(environment: Metrics) -> str:
    backend = environment["backend"]
    return (
        f"ganspect {environment['ganspect']}, {backend['name']} {backend['version']} "
        f"in {backend['precision']}, Python {environment['python']}, "
        f"{environment['processor']} ({environment['cores']} cores), {environment['evaluated']}"
    )


def _skipped(skipped: Sequence[Metrics], most: int = 20) -> tuple[str, ...]:
    lines = [f"skipped: {Skipped(**image)}" for image in skipped[:most]]
    more = len(skipped) - most
    return tuple([*lines, f"and {more} more, see metrics.json"] if more > 0 else lines)


SECTIONS: tuple[SectionBuilder, ...] = (
    _side_by_side,
    _threshold,
    kinds_section,
    _curve,
    scores_section,
    pixels_section,
)
"""The sections above the pictures, in order."""

CLOSING_SECTIONS: tuple[SectionBuilder, ...] = (_protocol,)
"""The sections below the pictures."""
