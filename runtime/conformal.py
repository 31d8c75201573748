"""Split conformal thresholds: a promise on false alarms that rests on normal scores alone.

Of n held-out normal scores the k-th smallest, k = ceil((n + 1)(1 - a)), is exceeded by a fresh normal score with
probability at most a, over the draw of both (Vovk et al. 2005; Lei et al. 2018). That is an average: `upper_limit_95`
says what rate such a calibration does not exceed in 95 of 100 cases.

    conformal_threshold(scores, rate=0.01)
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from ganspect.errors import CalibrationError
from ganspect.records import Threshold

LEAST_RATE = Fraction(1, 100)
"""Rate that is aimed for when none is asked."""


def conformal_threshold(scores: Sequence[float], rate: float | None) -> Threshold:
    """Return the threshold of n normal scores.

    Args:
        scores: of held-out normal frames, higher is more anomalous; NaN counts as +inf.
        rate: a in (0, 1); None: the smallest that n scores support, from 1% up.

    Raises:
        CalibrationError: too few scores for the rate, a rate outside (0, 1), or a threshold that would be infinite.
    """
    n = len(scores)
    allowed = smallest_rate(n) if rate is None else exact_rate(rate)
    if n < least_count(allowed):
        raise CalibrationError(
            f"a false-alarm rate of {float(allowed):.4g} needs {least_count(allowed)} normal frames, {n} were given; "
            "give more images, or ask for a higher rate"
        )
    k = conformal_rank(n, allowed)
    value = sorted(math.inf if math.isnan(score) else score for score in scores)[k - 1]
    if not math.isfinite(value):
        raise CalibrationError(
            f"{sum(not math.isfinite(score) for score in scores)} of {n} normal frames have no finite score, so there "
            "is no threshold; train the model again or export it with another score"
        )
    return Threshold(value=float(value), n=n, k=k, false_alarm_rate=float(allowed), upper_limit_95=upper_limit_95(n, k))


def exact_rate(rate: float) -> Fraction:
    """Return a rate as the decimal number that was written, so that 0.01 of 100 is exactly 1.

    Raises:
        CalibrationError: it is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise CalibrationError(f"a false-alarm rate of {rate} was asked for; give one between 0 and 1, such as 0.01")
    return Fraction(str(rate))


def smallest_rate(n: int) -> Fraction:
    """Return the smallest rate, from 1% up, that n scores support: max(0.01, 1 / (n + 1))."""
    return max(LEAST_RATE, Fraction(1, n + 1))


def least_count(rate: Fraction) -> int:
    """Return how many scores a rate needs: the least n with k <= n, which is ceil(1 / a) - 1."""
    return max(1, math.ceil(1 / rate) - 1)


def conformal_rank(n: int, rate: Fraction) -> int:
    """Return k = ceil((n + 1)(1 - a)), from 1."""
    return math.ceil((n + 1) * (1 - rate))


def upper_limit_95(n: int, k: int) -> float:
    """Return the 95% quantile of the false-alarm rate, which is distributed as Beta(n + 1 - k, k).

    A Beta(j, n + 1 - j) variable is at most x with the probability that Binomial(n, x) is at least j.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _binomial_at_most(n - k, n, middle) > 0.05:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _binomial_at_most(count: int, n: int, chance: float) -> float:
    if not 0 < chance < 1:
        return float(chance <= 0)
    terms = (
        math.lgamma(n + 1)
        - math.lgamma(i + 1)
        - math.lgamma(n - i + 1)
        + i * math.log(chance)
        + (n - i) * math.log1p(-chance)
        for i in range(count + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
