"""Every anomaly score by name, with its formula in words and what it needs of a match; sums of two by `A + B`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ganspect.scoring.arrays import Array, Reduction, box3, largest_mean, not_real, per_row, residual_map
from ganspect.scoring.match import DEVIATION_FLOOR, Match

WORST_SHARE = 0.01
"""Share of pixels, the largest ones, that the `worst` and `calibrated` scores average."""

CONTRAST_SHARE = 0.02
"""The same for the `contrast` score, whose residual is smoothed first."""

PEAK_SHARE = 0.002
"""The same for the `peak` score: 8 pixels of 64x64, for defects of a few pixels."""

Need: TypeAlias = Literal[
    "image", "pixels", "features", "logit", "reconstruction_logit", "code", "pair", "distance", "latent"
]
"""What a score takes of a `Match` beside x and its reconstruction: the pixel statistics, the features of both, a logit,
the anchor with the second encoder's code, the weighed distance, or the latent with its prior; `image`: x must be the
image itself, since the score is about pixels; `pair`: features and logits must be those of a discriminator of pairs."""


@dataclass(frozen=True)
class ScoreWeights:
    """The weights of the papers' scores, whose defaults are the papers', and of the terms of a sum.

    Attributes:
        feature_weight: λ in [0, 1], AnoGAN's share of the discrimination loss.
        alpha: α in [0, 1], EGBAD's share of the residual.
        kappa: κ, f-AnoGAN's weight of the features.
        deviations: standard deviation of scores over normal images, above 0, by name; what the terms of a sum are
            divided by.
    """

    feature_weight: float = 0.1
    alpha: float = 0.9
    kappa: float = 1.0
    deviations: Mapping[str, float] = field(default_factory=dict)


PAPER_WEIGHTS = ScoreWeights()


@dataclass(frozen=True)
class Score:
    """An anomaly score.

    Attributes:
        formula: text for the manifest and the report; λ, α and κ are the weights.
        formula_of: (N,) scores of a match with weights, higher is more anomalous.
        needs: what it takes of the match beside the images.
    """

    formula: str
    formula_of: Callable[[Match, ScoreWeights], Array]
    needs: frozenset[Need] = frozenset()

    def of(self, match: Match, weights: ScoreWeights = PAPER_WEIGHTS) -> Array:
        """Return (N,) scores of a match, higher is more anomalous."""
        return self.formula_of(match, weights)

    @property
    def needs_pixel_statistics(self) -> bool:
        """Return whether the two pixel maps of the match must be given."""
        return "pixels" in self.needs


def _anogan(reduction: Reduction) -> Callable[[Match, ScoreWeights], Array]:
    def score(match: Match, weights: ScoreWeights) -> Array:
        residual = per_row(_difference(match), reduction)
        features = per_row(_feature_difference(match), reduction)
        return residual * (1.0 - weights.feature_weight) + features * weights.feature_weight

    return score


def _anogan_fooling(match: Match, weights: ScoreWeights) -> Array:
    residual = per_row(_difference(match), "mean")
    return residual * (1.0 - weights.feature_weight) + not_real(match.reconstruction_logit) * weights.feature_weight


def _fanogan(match: Match, weights: ScoreWeights) -> Array:
    squared_features = (match.features - match.reconstruction_features) ** 2
    return per_row(_difference(match) ** 2, "mean") + per_row(squared_features, "mean") * weights.kappa


def _egbad(discrimination: Callable[[Match], Array]) -> Callable[[Match, ScoreWeights], Array]:
    def score(match: Match, weights: ScoreWeights) -> Array:
        return per_row(_difference(match), "sum") * weights.alpha + discrimination(match) * (1.0 - weights.alpha)

    return score


def _ganomaly(match: Match, weights: ScoreWeights) -> Array:
    return per_row(abs(match.anchor - match.reconstruction_code), "sum")


def _ganomaly_code(match: Match, weights: ScoreWeights) -> Array:
    return per_row((match.anchor - match.reconstruction_code) ** 2, "mean")


def _residual_mean(match: Match, weights: ScoreWeights) -> Array:
    return per_row(residual_map(match.image, match.reconstruction), "mean")


def _residual_worst(match: Match, weights: ScoreWeights) -> Array:
    return largest_mean(residual_map(match.image, match.reconstruction), WORST_SHARE)


def _residual_calibrated(match: Match, weights: ScoreWeights) -> Array:
    residual = residual_map(match.image, match.reconstruction)
    return largest_mean(abs(residual - match.pixel_mean) / match.pixel_deviation, WORST_SHARE)


def _residual_contrast(match: Match, weights: ScoreWeights) -> Array:
    # Smoothed before the absolute value: noise cancels within 3x3 pixels, a defect does not.
    smooth = abs(box3((match.image - match.reconstruction) * 0.5)).mean(1)
    rows = match.reconstruction.reshape((match.reconstruction.shape[0], -1)) * 0.5
    contrast = ((rows - rows.mean(1)[:, None]) ** 2).mean(1) ** 0.5
    return largest_mean(smooth, CONTRAST_SHARE) / (contrast + DEVIATION_FLOOR)


def _residual_peak(match: Match, weights: ScoreWeights) -> Array:
    # Smoothed twice: a jagged edge that is a pixel off cancels, a spot of a few pixels stays.
    return largest_mean(abs(box3(box3((match.image - match.reconstruction) * 0.5))).mean(1), PEAK_SHARE)


def _weighed_residual(match: Match, weights: ScoreWeights) -> Array:
    return largest_mean(match.distance, match.share)


def _feature_distance(match: Match, weights: ScoreWeights) -> Array:
    return per_row(_feature_difference(match), "mean")


def _latent_mahalanobis(match: Match, weights: ScoreWeights) -> Array:
    return per_row(((match.latent - match.latent_mean) / match.latent_deviation) ** 2, "mean")


def _difference(match: Match) -> Array:
    return abs(match.image - match.reconstruction)


def _feature_difference(match: Match) -> Array:
    return abs(match.features - match.reconstruction_features)


_FEATURES: frozenset[Need] = frozenset({"features"})
_LOGIT: frozenset[Need] = frozenset({"logit"})
_FOOLED: frozenset[Need] = frozenset({"reconstruction_logit"})
_PAIR: frozenset[Need] = frozenset({"pair"})
_CODE: frozenset[Need] = frozenset({"code"})
_IMAGE: frozenset[Need] = frozenset({"image"})
_LATENT: frozenset[Need] = frozenset({"latent"})

SCORES: Mapping[str, Score] = {
    "anogan": Score("(1-λ) mean|x - G(z)| + λ mean|f(x) - f(G(z))|  (AnoGAN, means)", _anogan("mean"), _FEATURES),
    "anogan_sum": Score("(1-λ) sum|x - G(z)| + λ sum|f(x) - f(G(z))|  (AnoGAN, eq. 5)", _anogan("sum"), _FEATURES),
    "anogan_fooling": Score(
        "(1-λ) mean|x - G(z)| + λ cross-entropy(D(G(z)), real)  (AnoGAN, reference variant)", _anogan_fooling, _FOOLED
    ),
    "fanogan": Score("mean (x - G(z))^2 + κ mean (f(x) - f(G(z)))^2  (f-AnoGAN, eq. 5)", _fanogan, _FEATURES),
    "egbad_feature_matching": Score(
        "α sum|x - G(z)| + (1-α) sum|f(x, E(x)) - f(G(z), E(x))|  (EGBAD, feature matching)",
        _egbad(lambda match: per_row(_feature_difference(match), "sum")),
        _FEATURES | _PAIR,
    ),
    "egbad_cross_entropy": Score(
        "α sum|x - G(z)| + (1-α) cross-entropy(D(x, E(x)), real)  (EGBAD, paper)",
        _egbad(lambda match: not_real(match.logit)),
        _LOGIT | _PAIR,
    ),
    "egbad_cross_entropy_code": Score(
        "α sum|x - G(z)| + (1-α) cross-entropy(D(G(z), E(x)), real)  (EGBAD, the authors' code)",
        _egbad(lambda match: not_real(match.reconstruction_logit)),
        _FOOLED | _PAIR,
    ),
    "ganomaly": Score("sum|G_E(x) - E(G(z))|  (GANomaly, paper)", _ganomaly, _CODE),
    "ganomaly_code": Score("mean (G_E(x) - E(G(z)))^2  (GANomaly, the authors' code)", _ganomaly_code, _CODE),
    "residual_mean": Score("mean residual", _residual_mean),
    "residual_worst": Score("mean of the largest 1% of the residual", _residual_worst),
    "residual_calibrated": Score(
        "mean of the largest 1% of |residual - pixel mean| / pixel deviation",
        _residual_calibrated,
        frozenset({"pixels"}),
    ),
    "residual_contrast": Score(
        "mean of the largest 2% of |3x3 mean of x - G(z)|, over the deviation of G(z)", _residual_contrast, _IMAGE
    ),
    "residual_peak": Score("mean of the largest 0.2% of |x - G(z) smoothed twice over 3x3|", _residual_peak, _IMAGE),
    "weighed_residual": Score(
        "mean of the largest share of d = (x - G(z))ᵀ Σ⁻¹ (x - G(z)) over places, Σ that of normal residuals; "
        "d less the image's level and corrected by a discriminator of places where the recipe says so",
        _weighed_residual,
        frozenset({"distance"}),
    ),
    "latent_mahalanobis": Score(
        "mean ((z - latent mean) / latent deviation)^2 over the latent's dimensions", _latent_mahalanobis, _LATENT
    ),
    "feature_distance": Score("mean |f(x) - f(G(z))|", _feature_distance, _FEATURES),
}
"""Every score by the name that recipes, manifests and metrics.json use."""


def terms_of(name: str) -> tuple[str, ...]:
    """Return the names of the scores that a name is made of: the name itself, or the two of a sum, `A + B`."""
    return tuple(term.strip() for term in name.split("+"))


def find_score(name: str) -> Score:
    """Return a score by its name, or the sum of two by theirs, `weighed_residual + latent_mahalanobis`; see `total`."""
    terms = terms_of(name)
    if len(terms) == 1:
        return SCORES[name]

    def of_sum(match: Match, weights: ScoreWeights) -> Array:
        return total(name, lambda term: SCORES[term].of(match, weights), weights.deviations)

    needs = frozenset[Need]().union(*(SCORES[term].needs for term in terms))
    return Score(" + ".join(f"{term} / (deviation of {term} over normal images)" for term in terms), of_sum, needs)


def total(name: str, of: Callable[[str], Array], deviations: Mapping[str, float]) -> Array:
    """Return a score, or the sum of two, from the values of its terms.

    Each term of a sum is divided by its standard deviation over normal images, so that neither outweighs the other for
    want of a common unit.

    Args:
        name: name of the score or of the sum.
        of: returns the (N,) values of a score by its name.
        deviations: standard deviation of each term over normal images, above 0.

    Raises:
        ValueError: the deviation of a term is missing.
    """
    terms = terms_of(name)
    if len(terms) == 1:
        return of(name)
    if missing := [term for term in terms if term not in deviations]:
        raise ValueError(f"the deviation of {missing[0]} over normal images is not known; export measures it")
    first, second = (of(term) * (1.0 / deviations[term]) for term in terms)
    return first + second


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of some names that are of scores, in the order in which tables have them: `SCORES`, then sums."""
    given = set(names)
    sums = (name for name in given - set(SCORES) if set(terms_of(name)) <= set(SCORES))
    return (*(name for name in SCORES if name in given), *sorted(sums))
