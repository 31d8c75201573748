"""Anomaly scores, the search loss and the latent update: the one place where they are written.

The formulas use operators that numpy arrays and torch tensors share, so the graphs (traced from
PyTorch), the parity checks and the torch-free evaluation compute the same thing from the same lines.

Shapes: images (N,C,H,W) float32 in [-1, 1]; features (N,...) float32; a score or a loss is (N,).
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

Array: TypeAlias = Any
"""A numpy array or a torch tensor; every function returns the kind that it was given."""

WORST_SHARE = 0.01
"""Share of pixels, the largest ones, that the `worst` and `calibrated` scores average."""

CONTRAST_SHARE = 0.02
"""The same for the `contrast` score, whose residual is smoothed first."""

DEVIATION_FLOOR = 0.005
"""Least deviation that is divided by: about one grey level, so that a constant pixel or image cannot shout."""

Reduction: TypeAlias = Literal["mean", "sum"]


@dataclass(frozen=True)
class Match:
    """An image, its reconstruction, and what the discriminator sees in both.

    Attributes:
        image: (N,C,H,W) in [-1, 1].
        reconstruction: G(z), same shape and range.
        features: f(x), (N,...).
        reconstruction_features: f(G(z)), same shape.
        pixel_mean: (H,W) mean of the residual over normal images, in [0, 1]; None where not calibrated.
        pixel_deviation: (H,W) its standard deviation, at least `DEVIATION_FLOOR`.
    """

    image: Array
    reconstruction: Array
    features: Array
    reconstruction_features: Array
    pixel_mean: Array = None
    pixel_deviation: Array = None


@dataclass(frozen=True)
class SearchLoss:
    """What the latent search descends: (1 - weight) R + weight D (AnoGAN, eq. 4).

    Attributes:
        feature_weight: λ in [0, 1], the share of the feature-matching term.
        reduction: `mean` over pixels and features, or `sum` as in AnoGAN's paper.
    """

    feature_weight: float
    reduction: Reduction = "mean"


@dataclass(frozen=True)
class Adam:
    """Settings of the latent's Adam update (Kingma & Ba 2015, algorithm 1).

    Attributes:
        learning_rate: step size, in units of the latent.
        beta1: decay of the gradient's mean.
        beta2: decay of its square.
        epsilon: added to the root of the second moment.
        clip: latents are kept in [-clip, clip]; None leaves them free.
    """

    learning_rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clip: float | None = None


class State(NamedTuple):
    """The latent search between two iterations; a row is one start of one part (a tile of a frame).

    Attributes:
        latent: (N,D) float32, the point scored next.
        adam_m: (N,D) float32, first moment.
        adam_v: (N,D) float32, second moment.
        step: (N,) int64, points scored so far.
        best_score: (N,) float32, lowest score so far, +inf before the first.
        best_latent: (N,D) float32, the point that had it.
        part: (N,) int64, rows with one number are restarts of one part: if one clears, all are done.
    """

    latent: Array
    adam_m: Array
    adam_v: Array
    step: Array
    best_score: Array
    best_latent: Array
    part: Array


def to_unit_range(image: Array) -> Array:
    """Turn uint8 values (as floats, 0 to 255) into [-1, 1]."""
    return image * (1.0 / 127.5) - 1.0


def residual_map(image: Array, reconstruction: Array) -> Array:
    """Return |x - G(z)| / 2 averaged over channels: (N,H,W) in [0, 1]."""
    return abs(image - reconstruction).mean(1) * 0.5


def search_loss(loss: SearchLoss, match: Match) -> Array:
    """Return the loss of each row, whose gradient moves the latent (AnoGAN, eq. 2 to 4)."""
    residual = _per_row(abs(match.image - match.reconstruction), loss.reduction)
    if loss.feature_weight == 0:
        return residual
    features = _per_row(abs(match.features - match.reconstruction_features), loss.reduction)
    return residual * (1.0 - loss.feature_weight) + features * loss.feature_weight


@dataclass(frozen=True)
class Score:
    """An anomaly score: a name, its formula in words, and the function.

    Attributes:
        formula: for the manifest and the report.
        needs_pixel_statistics: whether the two pixel maps of `Match` must be given.
        of: (N,) scores of a match, higher is more anomalous.
    """

    formula: str
    of: Callable[[Match], Array]
    needs_pixel_statistics: bool = False


def _paper_anogan(reduction: Reduction) -> Callable[[Match], Array]:
    return lambda match: search_loss(SearchLoss(0.1, reduction), match)


def _paper_fanogan(match: Match) -> Array:
    squared_pixels = (match.image - match.reconstruction) ** 2
    squared_features = (match.features - match.reconstruction_features) ** 2
    return _per_row(squared_pixels, "mean") + _per_row(squared_features, "mean")


def _residual_mean(match: Match) -> Array:
    return _per_row(residual_map(match.image, match.reconstruction), "mean")


def _residual_worst(match: Match) -> Array:
    return _largest_mean(residual_map(match.image, match.reconstruction))


def _residual_calibrated(match: Match) -> Array:
    residual = residual_map(match.image, match.reconstruction)
    return _largest_mean(abs(residual - match.pixel_mean) / match.pixel_deviation)


def _residual_contrast(match: Match) -> Array:
    # Smoothed before the absolute value: noise cancels within 3x3 pixels, a defect does not.
    smooth = abs(_box3((match.image - match.reconstruction) * 0.5)).mean(1)
    rows = match.reconstruction.reshape((match.reconstruction.shape[0], -1)) * 0.5
    contrast = ((rows - rows.mean(1)[:, None]) ** 2).mean(1) ** 0.5
    return _largest_mean(smooth, CONTRAST_SHARE) / (contrast + DEVIATION_FLOOR)


def _feature_distance(match: Match) -> Array:
    return _per_row(abs(match.features - match.reconstruction_features), "mean")


SCORES: Mapping[str, Score] = {
    "anogan": Score("0.9 mean|x - G(z)| + 0.1 mean|f(x) - f(G(z))|  (AnoGAN, means)", _paper_anogan("mean")),
    "anogan_sum": Score("0.9 sum|x - G(z)| + 0.1 sum|f(x) - f(G(z))|  (AnoGAN, eq. 5)", _paper_anogan("sum")),
    "fanogan": Score("mean (x - G(z))^2 + mean (f(x) - f(G(z)))^2  (f-AnoGAN, eq. 5, kappa 1)", _paper_fanogan),
    "residual_mean": Score("mean residual", _residual_mean),
    "residual_worst": Score("mean of the largest 1% of the residual", _residual_worst),
    "residual_calibrated": Score(
        "mean of the largest 1% of |residual - pixel mean| / pixel deviation", _residual_calibrated, True
    ),
    "residual_contrast": Score(
        "mean of the largest 2% of |3x3 mean of x - G(z)|, over the deviation of G(z)", _residual_contrast
    ),
    "feature_distance": Score("mean |f(x) - f(G(z))|", _feature_distance),
}
"""Every score by the name that recipes, manifests and metrics.json use."""


def cleared(best_score: Array, part: Array, threshold: Array) -> Array:
    """Return (N,) bool: some row of the same part has a score at or under the threshold; NaN never clears."""
    numeric = _namespace(best_score)
    same_part = part[:, None] == part[None, :]
    row_clears = (best_score <= threshold)[None, :]
    return numeric.sum(numeric.where(same_part & row_clears, 1, 0), 1) > 0


def iterate(state: State, score: Array, gradient: Array, adam: Adam, threshold: Array, burn_in: int = 0) -> State:
    """Take one iteration: the current latent's score into the best, then one Adam step unless the row is done.

    Args:
        state: before the iteration.
        score: (N,) deployed score of `state.latent`.
        gradient: (N,D) of the search loss at `state.latent`.
        adam: the update's settings.
        threshold: scalar; a row whose part is at or under it stays as it is.
        burn_in: so many points are passed through first, and do not count for the best.

    Returns:
        The state after it. Rows done before are unchanged in every field; rows that become done keep
        their latent and moments, so that another iteration would change nothing.
    """
    numeric = _namespace(score)
    was_done = cleared(state.best_score, state.part, threshold)
    better = (score < state.best_score) & ~was_done & (state.step >= burn_in)
    best_score = numeric.where(better, score, state.best_score)
    best_latent = numeric.where(better[:, None], state.latent, state.best_latent)
    step = numeric.where(was_done, state.step, state.step + 1)
    stays = cleared(best_score, state.part, threshold)[:, None]
    latent, adam_m, adam_v = _adam_step(state, gradient, step, adam)
    return State(
        numeric.where(stays, state.latent, latent),
        numeric.where(stays, state.adam_m, adam_m),
        numeric.where(stays, state.adam_v, adam_v),
        step,
        best_score,
        best_latent,
        state.part,
    )


def _adam_step(state: State, gradient: Array, step: Array, adam: Adam) -> tuple[Array, Array, Array]:
    numeric = _namespace(gradient)
    adam_m = state.adam_m * adam.beta1 + gradient * (1.0 - adam.beta1)
    adam_v = state.adam_v * adam.beta2 + gradient * gradient * (1.0 - adam.beta2)
    moves = _to_float(step)[:, None]
    m_hat = adam_m / (1.0 - adam.beta1**moves)
    v_hat = adam_v / (1.0 - adam.beta2**moves)
    latent = state.latent - adam.learning_rate * m_hat / (numeric.sqrt(v_hat) + adam.epsilon)
    if adam.clip is not None:
        latent = numeric.clip(latent, -adam.clip, adam.clip)
    return latent, adam_m, adam_v


def _per_row(values: Array, reduction: Reduction) -> Array:
    rows = values.reshape((values.shape[0], -1))
    return rows.mean(1) if reduction == "mean" else rows.sum(1)


def _largest_mean(residual: Array, share: float = WORST_SHARE) -> Array:
    rows = residual.reshape((residual.shape[0], -1))
    count = max(1, int(rows.shape[1] * share))
    if hasattr(rows, "topk"):
        return rows.topk(count, 1).values.mean(1)
    return _namespace(rows).partition(rows, rows.shape[1] - count, 1)[:, -count:].mean(1)


def _box3(images: Array) -> Array:
    """Return means over 3x3 pixels, (N,C,H-2,W-2)."""
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) * (1.0 / 9.0)


def _to_float(counts: Array) -> Array:
    return counts.float() if hasattr(counts, "float") else counts.astype("float32")


def _namespace(array: Array) -> Any:
    """Return the module, numpy or torch, that made the array; torch is never imported here."""
    return sys.modules[type(array).__module__.partition(".")[0]]
