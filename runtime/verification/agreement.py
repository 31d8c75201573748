"""How far the scores of a backend are from the reference's, and whether a verdict flipped.

agreement = compare(Scores(...), Scores(...), threshold=0.2)
"""

from dataclasses import dataclass

import numpy as np

from ganspect.records import Record
from ganspect.runtime.conformal import upper_limit_95
from ganspect.runtime.rows import Array

FLIP_LIMIT = 0.001
"""Largest allowed share of flipped verdicts among images that straddle the threshold."""

GUARD_LIMIT = 0.5
"""Widest guard, as a share of the threshold's distance from the median normal score: one that reaches further asks
float32 for most frames, and the lower precision saves nothing."""

LEAST_MARGIN = 5e-5
"""Least margin, as a share of the threshold: what float32 sums of thousands of products differ by in any order."""

WITHIN_SHARE = 0.25
"""Share of images within the margin on which a backend may flip beyond what the reference does itself, but for one."""

LEAST_RANK = 0.95
"""Least Spearman rank correlation of all scores with the reference's."""


@dataclass(frozen=True)
class Scores:
    """Scores of the images that are compared.

    Attributes:
        normal: (n,) of calibration tiles.
        random: (n,) of random images.
        straddling: (n,) of images near the threshold.
    """

    normal: Array
    random: Array
    straddling: Array

    def together(self) -> Array:
        """Return all of them, one after the other."""
        return np.concatenate([self.normal, self.random, self.straddling]).astype(np.float64)


class Agreement(Record):
    """One score (of the search, or of the encoder) of a backend beside the reference's.

    Attributes:
        n: images compared, straddling ones included.
        largest_error: largest |s - r| / |r|.
        mean_error: mean of it.
        rank: Spearman's correlation over all images; None with fewer than three.
        not_numbers: images without a finite score where the reference has one.
        flips: verdicts that differ, of the n_plain images that were not made to straddle.
        n_plain: calibration tiles and random images.
        margin: distance from the threshold within which the reference, begun a rounding beside, differs from itself.
        n_straddling: images made to straddle that are further from the threshold than the margin: the ones judged.
        straddling_flips: verdicts that differ, of these.
        flip_rate: their share; None without any.
        flip_rate_limit_95: the rate that is not exceeded with a confidence of 95%.
        n_within: images within the margin, which no verdict can be asked of.
        within_flips: verdicts that differ, of these.
        within_reference_flips: verdicts that differ between the reference and itself a rounding beside, of these.
        guard: distance from the threshold within which float32 decides.
        room: distance of the threshold from the median score of calibration tiles; None without any.
    """

    n: int
    largest_error: float
    mean_error: float
    rank: float | None
    not_numbers: int
    flips: int
    n_plain: int
    margin: float
    n_straddling: int
    straddling_flips: int
    flip_rate: float | None
    flip_rate_limit_95: float | None
    n_within: int
    within_flips: int
    within_reference_flips: int
    guard: float = 0.0
    room: float | None = None

    def failures(self, flip_limit: float = FLIP_LIMIT) -> list[str]:
        """Return why this is not good enough, one clause each; nothing if it is."""
        found = []
        if self.not_numbers:
            found.append(f"{self.not_numbers} scores are no numbers")
        if self.flips:
            found.append(f"{self.flips} of {self.n_plain} verdicts flip away from the threshold")
        if self.flip_rate is not None and self.flip_rate > flip_limit:
            found.append(
                f"{self.straddling_flips} of {self.n_straddling} verdicts flip near the threshold, "
                f"{self.flip_rate:.2%} where {flip_limit:.2%} is allowed"
            )
        if self.within_flips > self.within_reference_flips + max(1, WITHIN_SHARE * self.n_within):
            found.append(
                f"{self.within_flips} of {self.n_within} verdicts flip within the margin, where the reference itself "
                f"flips {self.within_reference_flips}"
            )
        if self.rank is not None and self.rank < LEAST_RANK:
            found.append(f"the rank correlation is {self.rank:.3f}, at least {LEAST_RANK} is asked")
        if self.room is not None and self.guard > GUARD_LIMIT * self.room:
            found.append(
                f"float32 would have to decide within {self.guard:.3g} of the threshold, where at most "
                f"{GUARD_LIMIT * self.room:.3g} is allowed, {GUARD_LIMIT:.0%} of the way to the median normal score"
            )
        return found


def compare(given: Scores, reference: Scores, nudged: Scores, *, threshold: float, guard: float = 0.0) -> Agreement:
    """Compare a backend's scores with the reference's.

    Args:
        given: of the backend.
        reference: of the reference, for the same images.
        nudged: of the reference begun a rounding beside.
        threshold: T of this score.
        guard: distance from T within which float32 decides.
    """
    scores, expected = given.together(), reference.together()
    known = np.isfinite(expected)
    numbers = np.isfinite(scores) & known
    errors = np.abs(scores - expected)[numbers] / np.maximum(np.abs(expected[numbers]), 1e-12)
    limit = np.float32(threshold)
    flipped = (scores <= limit) != (expected <= limit)
    plain = len(given.normal) + len(given.random)
    margin = max(_largest(np.abs(nudged.together() - expected)), LEAST_MARGIN * abs(threshold))
    away = np.abs(expected - limit) > margin
    judged, within = away.copy(), ~away
    judged[:plain] = within[:plain] = False
    # A calibration tile may be the one that the threshold was taken from: it lies within the margin.
    flips, count = int((flipped & away)[:plain].sum()), int((flipped & judged).sum())
    n = int(judged.sum())
    return Agreement(
        n=len(scores),
        largest_error=_largest(errors),
        mean_error=float(errors.mean()) if len(errors) else 0.0,
        rank=spearman(scores[numbers], expected[numbers]),
        not_numbers=int((known & ~np.isfinite(scores)).sum()),
        flips=flips,
        n_plain=plain,
        margin=margin,
        n_straddling=n,
        straddling_flips=count,
        flip_rate=count / n if n else None,
        flip_rate_limit_95=rate_limit_95(count, n) if n else None,
        n_within=int(within.sum()),
        within_flips=int((flipped & within).sum()),
        within_reference_flips=int((((nudged.together() <= limit) != (expected <= limit)) & within).sum()),
        guard=guard,
        room=_room(reference.normal, threshold),
    )


def rate_limit_95(count: int, n: int) -> float:
    """Return the one-sided upper 95% limit of a rate of which `count` of `n` were seen (Clopper and Pearson 1934)."""
    # Beta(count + 1, n - count), which is the distribution of a false-alarm rate with k = n - count.
    return 1.0 if count >= n else upper_limit_95(n, n - count)


def spearman(scores: Array, expected: Array) -> float | None:
    """Return Spearman's rank correlation, ties by their mean rank; None with fewer than three, or without any order."""
    if len(scores) < 3:
        return None
    first, second = _ranks(scores), _ranks(expected)
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: Array = np.cumsum(counts)
    ranks: Array = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _room(normal: Array, threshold: float) -> float | None:
    finite = normal[np.isfinite(normal)].astype(np.float64)
    return abs(threshold - float(np.median(finite))) if len(finite) else None


def _largest(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if len(finite) else 0.0
