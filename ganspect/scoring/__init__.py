"""Anomaly scores, the search loss and the latent update: the one place where they are written.

The formulas use operators that numpy arrays and torch tensors share, so the graphs (traced from PyTorch), the parity
checks and the torch-free evaluation compute the same thing from the same lines.

    score = SCORES["residual_mean"].of(match)

Shapes: images (N,C,H,W) float32 in [-1, 1]; features (N,...) float32; a score or a loss is (N,).
"""

from ganspect.scoring.arrays import (
    LEAST_DISTANCE,
    Array,
    largest_mean,
    number_of_largest,
    relative_to_level,
    residual_map,
    to_unit_range,
)
from ganspect.scoring.match import DEVIATION_FLOOR, Match
from ganspect.scoring.ranking import auroc
from ganspect.scoring.scores import (
    CONTRAST_SHARE,
    PAPER_WEIGHTS,
    SCORES,
    WORST_SHARE,
    Need,
    Score,
    ScoreWeights,
    find_score,
    in_order,
    terms_of,
    total,
)
from ganspect.scoring.search import Adam, Residual, SearchLoss, State, adam_step, cleared, iterate, search_loss

__all__ = [
    "CONTRAST_SHARE",
    "DEVIATION_FLOOR",
    "LEAST_DISTANCE",
    "PAPER_WEIGHTS",
    "SCORES",
    "WORST_SHARE",
    "Adam",
    "Array",
    "Match",
    "Need",
    "Residual",
    "Score",
    "ScoreWeights",
    "SearchLoss",
    "State",
    "adam_step",
    "auroc",
    "cleared",
    "find_score",
    "in_order",
    "iterate",
    "largest_mean",
    "number_of_largest",
    "relative_to_level",
    "residual_map",
    "search_loss",
    "terms_of",
    "to_unit_range",
    "total",
]
