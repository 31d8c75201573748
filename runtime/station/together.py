"""Are several frames faster together than in turn? Measured on this machine, with this bundle, when a station starts.

timing = time_together(inspector, tiles=1, most=4)
timing.best()                                       # 4
timing.shares                                       # {2: 0.68, 4: 0.5}: of the time that they take in turn
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ganspect.runtime.inspector import Inspector

MARGIN = 0.9
"""Frames are judged together where that takes at most this share of the time that they take in turn."""

_LIMIT_S = 1.5
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 15


@dataclass(frozen=True)
class Timing:
    """What was measured.

    Attributes:
        graph: `score`, or `search` where no frame is cleared without it.
        tiles: of a frame.
        shares: by the number of frames: time together over time in turn, each the least of some runs.
    """

    graph: str
    tiles: int
    shares: dict[int, float]

    def best(self) -> int:
        """Return the largest number of frames that pays, or 1."""
        return max((count for count, share in self.shares.items() if share <= MARGIN), default=1)


def time_together(inspector: Inspector, *, tiles: int, most: int) -> Timing:
    """Time the graph that every frame needs, on 1 to `most` frames, by turns; takes less than 2 seconds.

    Args:
        inspector: that will judge.
        tiles: of a frame.
        most: frames.
    """
    graphs = inspector.search
    clears = graphs.has_encoder and not inspector.bundle.manifest.search.burn_in
    search = inspector.mode == "search" and not clears
    samples = _timed(lambda count: graphs.try_out(count * tiles, search=search), sizes(most))
    # The least of some runs: whatever else the machine does meanwhile only adds to them.
    least_ms = {count: min(times) for count, times in samples.items()}
    shares = {count: ms / (count * least_ms[1]) for count, ms in least_ms.items() if count > 1}
    return Timing("search" if search else "score", tiles, shares)


def sizes(most: int) -> list[int]:
    """Return the numbers of frames that are tried, up to `most`."""
    return sorted({size for size in (1, 2, 3, 4, 8, 16) if size <= most} | {most})


def _timed(run: Callable[[int], None], counts: list[int]) -> dict[int, list[float]]:
    """Return times in ms by size; sizes that would take too long are left out."""
    end_s = time.monotonic() + _LIMIT_S
    samples: dict[int, list[float]] = {}
    round_s = 0.0
    for size in counts:
        if samples and time.monotonic() + (_LEAST_ROUNDS + 2) * (round_s + size * samples[1][0] / 1e3) > end_s:
            break
        run(size)  # the first run with a size may prepare it
        samples[size] = [_ms(run, size)]
        round_s += samples[size][0] / 1e3
    for _ in range(_MOST_ROUNDS):
        if time.monotonic() + round_s > end_s:
            break
        for size, times in samples.items():
            times.append(_ms(run, size))
    return samples


def _ms(run: Callable[[int], None], size: int) -> float:
    begin_ns = time.perf_counter_ns()
    run(size)
    return (time.perf_counter_ns() - begin_ns) / 1e6
