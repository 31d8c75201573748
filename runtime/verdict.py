"""What the inspector says about one frame.

print(verdict.verdict, verdict.score, [region.xyxy for region in verdict.regions])
"""

from dataclasses import dataclass
from typing import Literal

from ganspect.preprocess import Maps
from ganspect.runtime.regions import Region
from ganspect.runtime.searched import Outcome


@dataclass(frozen=True, eq=False)
class Verdict:
    """The verdict on one frame, and what it rests on.

    Scores and threshold are on the scale that the bundle reports (`ganspect.runtime.scale`); the verdict is not touched
    by it.

    Attributes:
        verdict: `normal` if the score is at or under the threshold, `undecided` if the time budget ended the
            search before that was known, else `anomalous`.
        anomalous: whether the part should be taken out: anything but `normal`.
        score: the largest over the frame's tiles, +inf where it could not be computed.
        start_score: the search's score at the encoder's start; None without an encoder and in encoder mode.
        threshold: T, for the score of this mode.
        outcome: `cleared`: every tile is at or under T, so the score is a bound; `complete`: the search went to its
            end; `budget`: time ended it.
        steps: iterations of the search, the most that a tile took; 0 in encoder mode, which has none.
        heat_map: (H,W) float32 at the frame's size, the residual of the best reconstruction: in [0, 1], or weighed, in
            deviations of normal images.
        regions: where the residual is higher than in normal frames; empty if the frame is normal.
        latency_ms: `preprocess`, `score`, `search`, and `total` from the start of preprocessing to the verdict. Where
            frames were judged together, `score` and `search` are the whole of what they shared, until this frame was
            through: each of them waited for it.
        together: frames that were judged together, this one included.
    """

    verdict: Literal["normal", "anomalous", "undecided"]
    anomalous: bool
    score: float
    start_score: float | None
    threshold: float
    outcome: Outcome
    steps: int
    heat_map: Maps
    regions: tuple[Region, ...]
    latency_ms: dict[str, float]
    together: int = 1
