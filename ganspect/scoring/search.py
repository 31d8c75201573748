"""The latent search: its loss, the state between two iterations, and one iteration."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from ganspect.scoring.arrays import Array, Reduction, namespace, not_real, per_row, to_float
from ganspect.scoring.match import Match
from ganspect.scoring.scores import Need

Discrimination: TypeAlias = Literal["features", "fooling"]


@dataclass(frozen=True)
class SearchLoss:
    """What the latent search descends: (1 - weight) R + weight D (AnoGAN, eq. 4).

    Attributes:
        feature_weight: λ in [0, 1], the share of the discrimination term D.
        reduction: `mean` over pixels and features, or `sum` as in AnoGAN's paper.
        discrimination: `features`: D is |f(x) - f(G(z))|; `fooling`: D is the cross-entropy of D(G(z)) with 'real'.
    """

    feature_weight: float
    reduction: Reduction = "mean"
    discrimination: Discrimination = "features"

    @property
    def needs(self) -> frozenset[Need]:
        """Return what it takes of a match beside the images."""
        if self.feature_weight == 0:
            return frozenset()
        return frozenset({"features" if self.discrimination == "features" else "reconstruction_logit"})


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
    residual = per_row(abs(match.image - match.reconstruction), loss.reduction)
    if loss.feature_weight == 0:
        return residual
    if loss.discrimination == "fooling":
        discrimination = not_real(match.reconstruction_logit)
    else:
        discrimination = per_row(abs(match.features - match.reconstruction_features), loss.reduction)
    return residual * (1.0 - loss.feature_weight) + discrimination * loss.feature_weight


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
