"""The first screen of the page: is this detector any good, said so that a station engineer can act on it.

headline_of(metrics)   # ("It separates ... better than PCA ...", "good")
cards_of(metrics)
"""

from collections.abc import Mapping
from typing import Any

from ganspect.runtime.evaluation.page import Card, Tone
from ganspect.runtime.evaluation.wording import (
    alarms,
    detections,
    milliseconds,
    number,
    percent,
    percent_range,
    signed,
)


def headline_of(metrics: Mapping[str, Any]) -> tuple[str, Tone]:
    """Return the verdict on the detector in plain words, and whether it is good news."""
    image, delta = metrics["image"], metrics["delta_pca"]
    if image is None:
        return f"{_in_use(metrics['at_threshold'])} More cannot be said: {metrics['notes']['image']}.", "plain"
    ranks = (
        f"Of a defective and a normal image, it scores the defective one higher {percent(image['auroc']['value'])} of "
        f"the time. {_in_use(metrics['at_threshold'])}"
    )
    if delta is None:
        return f"{ranks} There is no PCA to compare with: {metrics['notes'].get('pca', 'no figures')}.", "plain"
    if delta["low"] > 0:
        return f"{ranks} It is better than PCA, beyond what the choice of test images explains.", "good"
    if delta["high"] < 0:
        return f"{ranks} PCA, a far simpler model, is better: train longer or deploy another score before use.", "bad"
    return f"{ranks} On these images it cannot be told from PCA, a far simpler model.", "plain"


def _in_use(point: Mapping[str, Any]) -> str:
    parts = []
    if point["tpr"] is not None:
        parts.append(f"finds {percent(point['tpr'])} of the defects")
    if point["fpr"] is not None:
        parts.append(f"flags {percent(point['fpr'])} of the normal images")
    return f"At its threshold it {' and '.join(parts)}."


def cards_of(metrics: Mapping[str, Any]) -> tuple[Card, ...]:
    """Return the figures of the first screen."""
    cards = [_auroc(metrics), _against(metrics), _false_alarms(metrics), _found(metrics), _iterations(metrics)]
    return tuple(card for card in [*cards, _latency(metrics)] if card is not None)


def _auroc(metrics: Mapping[str, Any]) -> Card | None:
    if metrics["image"] is None:
        return None
    auroc = metrics["image"]["auroc"]
    return Card(
        "AUROC",
        f"{auroc['value']:.3f}",
        f"95% interval {auroc['low']:.3f} to {auroc['high']:.3f}; 0.5 is guessing, 1 is perfect",
    )


def _against(metrics: Mapping[str, Any]) -> Card | None:
    delta, intensity = metrics["delta_pca"], metrics["mean_intensity"]
    if delta is None or metrics["pca"]["image"] is None:
        return None
    pca, trivial = metrics["pca"]["image"]["auroc"]["value"], intensity["image"]["auroc"]["value"]
    tone: Tone = "good" if delta["low"] > 0 else "bad" if delta["high"] < 0 else "plain"
    return Card(
        "AUROC above PCA's",
        signed(delta["value"]),
        f"95% interval {signed(delta['low'])} to {signed(delta['high'])}, on the same images; PCA reaches {pca:.3f}, "
        f"mean intensity {trivial:.3f}",
        tone,
    )


def _false_alarms(metrics: Mapping[str, Any]) -> Card | None:
    point = metrics["at_threshold"]
    if point["fpr"] is None:
        return None
    kept = "as promised" if point["promise_kept"] else "more than promised, so calibrate on images of this station"
    return Card(
        "False alarms at the threshold",
        percent(point["fpr"]),
        f"{alarms(point).partition(' (')[0]} normal images, so {percent_range(point['fpr_low'], point['fpr_high'])} in "
        f"the long run; promised {percent(point['promised_rate'])} on average, under "
        f"{percent(point['upper_limit_95'])} with 95% certainty: {kept}",
        "good" if point["promise_kept"] else "bad",
    )


def _found(metrics: Mapping[str, Any]) -> Card | None:
    point = metrics["at_threshold"]
    if point["tpr"] is None:
        return None
    return Card(
        "Defects found at the threshold",
        percent(point["tpr"]),
        f"{detections(point).partition(' (')[0]} defective images, so "
        f"{percent_range(point['tpr_low'], point['tpr_high'])} in the long run",
    )


def _iterations(metrics: Mapping[str, Any]) -> Card | None:
    iterations = metrics["deployed"]["iterations"]
    if iterations is None:
        return None
    return Card(
        "Iterations of the search",
        f"{number(iterations['normal'])} / {number(iterations['anomalous'])}",
        f"on average for normal / anomalous images, of {iterations['full']}; the early exit changed "
        f"{_verdicts(metrics['deployed']['flips'])}",
    )


def _latency(metrics: Mapping[str, Any]) -> Card:
    latency, environment = metrics["deployed"]["latency_ms"], metrics["environment"]
    return Card(
        "Time for an image (median)",
        milliseconds(latency["p50"]),
        f"95% within {milliseconds(latency['p95'])}, 99% within {milliseconds(latency['p99'])}; "
        f"{environment['processor']}, {environment['cores']} cores, {environment['backend']['name']}",
    )


def _verdicts(flips: int) -> str:
    return "no verdict" if flips == 0 else "1 verdict" if flips == 1 else f"{flips} verdicts"
