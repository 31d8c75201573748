"""What the deployed threshold does: false alarms against those promised, and detections.

point = operating_point(scores, labels, bundle.require_calibration().search)
"""

import math
from dataclasses import dataclass

import numpy as np

from ganspect.records import Threshold
from ganspect.runtime.evaluation.bootstrap import Labels
from ganspect.runtime.evaluation.metrics import Scores

_NORMAL_QUANTILE = 1.959963984540054
_DOUBT = 0.05


@dataclass(frozen=True)
class OperatingPoint:
    """Verdicts at the threshold in force. A rate is None where its class is missing.

    Attributes:
        threshold: T; an image above it is anomalous.
        n_normal: normal images.
        n_anomalous: anomalous images.
        false_alarms: normal images flagged.
        detections: anomalous images flagged.
        fpr: share of normal images flagged.
        fpr_low: lower end of its 95% interval (Wilson).
        fpr_high: upper end.
        tpr: share of anomalous images flagged.
        tpr_low: lower end of its 95% interval (Wilson).
        tpr_high: upper end.
        f1: of the flagged images, at this threshold.
        promised_rate: a, the rate that the threshold was calibrated for.
        upper_limit_95: what the rate stays under in 95% of such calibrations.
        calibration_n: normal images that T came from.
        calibration_k: its rank among them.
        chance_if_kept: probability of at least so many false alarms if the promise holds.
        promise_kept: whether that is no less than 5%, so that the promise is not refuted.
    """

    threshold: float
    n_normal: int
    n_anomalous: int
    false_alarms: int
    detections: int
    fpr: float | None
    fpr_low: float | None
    fpr_high: float | None
    tpr: float | None
    tpr_low: float | None
    tpr_high: float | None
    f1: float | None
    promised_rate: float
    upper_limit_95: float
    calibration_n: int
    calibration_k: int
    chance_if_kept: float | None
    promise_kept: bool | None


def operating_point(scores: Scores, labels: Labels, threshold: Threshold) -> OperatingPoint:
    """Count verdicts: an image is anomalous if its score is not at or under the threshold, so NaN is."""
    flagged = ~(scores <= threshold.value)
    n_normal, n_anomalous = int((labels == 0).sum()), int((labels == 1).sum())
    false_alarms, detections = int(flagged[labels == 0].sum()), int(flagged[labels == 1].sum())
    fpr, fpr_low, fpr_high = wilson_interval(false_alarms, n_normal)
    tpr, tpr_low, tpr_high = wilson_interval(detections, n_anomalous)
    chance = chance_of_false_alarms(false_alarms, n_normal, threshold) if n_normal else None
    return OperatingPoint(
        threshold=threshold.value,
        n_normal=n_normal,
        n_anomalous=n_anomalous,
        false_alarms=false_alarms,
        detections=detections,
        fpr=fpr,
        fpr_low=fpr_low,
        fpr_high=fpr_high,
        tpr=tpr,
        tpr_low=tpr_low,
        tpr_high=tpr_high,
        f1=2 * detections / (detections + false_alarms + n_anomalous) if n_anomalous else None,
        promised_rate=threshold.false_alarm_rate,
        upper_limit_95=threshold.upper_limit_95,
        calibration_n=threshold.n,
        calibration_k=threshold.k,
        chance_if_kept=chance,
        promise_kept=None if chance is None else chance >= _DOUBT,
    )


def wilson_interval(hits: int, trials: int) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return a share and its 95% interval (Wilson 1927), or three None without trials."""
    if trials == 0:
        return None, None, None
    share, z2 = hits / trials, _NORMAL_QUANTILE**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _NORMAL_QUANTILE / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == trials else centre + half
    return share, low, high


def chance_of_false_alarms(false_alarms: int, n_normal: int, threshold: Threshold) -> float:
    """Return the probability of at least so many false alarms among fresh normal images, if the promise holds.

    The rate behind a conformal threshold is Beta(n+1-k, k) over calibrations (Vovk 2012, proposition 2a), so the
    count is beta-binomial.
    """
    alpha, beta = threshold.n + 1 - threshold.k, threshold.k
    counts = np.arange(false_alarms, n_normal + 1)
    logs = [_log_beta_binomial(int(count), n_normal, alpha, beta) for count in counts]
    return min(1.0, float(np.exp(logs).sum()))


def _log_beta_binomial(count: int, trials: int, alpha: float, beta: float) -> float:
    choose = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return choose + _log_beta(count + alpha, trials - count + beta) - _log_beta(alpha, beta)


def _log_beta(alpha: float, beta: float) -> float:
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
