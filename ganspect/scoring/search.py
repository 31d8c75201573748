"""The latent search: its loss, the state between two iterations, and one iteration."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ganspect.scoring.arrays import Array, Reduction, all_but_largest, namespace, not_real, per_row, to_float
from ganspect.scoring.match import DEVIATION_FLOOR, Match
from ganspect.scoring.scores import Need

Discrimination: TypeAlias = Literal["features", "fooling"]

Residual: TypeAlias = Literal["absolute", "huber", "trimmed", "weighed"]
"""How the residual r = x - G(z) counts in the loss:

    absolute    |r|  (AnoGAN)
    huber       r^2 / 2δ where |r| < δ, and |r| - δ/2 beyond  (Huber 1964, over δ)
    trimmed     |r|, but for the places where it is largest: a latent need not explain a defect  (RGI, Mou et al. 2023)
    weighed     l^2 / 2δ where l < δ, and l - δ/2 beyond; l the length of r at a place, weighed as the score weighs it
"""


@dataclass(frozen=True)
class SearchLoss:
    """What the latent search descends: (1 - weight) R + weight D (AnoGAN, eq. 4).

    Attributes:
        feature_weight: λ in [0, 1], the share of the discrimination term D.
        reduction: `mean` over pixels and features, or `sum` as in AnoGAN's paper.
        discrimination: `features`: D is |f(x) - f(G(z))|; `fooling`: D is the cross-entropy of D(G(z)) with 'real'.
        residual: what R is the mean or sum of, see `Residual`.
        huber_delta: δ, above 0; of `huber` in deviations of the image's own values, of `weighed` in those of normal
            residuals.
        trimmed_share: share of the places, those with the largest residual, that `trimmed` leaves out, in (0, 1); at
            least one place.
    """

    feature_weight: float
    reduction: Reduction = "mean"
    discrimination: Discrimination = "features"
    residual: Residual = "absolute"
    huber_delta: float = 0.1
    trimmed_share: float = 0.05

    @property
    def needs(self) -> frozenset[Need]:
        """Return what it takes of a match beside the images."""
        needs: set[Need] = {"distance"} if self.residual == "weighed" else set()
        if self.feature_weight:
            needs.add("features" if self.discrimination == "features" else "reconstruction_logit")
        return frozenset(needs)


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


def search_loss(loss: SearchLoss, match: Match) -> Array:
    """Return the loss of each row, (N,), whose gradient moves the latent (AnoGAN, eq. 2 to 4)."""
    residual = _residual(loss, match)
    if loss.feature_weight == 0:
        return residual
    if loss.discrimination == "fooling":
        discrimination = not_real(match.reconstruction_logit)
    else:
        discrimination = per_row(abs(match.features - match.reconstruction_features), loss.reduction)
    return residual * (1.0 - loss.feature_weight) + discrimination * loss.feature_weight


def _residual(loss: SearchLoss, match: Match) -> Array:
    if loss.residual == "weighed":
        return per_row(_huber_of_squares(match.squared_length, loss.huber_delta), loss.reduction)
    residual = abs(match.image - match.reconstruction)
    if loss.residual == "trimmed":
        return _trimmed(residual, loss)
    if loss.residual == "huber":
        residual = _huber(residual, loss.huber_delta * _deviation(match.image))
    return per_row(residual, loss.reduction)


def _huber(length: Array, delta: Array) -> Array:
    """Return Huber's loss over δ, whose slope is 1 beyond δ, of lengths (N,...) by δ (N,1,...)."""
    near = namespace(length).minimum(length, delta)
    return near * (length - near * 0.5) / delta


def _huber_of_squares(squares: Array, delta: float) -> Array:
    """Return the same of squared lengths; no root of 0 is taken, whose slope has no end."""
    numeric, square = namespace(squares), delta * delta
    near, far = numeric.clip(squares, None, square), numeric.clip(squares, square, None)
    return numeric.sqrt(far) + near * (0.5 / delta) - delta


def _trimmed(residual: Array, loss: SearchLoss) -> Array:
    """Return the sum or mean of (N,C,h,w) residuals at the places that are not among the largest."""
    place = residual.mean(1)
    stays = to_float(all_but_largest(place, loss.trimmed_share))
    total = per_row(place * stays, "sum")
    return total * residual.shape[1] if loss.reduction == "sum" else total / per_row(stays, "sum")


def _deviation(image: Array) -> Array:
    """Return the standard deviation of each image's values, at least `DEVIATION_FLOOR`, (N,1,1,1)."""
    rows = image.reshape((image.shape[0], -1))
    variance = ((rows - rows.mean(1)[:, None]) ** 2).mean(1)
    return namespace(image).sqrt(variance + DEVIATION_FLOOR**2)[:, None, None, None]


def cleared(best_score: Array, part: Array, threshold: Array) -> Array:
    """Return (N,) bool: some row of the same part has a score at or under the threshold; NaN never clears."""
    numeric = namespace(best_score)
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
    numeric = namespace(score)
    was_done = cleared(state.best_score, state.part, threshold)
    better = (score < state.best_score) & ~was_done & (state.step >= burn_in)
    best_score = numeric.where(better, score, state.best_score)
    best_latent = numeric.where(better[:, None], state.latent, state.best_latent)
    step = numeric.where(was_done, state.step, state.step + 1)
    stays = cleared(best_score, state.part, threshold)[:, None]
    latent, adam_m, adam_v = adam_step(state, gradient, step, adam)
    return State(
        numeric.where(stays, state.latent, latent),
        numeric.where(stays, state.adam_m, adam_m),
        numeric.where(stays, state.adam_v, adam_v),
        step,
        best_score,
        best_latent,
        state.part,
    )


def adam_step(state: State, gradient: Array, step: Array, adam: Adam) -> tuple[Array, Array, Array]:
    """Return latent and both moments after one update of every row (Kingma & Ba 2015, algorithm 1).

    Args:
        state: before it.
        gradient: (N,D) at `state.latent`.
        step: (N,) updates with this one, from 1.
        adam: the settings.
    """
    numeric = namespace(gradient)
    adam_m = state.adam_m * adam.beta1 + gradient * (1.0 - adam.beta1)
    adam_v = state.adam_v * adam.beta2 + gradient * gradient * (1.0 - adam.beta2)
    moves = to_float(step)[:, None]
    m_hat = adam_m / (1.0 - adam.beta1**moves)
    v_hat = adam_v / (1.0 - adam.beta2**moves)
    # m / (sqrt(v) + epsilon), both divided by epsilon: graph optimizers take an added 1e-8 for zero and drop it, and
    # then a latent without gradient would be 0 / 0.
    per_epsilon = 1.0 / adam.epsilon
    latent = state.latent - adam.learning_rate * ((m_hat * per_epsilon) / (numeric.sqrt(v_hat) * per_epsilon + 1.0))
    if adam.clip is not None:
        latent = numeric.clip(latent, -adam.clip, adam.clip)
    return latent, adam_m, adam_v
