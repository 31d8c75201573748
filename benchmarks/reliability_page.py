"""docs/reliability.md, made from the committed results of reliability.py, soak.py and stream_latency.py.

python benchmarks/reliability.py --page
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reliability.md"
RESULTS = {name: ROOT / f"benchmarks/results/{name}.json" for name in ("reliability", "soak", "stream_latency")}

_HEAD = """# Reliability: what a station loses, and how soon it is well again

Made by `python benchmarks/reliability.py --page` from `benchmarks/results/`; do not edit. What the station promises is
in [station.md](station.md); this is what was measured.
"""

_COUNTED = """## What counts

Each kind of fault has a plant of its own: `ganspect run` as a process, a camera at 15 frames a second, a watched folder
that gets four files a second, JSON lines, pictures, a webhook, MQTT. The model is tiny: what is measured is the
station. `read_timeout_s` is 1, `open_timeout_s` 2, the webhook's `timeout_s` 1 and that of MQTT 2; with the longer
defaults a stall is found out later.

**Acknowledged** is a verdict once somebody outside has seen it: a reader of the history (100 looks a second), the file
that it is of has moved to `done`, or the web server, the broker or a line of JSON has it. **Lost** is

- what was acknowledged and is not in the history in the end,
- what is in the history and was never delivered by one of the sinks, though the station was started up to three times
  more to deliver what it owed,
- a file that was put into the folder and never judged.

Pictures that a dead camera never sent are not lost, they are part of the **gap**: the longest time without an
acknowledgement where the fault was. **Duplicates** are deliveries of what that sink had delivered before, under the
same id and with the same content; **other id** counts frames with two verdicts under different ids, which must not be.
**Recovery** runs from the moment when the cause is gone until the first new acknowledgement.

SIGKILL shows what a crash of the process costs. It is no power cut: what the kernel holds survives it, so these figures
say nothing about disks that lie about flushing.
"""

_BACKOFF = """### What waiting does to recovery

A camera, broker or server that fails is tried again after up to 0.5 s, then 1, 2, … 30 s, each shortened by chance to
no less than half. Recovery is therefore mostly the rest of a wait, and grows with the outage: one of 40 s may end just
when a wait of 30 s has begun. The long outages, three of a hundred and 35 to 45 s each, are there to show that, and p99
is theirs; the others last 0.2 to 3 s, with a full disk from when it is noticed. A full disk is asked once a second
however long it lasts. Half a frame, a change of size and a clock that is set back leave nothing to wait for, apart from
opening the stream anew.
"""


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return docs/reliability.md from the results by name; what was not measured is left out."""
    makers = {"reliability": _faults, "soak": _soak, "stream_latency": _latency}
    parts = [makers[name](results[name]) for name in makers if name in results]
    return "\n".join([_HEAD, *parts])


def read_results() -> dict[str, dict[str, Any]]:
    """Return the committed results by name."""
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in RESULTS.items() if path.exists()}


def write_page() -> None:
    """Write the page."""
    PAGE.write_text(page(read_results()), encoding="utf-8")


def _faults(result: Mapping[str, Any]) -> str:
    faults = result["faults"]
    lost, count = (sum(fault[key] for fault in faults.values()) for key in ("lost", "count"))
    verdicts = sum(fault["verdicts"] for fault in faults.values())
    other = sum(fault["duplicates_with_other_id"] for fault in faults.values())
    rows = [
        [
            f"`{name}`",
            *(_cell(fault[key]) for key in ("count", "lost", "duplicates", "duplicates_with_other_id")),
            *(_cell(fault[f"recovery_{key}_s"]) for key in ("p50", "p99", "after_long_p50")),
            *(_cell(fault[key]) for key in ("longest_gap_s", "longest_gap_of_other_camera_s")),
        ]
        for name, fault in faults.items()
    ]
    heads = ["fault", "count", "lost", "duplicates", "other id", "recovery p50, s", "p99, s", "after long outages, s"]
    table = _table([*heads, "longest gap, s", "of the other camera, s"], rows)
    return (
        f"{_COUNTED}\n## Faults\n\n**{lost} lost** of {verdicts:,} verdicts in {count:,} faults; {other} judged twice "
        f"under different ids. Measured on {_machine(result)}; {_at_once(result)}.\n\n{table}\n"
        f"{_how(faults)}{_beside(result)}\n{_BACKOFF}"
    )


def _at_once(result: Mapping[str, Any]) -> str:
    number, used = result["stations_at_once"], result.get("cores_used")
    text = "one station at a time" if number == 1 else f"up to {number} stations at once, `sigkill` alone"
    if used is None:
        return text
    return (
        f"{text}; {used['this']:.2f} cores were used by all of this and {used['others']:.2f} by others on the machine"
    )


def _how(faults: Mapping[str, Mapping[str, Any]]) -> str:
    return "How each is brought about:\n\n" + "".join(f"- `{name}`: {one['how']}\n" for name, one in faults.items())


def _beside(result: Mapping[str, Any]) -> str:
    """Return what else belongs to these figures."""
    sentences = [f"`{name}` was left out: {why}." for name, why in result["not_possible_here"].items()]
    forgotten = result["faults"].get("broker_away", {}).get("forgotten_by_broker", 0)
    if forgotten:
        sentences.append(
            f"The killed broker itself forgot {forgotten} verdicts that it had acknowledged: it keeps its queue in "
            "memory. A relay between the two notes each acknowledgement by the verdict's id, so these are told from "
            "losses of the station. Who can miss none reads the history, or has a broker that keeps its queue."
        )
    told = [
        f"`{name}` {one['noticed']} of {one['count']}"
        for name, one in result["faults"].items()
        if one["noticed"] is not None and one["noticed"] < one["count"]
    ]
    if told:
        sentences.append(f"Not each fault is worth a line of the station's log, which mentions of {', '.join(told)}.")
    return "\n" + "\n\n".join(sentences) + "\n" if sentences else ""


def _soak(result: Mapping[str, Any]) -> str:
    slope, own = result["rss_kb_per_100000"], result["anonymous_kb_per_100000"]
    limit = result["limits"]["rss_kb_per_100000_high"]
    rows = [
        ["frames", f"{result['frames']:,}, the first {result['warm_up_frames']:,} as warm-up", ""],
        ["frames a second", f"{result['frames_per_s']}", ""],
        ["memory, MB", f"{result['rss_mb']['begin']} → {result['rss_mb']['end']}", ""],
        ["growth, KB per 100,000 frames", _interval(slope), f"upper end ≤ {limit:g}"],
        ["of that not of files", _interval(own), ""],
        ["descriptors, at most", f"{result['descriptors']['begin']} → {result['descriptors']['end']}", "no more"],
        ["threads, at most", f"{result['threads']['begin']} → {result['threads']['end']}", "no more"],
        ["SQLite, bytes a verdict", f"{result['history_bytes_per_verdict']}", ""],
    ]
    if tenths := result.get("rss_mb_by_tenth"):
        rows.insert(3, ["memory at the end of each tenth, MB", ", ".join(f"{one:.1f}" for one in tenths), ""])
    verdict = "within the limits" if result["passed"] else "**not within the limits**"
    return (
        f"## A million frames\n\n`benchmarks/soak.py`: two cameras, a folder of images and a video, again and again and"
        " as fast as it goes, through `ganspect run`, with JSON lines that rotate and pictures under a quota. The "
        "interval is that of a least-squares line through the means of 40 blocks of samples after the warm-up. "
        f"Measured on {_machine(result)}: {verdict}.\n\n{_table(['', '', 'limit'], rows)}\n{_growth(result)}"
    )


def _growth(result: Mapping[str, Any]) -> str:
    """Return in words whether memory was flat; within a limit is not the same."""
    found, begin, end = result["rss_kb_per_100000"], result["rss_mb"]["begin"], result["rss_mb"]["end"]
    if found["low"] <= 0:
        return "The interval contains 0: no growth was found.\n"
    return (
        f"The interval does not contain 0: memory was **not flat**, it grew by {end - begin:.1f} MB in "
        f"{result['frames'] - result['warm_up_frames']:,} frames. A straight line does not tell whether that goes on "
        "or comes in steps that end, as those of an allocator do.\n"
    )


def _latency(result: Mapping[str, Any]) -> str:
    station, loop = result["station"], result["loop"]
    rows = [[title, *(show(one) for one in (station, loop))] for title, show in _LATENCY_ROWS.items()]
    backend = station["backend"]
    return (
        "## Two streams under load\n\n`benchmarks/stream_latency.py`: two RTSP cameras, 640x360 at 30 frames a second, "
        f"the bundle of `make demo` with {backend['name']} in {backend['precision']}, {result['budget_ms']:g} ms of "
        "budget a frame. The cameras write the time into each picture, so that latency is the age of the picture when "
        "its verdict is there: encoding, transport, waiting and inspection. Beside it what people write first, run "
        "after it on the same machine: `cv2.VideoCapture`, read by turns, judged in the same thread. Measured on "
        f"{_machine(result)}, {result['seconds']:g} s each.\n\n{_table(['', 'station', 'loop'], rows)}\n"
        f"{_LATENCY_NOTE}"
    )


_LATENCY_ROWS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "age at the verdict, ms: p50, p95, p99": lambda one: _spread(one["capture_to_verdict_ms"]),
    "grows by, ms a second": lambda one: f"{one['age_grows_ms_per_s'] + 0.0:g}",
    "of that transport, ms: p50, p95, p99": lambda one: _spread(one["transport_ms"]),
    "waiting for its turn": lambda one: _spread(one["waited_ms"]),
    "inspection": lambda one: _spread(one["inspected_ms"]),
    "verdicts a second, by camera": lambda one: ", ".join(f"{rate:g}" for rate in one["verdicts_per_s"].values()),
    "pictures never judged": lambda one: f"{one['not_judged']:.1%}",
    "iterations, mean": lambda one: f"{one['iterations_mean']:g}",
    "undecided, since the budget ended": lambda one: f"{one['undecided']:.1%}",
    "cores used by it, by the cameras, by others": lambda one: _cores(one["cores_used"]),
}

_LATENCY_NOTE = """Where inspection is slower than the cameras, something has to give. The station drops pictures and
judges fresh ones; the loop drops none (those that still wait in the end are not counted), so each is older than the one
before, and nothing had put an end to that when the measurement was over. Its ages therefore say how long it ran; what
can be compared is by how much they grow. Compare ages only where iterations and undecided verdicts are alike: a search
that its budget ends early is quick too.
"""


def _cores(used: Mapping[str, float]) -> str:
    cameras = sum(value for name, value in used.items() if name.startswith("camera_"))
    return f"{used['this']:.2f}, {cameras:.2f}, {used['others']:.2f}"


def _spread(values: Mapping[str, float]) -> str:
    return ", ".join(f"{values[name]:.0f}" for name in ("p50", "p95", "p99"))


def _interval(slope: Mapping[str, float]) -> str:
    return f"{slope['value']:g} ({slope['low']:g} to {slope['high']:g})"


def _machine(result: Mapping[str, Any]) -> str:
    environment = result["environment"]
    return f"{environment['processor']}, {environment['cores']} cores, Python {environment['python']}"


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows]) + "\n"
