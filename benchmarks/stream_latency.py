"""How old is a frame when its verdict is there? Two streams under load, beside the loop that people write first.

    python benchmarks/stream_latency.py
    python benchmarks/stream_latency.py --minutes 0.2 --out /tmp/latency

Two RTSP cameras, 640x360 at 30 frames a second, write into each picture when it was taken; what is reported is the age
of that picture when its verdict is there, encoding and transport included. First the station takes both, with the
policy `latest`; then a loop of `cv2.VideoCapture` that reads them by turns and judges in the same thread, with the same
bundle, backend and budget. The cameras' own processes share the cores with what is measured; their part is reported.
The last line is the result as JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from station_rig.figures import add_row
from station_rig.streams import RtspServer, rtsp_is_missing
from station_rig.time_code import read_time_code
from station_rig.timed_cameras import FRAMES_PER_S, HEIGHT, REGION_XYXY, WIDTH, timed_cameras
from station_rig.usage import machine_busy_s, usage

from ganspect import __version__
from ganspect.errors import ConfigError, GanspectError, SourceError
from ganspect.files import require_writable, write_json
from ganspect.opencv import cv2
from ganspect.preprocess import Frame
from ganspect.runtime import Inspector
from ganspect.runtime.judged import Judged
from ganspect.runtime.machine import machine
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from ganspect.runtime.verdict import Verdict

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = ("left", "right")
_WARM_UP = 0.1
_PATIENCE_S = 60.0  # for the streams to come


@dataclass(frozen=True)
class Judgement:
    """A verdict.

    Attributes:
        camera: that it is of.
        at_s: when it was there, since the measurement began.
        taken_s: when the picture was taken, likewise.
        arrived_s: when the frame was there, likewise.
        verdict: with the time for it alone, and the iterations it took.
    """

    camera: str
    at_s: float
    taken_s: float
    arrived_s: float
    verdict: Verdict

    @property
    def age_ms(self) -> float:
        """Return how old the picture is when its verdict is there."""
        return 1e3 * (self.at_s - self.taken_s)

    @property
    def inspected_ms(self) -> float:
        """Return the time for the verdict alone."""
        return self.verdict.latency_ms["total"]


class Collection:
    """Judgements as they come; frames whose time code cannot be read are counted."""

    def __init__(self) -> None:
        """Begin."""
        self.begin_ns = time.monotonic_ns()
        self.judgements: list[Judgement] = []
        self.unreadable = 0

    def add(self, camera: str, frame: Frame, arrived_ns: int, verdict: Verdict) -> None:
        """Note a verdict that is there now; `perf_counter_ns`, as of the arrival, is the same clock on Linux."""
        now_ns, taken_ns = time.monotonic_ns(), read_time_code(frame)
        if taken_ns is None:
            self.unreadable += 1
            return
        at_s, taken_s, arrived_s = ((at_ns - self.begin_ns) / 1e9 for at_ns in (now_ns, taken_ns, arrived_ns))
        self.judgements.append(Judgement(camera, at_s, taken_s, arrived_s, verdict))


def by_station(file: Path, seconds: float) -> tuple[Collection, dict[str, Any]]:
    """Let a station judge the streams, for so long from when each of them is judged: opening one may take seconds."""
    stopping, collection, awaited = threading.Event(), Collection(), set(CAMERAS)
    with Station.open(read_station(file), file.parent) as station:
        timer, patience = (threading.Timer(after_s, stopping.set) for after_s in (seconds, _PATIENCE_S))

        def observe(judged: Judged) -> None:
            arrival = judged.arrival
            awaited.discard(arrival.camera)
            if awaited:
                return
            if timer.ident is None:  # the last of them has just come
                patience.cancel()
                collection.begin_ns = time.monotonic_ns()
                timer.start()
            collection.add(arrival.camera, arrival.shot.frame, arrival.arrived_ns, judged.verdict)

        station.observers.append(observe)
        patience.start()
        station.run(stopping)
        statuses = [feed.status() for feed in station.cameras.feeds.values()]
        backend = station.inspector.backend
        told = {
            "backend": {"name": backend.name, "precision": backend.precision},
            "captured": {status.camera: status.frames for status in statuses},
            "dropped": {status.camera: status.dropped for status in statuses},
            "failures": sum(status.failures for status in statuses),
        }
    return collection, told


def by_loop(urls: Mapping[str, str], inspector: Inspector, seconds: float) -> tuple[Collection, dict[str, Any]]:
    """Read the streams by turns and judge each frame in the same thread."""
    captures = {camera: cv2.VideoCapture(url) for camera, url in urls.items()}
    collection, failures = Collection(), 0
    left, top, right, bottom = REGION_XYXY
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for camera, capture in captures.items():
            found, frame = capture.read()
            if not found:
                failures += 1
                capture.open(urls[camera])
                continue
            arrived_ns = time.monotonic_ns()
            verdict = inspector.inspect(frame[top:bottom, left:right])
            collection.add(camera, frame, arrived_ns, verdict)
    for capture in captures.values():
        capture.release()
    return collection, {"failures": failures}


def figures(collection: Collection, seconds: float) -> dict[str, Any]:
    """Return what the judgements after the warm-up tell."""
    found = [one for one in collection.judgements if one.at_s >= _WARM_UP * seconds]
    if not found:
        raise SourceError("no verdict came in time; give more --minutes")
    lasted_s = found[-1].at_s - found[0].at_s
    verdicts = [one.verdict.verdict for one in found]
    tenth, ages_ms = max(1, len(found) // 10), [one.age_ms for one in found]
    return {
        "verdicts": len(found),
        "verdicts_per_s": {
            camera: round(sum(one.camera == camera for one in found) / lasted_s, 1) for camera in CAMERAS
        },
        "capture_to_verdict_ms": _spread(ages_ms),
        "age_at_begin_ms": round(float(np.median(ages_ms[:tenth])), 1),
        "age_at_end_ms": round(float(np.median(ages_ms[-tenth:])), 1),
        "age_grows_ms_per_s": round(float(np.polyfit([one.at_s for one in found], ages_ms, 1)[0]), 1),
        "transport_ms": _spread([1e3 * (one.arrived_s - one.taken_s) for one in found]),
        "waited_ms": _spread([1e3 * (one.at_s - one.arrived_s) - one.inspected_ms for one in found]),
        "inspected_ms": _spread([one.inspected_ms for one in found]),
        "iterations_mean": round(float(np.mean([one.verdict.steps for one in found])), 2),
        "not_judged": _not_judged(found),
        "undecided": round(verdicts.count("undecided") / len(found), 4),
        "anomalous": round(verdicts.count("anomalous") / len(found), 4),
        "unreadable": collection.unreadable,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    names = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {name: round(float(np.percentile(values, share)), 1) for name, share in names.items()}


def _not_judged(found: Sequence[Judgement]) -> float:
    """Return the share of the pictures taken meanwhile that were never judged, from the gaps between time codes."""
    taken = {camera: [one.taken_s for one in found if one.camera == camera] for camera in CAMERAS}
    expected = sum(FRAMES_PER_S * (times[-1] - times[0]) + 1 for times in taken.values() if times)
    return round(max(0.0, 1 - len(found) / expected), 4)


def _measured(
    work: Callable[[], tuple[Collection, dict[str, Any]]], servers: Sequence[RtspServer], seconds: float
) -> dict[str, Any]:
    """Return the figures of some work, with who used the cores meanwhile."""
    pids = {"this": os.getpid(), **{f"camera_{camera}": one.pid for camera, one in zip(CAMERAS, servers, strict=True)}}
    before, busy_s, begin_s = {name: usage(pid).cpu_s for name, pid in pids.items()}, machine_busy_s(), time.monotonic()
    collection, told = work()
    lasted_s = time.monotonic() - begin_s
    used_s = {name: usage(pid).cpu_s - before[name] for name, pid in pids.items()}
    used_s["others"] = max(0.0, machine_busy_s() - busy_s - sum(used_s.values()))
    cores = {name: round(value / lasted_s, 2) for name, value in used_s.items()}
    return {**figures(collection, seconds), **told, "cores_used": cores}


_FILE = """name: latency
bundle: {bundle}
data: data
inspection: {{backend: {backend}, budget_ms: {budget_ms}}}
cameras:
{cameras}
sinks:
  - {{kind: jsonl}}
"""
_CAMERA = "  - {{name: {name}, source: '{url}', policy: latest, roi_xyxy: {region}}}"


def run(
    minutes: float, out: Path, *, bundle: Path, video: Path, backend: str = "auto", budget_ms: float = 50.0
) -> dict[str, Any]:
    """Measure both, write `out`/stream_latency.json, print a table and the JSON, and return it.

    Args:
        minutes: of each of the two.
        out: folder for the result.
        bundle: calibrated.
        video: whose frames the cameras show.
        backend: of both.
        budget_ms: for a frame, of both.

    Raises:
        GanspectError: the bundle cannot be used, or no verdict comes.
    """
    require_writable(out)
    seconds = 60 * minutes
    with tempfile.TemporaryDirectory(prefix="ganspect-latency-") as place, ExitStack() as opened:
        folder = Path(place)
        servers = opened.enter_context(timed_cameras(folder, video, count=len(CAMERAS)))
        urls = {camera: server.url for camera, server in zip(CAMERAS, servers, strict=True)}
        lines = [_CAMERA.format(name=name, url=url, region=list(REGION_XYXY)) for name, url in urls.items()]
        file = folder / "station.yaml"
        text = _FILE.format(bundle=bundle.absolute(), backend=backend, budget_ms=budget_ms, cameras="\n".join(lines))
        file.write_text(text)
        station = _measured(lambda: by_station(file, seconds), servers, seconds)
        with Inspector.load(bundle, backend=backend, budget_ms=budget_ms) as inspector:
            loop = _measured(lambda: by_loop(urls, inspector, seconds), servers, seconds)
    content = {
        "benchmark": "stream_latency",
        "seconds": seconds,
        "streams": {"count": len(CAMERAS), "size_wh": [WIDTH, HEIGHT], "frames_per_s": FRAMES_PER_S},
        "budget_ms": budget_ms,
        "station": station,
        "loop": loop,
        "environment": {"ganspect": __version__, **machine()},
    }
    write_json(out / "stream_latency.json", content)
    Console().print(_table(station, loop))
    print(json.dumps(content))
    return content


def _table(station: Mapping[str, Any], loop: Mapping[str, Any]) -> Table:
    table = Table("", "station", "loop", box=box.SIMPLE)
    for name, value in station.items():
        add_row(table, name, value, loop.get(name, "–"))
    return table


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="The age of frames at their verdicts, under load.")
    parser.add_argument("--minutes", type=float, default=3.0, help="of the station, and of the loop after it")
    parser.add_argument("--bundle", type=Path, default=ROOT / "demo/bundle", help="of `make demo` by default")
    parser.add_argument("--video", type=Path, default=ROOT / "demo/line.avi", help="what the cameras show")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--budget-ms", type=float, default=50.0)
    parser.add_argument("--out", type=Path, default=Path("out/stream_latency"), metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        if reason := rtsp_is_missing():
            raise ConfigError(reason)
        if not given.video.is_file():
            raise SourceError(f"{given.video} does not exist; run make demo, or give --video")
        run(
            *(given.minutes, given.out),
            bundle=given.bundle,
            video=given.video,
            backend=given.backend,
            budget_ms=given.budget_ms,
        )
    except GanspectError as error:
        print(f"stream_latency: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
