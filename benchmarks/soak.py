"""Does a station that runs for long need more and more? A million frames through `ganspect run`, watched from outside.

    python benchmarks/soak.py
    python benchmarks/soak.py --frames 2000 --out /tmp/soak

Two cameras, a folder of images and a video, begin again whenever they are through, as fast as it goes; every verdict
goes to SQLite (synchronous=FULL), to JSON lines that rotate, and one in ten as pictures under a quota. The process is
sampled through /proc; the slope of its memory is a least-squares line through block means after the warm-up, with the
95% interval of its slope. The last line is the result as JSON; the status is 1 if a limit is passed.
"""

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from station_rig.bundle import make_tiny_bundle
from station_rig.figures import add_row
from station_rig.parts import normal_part, scratched_part
from station_rig.process import StationProcess
from station_rig.usage import Usage, usage

from ganspect import __version__
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.opencv import cv2
from ganspect.progress import progress_bar
from ganspect.runtime.machine import machine

SLOPE_LIMIT_KB = 256.0
"""Per 100,000 frames, for the upper end of the interval: 80 MB in a year at one frame a second."""
SLOPE_FROM = 200_000
"""Frames of warm-up, and so a million in all, from which on the slope is judged: before that the caches and lists fill
whose size is limited, and the allocator takes its last large pieces."""
_WARM_UP = 0.2
_BLOCKS = 40
_EVERY_S = 0.5
_PICTURES = 200
_PER = 100_000
_T_95 = 2.02
"""Of Student's t with as many degrees of freedom as there are blocks."""
_FILE = """name: soak
bundle: {bundle}
data: data
inspection: {{backend: onnxruntime, threads: 1}}
cameras:
  - {{name: images, source: images, loop: true}}
  - {{name: video, source: video.avi, loop: true}}
sinks:
  - {{kind: jsonl, rotate_mb: 4, keep_files: 5}}
  - {{kind: pictures, quota_mb: 8}}
"""


@dataclass(frozen=True)
class Sample:
    """The station at one moment.

    Attributes:
        at_s: since it runs.
        frames: verdicts on disk.
        usage: of the process.
        history_bytes: SQLite's file and its log.
    """

    at_s: float
    frames: int
    usage: Usage
    history_bytes: int


@dataclass(frozen=True)
class Slope:
    """By how much something grows.

    Attributes:
        value: per 100,000 frames.
        low: lower end of the 95% interval.
        high: its upper end.
    """

    value: float
    low: float
    high: float


def slope(frames: NDArray[np.float64], values: NDArray[np.float64]) -> Slope:
    """Return the slope of a least-squares line through the means of blocks of samples that follow each other.

    Samples half a second apart are not independent of each other, which would make the interval too narrow; block means
    are less so.

    Args:
        frames: (N,) at each sample, ascending.
        values: (N,) of each sample.
    """
    blocks = min(_BLOCKS, len(frames))
    x, y = (np.asarray([part.mean() for part in np.array_split(given, blocks)]) for given in (frames, values))
    about = x - x.mean()
    value = float(about @ y / (about @ about))
    residuals = y - y.mean() - value * about
    error = float(np.sqrt(residuals @ residuals / max(1, blocks - 2) / (about @ about)))
    return Slope(*(round(_PER * one, 2) for one in (value, value - _T_95 * error, value + _T_95 * error)))


def soak(frames: int, folder: Path, bundle: Path) -> tuple[list[Sample], int]:
    """Run a station for so many frames; return the samples and the status that it ended with.

    Args:
        frames: verdicts.
        folder: an empty one.
        bundle: that the station runs.
    """
    _write_sources(folder)
    file = folder / "station.yaml"
    file.write_text(_FILE.format(bundle=bundle.absolute()))
    station = StationProcess(file, folder / "station.log")
    station.start()
    try:
        station.wait_until_running()
        samples = _watch(station, folder / "data/history.sqlite", frames)
        return samples, station.stop(120)
    finally:
        station.kill()


def _watch(station: StationProcess, history: Path, frames: int) -> list[Sample]:
    samples: list[Sample] = []
    begin_s = time.monotonic()
    with progress_bar() as progress:
        task = progress.add_task("soak", total=frames, detail="")
        while not samples or samples[-1].frames < frames:
            if station.has_ended:
                raise RuntimeError(f"the station ended: {station.log.read_text()[-2000:]}")
            time.sleep(_EVERY_S if frames > 20 * _PICTURES else _EVERY_S / 10)
            size = sum(path.stat().st_size for path in history.parent.glob("history.sqlite*"))
            samples.append(Sample(time.monotonic() - begin_s, _count(history), usage(station.pid), size))
            progress.update(task, completed=min(frames, samples[-1].frames))
    return samples


def _count(history: Path) -> int:
    """Return the highest number, which is how many there are: nothing is removed."""
    with contextlib.closing(sqlite3.connect(f"{history.as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT coalesce(max(number), 0) FROM verdicts").fetchone()[0])


def _write_sources(folder: Path) -> None:
    random = np.random.default_rng(3)
    shown = [scratched_part(random) if index % 10 == 9 else normal_part(random) for index in range(_PICTURES)]
    (folder / "images").mkdir()
    for index, picture in enumerate(shown):
        cv2.imwrite(str(folder / f"images/{index:04d}.png"), picture)
    height, width = shown[0].shape
    video = cv2.VideoWriter(str(folder / "video.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (width, height))
    for picture in shown:
        video.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR))
    video.release()


def figures(samples: Sequence[Sample], status: int) -> dict[str, Any]:
    """Return what the samples tell, and whether the limits are kept."""
    last = samples[-1]
    after = [sample for sample in samples if sample.frames >= _WARM_UP * last.frames]
    first = after[0]
    grown = {name: _slope_of(after, name) for name in ("rss_kb", "anonymous_kb")}
    most = {name: _most(after, name) for name in ("descriptors", "threads")}
    seconds = last.at_s - samples[0].at_s
    judged = first.frames >= SLOPE_FROM
    flat = grown["rss_kb"].high <= SLOPE_LIMIT_KB or not judged
    return {
        "frames": last.frames,
        "warm_up_frames": first.frames,
        "seconds": round(seconds, 1),
        "frames_per_s": round((last.frames - samples[0].frames) / seconds, 1),
        "frames_per_s_by_tenth": _rates(samples),
        "cpu_share": round((last.usage.cpu_s - samples[0].usage.cpu_s) / seconds, 2),
        "rss_mb": {name: round(one.usage.rss_kb / 1024, 1) for name, one in (("begin", first), ("end", last))},
        "rss_mb_by_tenth": [round(part[-1].usage.rss_kb / 1024, 2) for part in _tenths(after)],
        **{f"{name}_per_100000": asdict(found) for name, found in grown.items()},
        **most,
        "history_bytes_per_verdict": round((last.history_bytes - first.history_bytes) / (last.frames - first.frames)),
        "status": status,
        "limits": {"rss_kb_per_100000_high": SLOPE_LIMIT_KB, "more_descriptors": 0, "more_threads": 0, "status": 0},
        "slope_judged": judged,
        "passed": flat and all(one["end"] <= one["begin"] for one in most.values()) and status == 0,
    }


def _tenths(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Return the samples in ten parts: what is still growing in the last ones does not level off."""
    edges = [round(index * len(samples) / 10) for index in range(11)]
    return [samples[begin:end] for begin, end in pairwise(edges) if end > begin]


def _slope_of(samples: Sequence[Sample], name: str) -> Slope:
    values = [getattr(sample.usage, name) for sample in samples]
    return slope(np.asarray([sample.frames for sample in samples], np.float64), np.asarray(values, np.float64))


def _most(samples: Sequence[Sample], name: str) -> dict[str, int]:
    """Return the most in the first and in the last quarter: files are opened and closed all the time."""
    quarter = max(1, len(samples) // 4)
    parts = (("begin", samples[:quarter]), ("end", samples[-quarter:]))
    return {where: max(getattr(sample.usage, name) for sample in part) for where, part in parts}


def _rates(samples: Sequence[Sample]) -> list[float]:
    """Return frames a second in each tenth of the time: a station that slows down would show here."""
    edges = [samples[round(index * (len(samples) - 1) / 10)] for index in range(11)]
    return [
        round((after.frames - before.frames) / (after.at_s - before.at_s), 1)
        for before, after in pairwise(edges)
        if after.at_s > before.at_s
    ]


def run(frames: int, out: Path, *, bundle: Path | None = None) -> dict[str, Any]:
    """Soak, write `out`/soak.json, print a table and the JSON, and return it."""
    require_writable(out)
    with tempfile.TemporaryDirectory(prefix="ganspect-soak-") as place:
        folder = Path(place)
        bundle = bundle or make_tiny_bundle(folder / "tiny")
        samples, status = soak(frames, folder, bundle)
    environment = {"ganspect": __version__, "sqlite": sqlite3.sqlite_version, **machine()}
    content = {"benchmark": "soak", **figures(samples, status), "environment": environment}
    write_json(out / "soak.json", content)
    table = Table(box=box.SIMPLE, show_header=False)
    for name, value in content.items():
        add_row(table, name, value)
    Console().print(table)
    print(json.dumps(content))
    return content


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 if a limit is passed, 2 on bad input."""
    parser = argparse.ArgumentParser(description="A million frames through a station.")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--bundle", type=Path, help="a small bundle; by default one is made")
    parser.add_argument("--out", type=Path, default=Path("out/soak"), metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        if given.frames < 1000:
            raise ConfigError(f"--frames {given.frames} tells nothing about memory; give 1000 or more")
        return 0 if run(given.frames, given.out, bundle=given.bundle)["passed"] else 1
    except GanspectError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
