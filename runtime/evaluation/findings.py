"""The first screen of the page: is this detector any good, said so that a station engineer can act on it.

headline_of(metrics)   # ("It separates ... better than PCA ...", "good")
cards_of(metrics)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganspect.runtime.evaluation.page import Card, Tone
from ganspect.runtime.evaluation.wording import (
    NAMES,
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
    image = metrics["image"]
    if image is None:
        return f"{_in_use(metrics['at_threshold'])} More cannot be said: {metrics['notes']['image']}.", "plain"
    ranks = (
        f"Of a defective and a normal image, it scores the defective one higher {percent(image['auroc']['value'])} of "
        f"the time. {_in_use(metrics['at_threshold'])}"
    )
    rival = _decisive_rival(metrics)
    if rival is None:
        return f"{ranks} There is no PCA to compare with: {metrics['notes'].get('pca', 'no figures')}.", "plain"
    than = "the simple detectors beside it" if metrics["baselines"] else "PCA"
    if rival.tone == "good":
        return f"{ranks} It is better than {than}, beyond what the choice of test images explains.", "good"
    if rival.tone == "bad":
        return f"{ranks} {rival.name}, a far simpler model, is better: {_advice(metrics)}.", "bad"
    return f"{ranks} On these images it cannot be told from {rival.name}, a far simpler model.", "plain"


def _advice(metrics: Mapping[str, Any]) -> str:
    if not metrics["bundle"]["training_steps"]:
        return "let more be chosen by drawn defects, or train a GAN"
    return "train longer, or do without a GAN (configs/linear_features.yaml)"


@dataclass(frozen=True)
class _Rival:
    """A simple detector that the bundle is compared with.

    Attributes:
        name: its name in words.
        auroc: the rival's.
        delta: the bundle's AUROC less the rival's, with its paired interval.
    """

    name: str
    auroc: float
    delta: Mapping[str, float]

    @property
    def tone(self) -> Tone:
        return "good" if self.delta["low"] > 0 else "bad" if self.delta["high"] < 0 else "plain"


def _decisive_rival(metrics: Mapping[str, Any]) -> _Rival | None:
    """Return of the simple detectors the one that the verdict is about: PCAs, and those on the bundle's features.

    One that is surely better comes first, then one that cannot be told apart; only a detector that is surely better
    than all is good. Of those alike, the one with the higher AUROC. None where there is no PCA.
    """
    pca, delta = metrics["pca"], metrics["delta_pca"]
    if delta is None or pca is None or pca["image"] is None:
        return None
    rivals, same = [_Rival("PCA", pca["image"]["auroc"]["value"], delta)], pca["deployed_score"]
    if same is not None and same["delta"] is not None:
        rivals.append(_Rival("PCA under the same score", same["image"]["auroc"]["value"], same["delta"]))
    for name, found in metrics["baselines"].items():
        # A PCA that deploys the same score is that very rival, but for the images that it holds out.
        if found["delta"] is not None and not (name == "pca_features" and _is_that_pca(metrics)):
            rivals.append(_Rival(NAMES[name], found["image"]["auroc"]["value"], found["delta"]))
    order: tuple[Tone, ...] = ("bad", "plain", "good")
    return min(rivals, key=lambda rival: (order.index(rival.tone), -rival.auroc))


def _is_that_pca(metrics: Mapping[str, Any]) -> bool:
    """Return whether the bundle is a PCA that no training step changed, judged by its weighed residual alone."""
    bundle, mode = metrics["bundle"], metrics["protocol"]["mode"]
    return not bundle["training_steps"] and bundle[f"{mode}_score"] == "weighed_residual"


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
    rival = _decisive_rival(metrics)
    if rival is None:
        return None
    delta, trivial = rival.delta, metrics["mean_intensity"]["image"]["auroc"]["value"]
    return Card(
        "AUROC above the best simple detector's" if metrics["baselines"] else "AUROC above PCA's",
        signed(delta["value"]),
        f"95% interval {signed(delta['low'])} to {signed(delta['high'])}, on the same images; {rival.name} reaches "
        f"{rival.auroc:.3f}, mean intensity {trivial:.3f}",
        rival.tone,
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
        f"{environment['processor']}, {environment['cores']} cores, {environment['backend']['name']} "
        f"in {environment['backend']['precision']}",
    )


def _verdicts(flips: int) -> str:
    return "no verdict" if flips == 0 else "1 verdict" if flips == 1 else f"{flips} verdicts"
