"""Are frames of several cameras judged faster together than in turn, and do they get the same verdicts?

    python benchmarks/batching.py demo/bundle elpv:mono --out benchmarks/results

A graph's call costs something that does not grow with its rows: weights are read from memory once, and small matrix
products leave cores idle. So n frames that wait at the same time may be judged in one batch for less than n times one
frame. This script judges the same n frames both ways, by turns, so that whatever else the machine does meets both
alike, and takes the ratio of each such pair. A frame's latency is counted from the moment when all n frames are there
until its own verdict: in turn the last one waits for all others, together all wait for the longest search. Frames are
chosen by what this bundle says of them: `cleared` (encoder mode, all normal), `one_percent` anomalous (search) and
`defective` (search, all anomalous). Scores of both ways are compared to the last bit.

Ratios hold on a busy machine, since both ways meet the same; the milliseconds do not: look at `load_before`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganspect import __version__
from ganspect.bundle import open_bundle
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.preprocess import Frame
from ganspect.progress import progress_bar
from ganspect.records import Mode
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.evaluation.labelled import open_test_data, read_labelled
from ganspect.runtime.machine import machine
from ganspect.runtime.station.together import time_together
from ganspect.runtime.verdict import Verdict

COUNTS = (1, 2, 4, 8)
_FRAMES = 48
"""Of the data set, at equal distances; what is judged is chosen from these."""

_SCENARIOS: dict[str, tuple[Mode, float]] = {
    "cleared": ("encoder", 0.0),
    "one_percent": ("search", 0.01),
    "defective": ("search", 1.0),
}


@dataclass
class Pairs:
    """What was measured for one number of frames, both ways.

    Attributes:
        together_ms: of each group of frames, in one call.
        in_turn_ms: of the same group, frame by frame.
        latency_together_ms: of each frame, from when its group was there to its verdict.
        latency_in_turn_ms: likewise.
        identical: frames whose scores have the same bits.
        verdicts_differ: frames.
        largest_difference: of two scores, relative.
    """

    together_ms: list[float] = field(default_factory=list)
    in_turn_ms: list[float] = field(default_factory=list)
    latency_together_ms: list[float] = field(default_factory=list)
    latency_in_turn_ms: list[float] = field(default_factory=list)
    identical: int = 0
    verdicts_differ: int = 0
    largest_difference: float = 0.0

    def compare(self, together: Sequence[Verdict], alone: Sequence[Verdict]) -> None:
        """Count where the two ways differ."""
        for one, other in zip(together, alone, strict=True):
            self.identical += one.score == other.score
            self.verdicts_differ += one.verdict != other.verdict
            self.largest_difference = max(self.largest_difference, abs(one.score / other.score - 1))

    def record(self, count: int) -> dict[str, Any]:
        """Return it as JSON values; `ratio` is the median over the pairs, with its quartiles."""
        ratios = np.asarray(self.together_ms) / np.asarray(self.in_turn_ms)
        low, middle, high = (float(value) for value in np.percentile(ratios, (25, 50, 75)))
        return {
            "frames_together": count,
            "pairs": len(ratios),
            "ratio": {"value": middle, "low": low, "high": high},
            "ms_per_frame": {
                "together": float(np.median(self.together_ms)) / count,
                "in_turn": float(np.median(self.in_turn_ms)) / count,
            },
            "latency_ms": {
                "together": _percentiles(self.latency_together_ms),
                "in_turn": _percentiles(self.latency_in_turn_ms),
            },
            "scores": {
                "frames": len(self.latency_together_ms),
                "identical_bits": self.identical,
                "largest_relative_difference": self.largest_difference,
                "verdicts_differ": self.verdicts_differ,
            },
        }


def measure(inspector: Inspector, groups: Sequence[Sequence[Frame]]) -> Pairs:
    """Judge each group of frames both ways, and change which way goes first from group to group."""
    pairs = Pairs()
    for number, frames in enumerate(groups):
        ways = [_together, _in_turn] if number % 2 else [_in_turn, _together]
        verdicts = {way: way(inspector, frames, pairs) for way in ways}
        pairs.compare(verdicts[_together], verdicts[_in_turn])
    return pairs


def _together(inspector: Inspector, frames: Sequence[Frame], pairs: Pairs) -> list[Verdict]:
    begin_ns = time.perf_counter_ns()
    found = {}
    for index, verdict in inspector.judge([inspector.prepare(frame) for frame in frames]):
        found[index] = verdict
        pairs.latency_together_ms.append(_since_ms(begin_ns))
    pairs.together_ms.append(_since_ms(begin_ns))
    return [found[index] for index in range(len(frames))]


def _in_turn(inspector: Inspector, frames: Sequence[Frame], pairs: Pairs) -> list[Verdict]:
    begin_ns = time.perf_counter_ns()
    found = []
    for frame in frames:
        found.append(inspector.inspect(frame))
        pairs.latency_in_turn_ms.append(_since_ms(begin_ns))
    pairs.in_turn_ms.append(_since_ms(begin_ns))
    return found


def choose(frames: Sequence[Frame], anomalous: Sequence[bool], share: float, total: int) -> list[Frame]:
    """Return frames in a random order (seed 0) of which a share are anomalous, but one if any.

    Args:
        frames: to choose from.
        anomalous: what the bundle says of each.
        share: of anomalous ones.
        total: to return.

    Raises:
        ConfigError: there are none of a kind that is needed.
    """
    random = np.random.default_rng(0)
    many = max(round(share * total), int(share > 0))
    chosen = []
    for kind, count in ((True, many), (False, total - many)):
        offered = [index for index, verdict in enumerate(anomalous) if verdict is kind]
        if count and not offered:
            name = "anomalous" if kind else "normal"
            raise ConfigError(f"the bundle finds no frame {name} in these data; give data with both kinds")
        chosen += [int(random.choice(offered)) for _ in range(count)]
    return [frames[index] for index in random.permutation(chosen)]


def measure_backend(bundle: Path, backend: str, frames: Sequence[Frame], total: int, tuning: Tuning) -> dict[str, Any]:
    """Return all scenarios of one backend as JSON values."""
    scenarios = {}
    for name, (mode, share) in _SCENARIOS.items():
        with Inspector.load(bundle, mode=mode, backend=backend, tuning=tuning) as inspector:
            inspector.search.warm_up(search=mode == "search", tiles=COUNTS)
            anomalous = [inspector.inspect(frame).anomalous for frame in frames]
            chosen = choose(frames, anomalous, share, total if share < 1 else max(8, total // 4))
            rows = []
            for count in COUNTS:
                groups = [chosen[first : first + count] for first in range(0, len(chosen) - count + 1, count)]
                rows.append(measure(inspector, groups).record(count))
            auto = time_together(inspector, tiles=len(inspector.prepare(frames[0]).tiles.images), most=max(COUNTS))
            scenarios[name] = {"mode": mode, "anomalous": share, "rows": rows, "auto_takes": auto.best()}
            engine = inspector.backend
            described = {"name": engine.name, "version": engine.version, "precision": engine.precision}
    return {"asked": backend, "backend": described, "scenarios": scenarios}


def run(bundle_folder: Path, data: str, out: Path, *, backends: Sequence[str], total: int, tuning: Tuning) -> None:
    """Measure a bundle on a data set, write `out`/batching.json and print it."""
    require_writable(out)
    bundle = open_bundle(bundle_folder)
    with progress_bar() as progress:
        images = read_labelled(bundle, open_test_data(bundle, data, None), progress)
    frames = [sample.read() for sample in images.samples[:: max(1, len(images.samples) // _FRAMES)]]
    load_before = os.getloadavg()[0]
    measured = [measure_backend(bundle_folder, backend, frames, total, tuning) for backend in backends]
    content = {
        "benchmark": "batching",
        "bundle": bundle.manifest.system,
        "data": data,
        "backends": measured,
        "environment": {"ganspect": __version__, "load_before": load_before, **machine()},
    }
    write_json(out / "batching.json", content)
    print(json.dumps(content))


def _percentiles(latency_ms: Sequence[float]) -> dict[str, float]:
    low, high = np.percentile(latency_ms, (50, 99))
    return {"p50": float(low), "p99": float(high)}


def _since_ms(begin_ns: int) -> float:
    return (time.perf_counter_ns() - begin_ns) / 1e6


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="Frames judged together against frames judged in turn.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("data", nargs="?", default="elpv:mono", metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--backend", action="append", metavar="B", help="one or more; onnxruntime and auto if left out")
    parser.add_argument(
        "--frames", type=int, default=200, help="of each scenario and size; a quarter where all defective"
    )
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args(arguments)
    backends = given.backend or ["onnxruntime", "auto"]
    try:
        tuning = Tuning(given.threads)
        run(given.bundle, given.data, given.out, backends=backends, total=max(8, given.frames), tuning=tuning)
    except GanspectError as error:
        print(f"batching: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
