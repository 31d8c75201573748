"""Does a station lose anything, and how soon is it well again? Real faults on a real process, counted from outside.

    python benchmarks/reliability.py --minutes 10
    python benchmarks/reliability.py --long --out benchmarks/results
    python benchmarks/reliability.py --page            # write docs/reliability.md from the committed JSON

Each kind of fault gets a plant of its own (`station_rig/plant.py`): `ganspect run` as a process, a camera at 15 frames
a second, a watched folder that gets four files a second, a broker, a web server, JSON lines, pictures. The faults are
in `station_rig/faults.py`, what counts as lost in `station_rig/audit.py`. The last line is the result as JSON; the
status is 1 if a verdict was lost, a frame was judged twice under different ids, or the station did not recover.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from reliability_page import write_page
from rich import box
from rich.console import Console
from rich.table import Column, Table
from station_rig.bundle import make_tiny_bundle
from station_rig.faults import FAULTS
from station_rig.injection import Plan, inject
from station_rig.usage import machine_busy_s, own_busy_s

from ganspect import __version__
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.runtime.machine import machine

_LONG = Plan(count=100, long_every=33)
_BESIDE = 2
"""Stations at once in the long form: they wait most of the time, and each has a core."""
_OVERHEAD_S = 12.0
"""For the start of a plant, its end and the count."""


def run(
    names: Sequence[str], plan: Plan, out: Path, *, bundle: Path | None = None, beside: int = 1, form: str = "short"
) -> dict[str, Any]:
    """Inject faults, write `out`/reliability.json, print a table and the JSON, and return it.

    Args:
        names: of faults.
        plan: how often each.
        out: folder for the result.
        bundle: that the stations run; None: a tiny one is made.
        beside: stations at once.
        form: of the plan, in a word.
    """
    require_writable(out)
    missing = {name: reason for name in names if (reason := FAULTS[name].needs())}
    with tempfile.TemporaryDirectory(prefix="ganspect-reliability-") as folder:
        place = Path(folder)
        bundle = bundle or make_tiny_bundle(place / "tiny")
        begin_s, busy_s, own_s = time.monotonic(), machine_busy_s(), own_busy_s()
        found = _inject_all([name for name in names if name not in missing], plan, bundle, place, beside)
        lasted_s, used_s = time.monotonic() - begin_s, own_busy_s() - own_s
        others_s = max(0.0, machine_busy_s() - busy_s - used_s)
    content: dict[str, Any] = {
        "benchmark": "reliability",
        "form": form,
        "faults": {name: found[name] for name in names if name in found},
        "not_possible_here": missing,
        "stations_at_once": beside,
        "cores_used": {"this": round(used_s / lasted_s, 2), "others": round(others_s / lasted_s, 2)},
        "environment": {"ganspect": __version__, **machine()},
    }
    write_json(out / "reliability.json", content)
    Console().print(_table(content["faults"]))
    for name, reason in missing.items():
        print(f"{name} was left out: {reason}")
    print(json.dumps(content))
    return content


def passed(content: dict[str, Any]) -> bool:
    """Return whether nothing was lost, nothing came twice but under one id, and the station always recovered."""
    wrong = ("lost", "duplicates_with_other_id", "contradictory", "not_recovered")
    return not any(fault[key] for fault in content["faults"].values() for key in wrong)


def _inject_all(names: Iterable[str], plan: Plan, bundle: Path, place: Path, beside: int) -> dict[str, dict[str, Any]]:
    def one(name: str) -> dict[str, Any]:
        print(f"{name} …", file=sys.stderr, flush=True)
        result = inject(FAULTS[name], plan, bundle, place / name)
        print(f"{name}: {json.dumps(result)}", file=sys.stderr, flush=True)
        return result

    together = [name for name in names if not FAULTS[name].alone]
    with ThreadPoolExecutor(beside) as pool:
        found = dict(zip(together, pool.map(one, together), strict=True))
    return found | {name: one(name) for name in names if FAULTS[name].alone}


def _table(faults: dict[str, dict[str, Any]]) -> Table:
    # Headings of more lines, so that eighty columns hold the names of the faults whole.
    headings = ("count", "lost", "twice,\nsame\nid", "twice,\nother\nid", "back\nin s,\np50", "\n\np99")
    gaps = ("longest\ngap s", "other\ncamera")
    table = Table(Column("fault", no_wrap=True), *headings, *gaps, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name, fault in faults.items():
        keys = ("count", "lost", "duplicates", "duplicates_with_other_id", "recovery_p50_s", "recovery_p99_s")
        cells = [fault[key] for key in (*keys, "longest_gap_s", "longest_gap_of_other_camera_s")]
        table.add_row(name, *("–" if cell is None else str(cell) for cell in cells))
    return table


def _chosen(text: str | None) -> list[str]:
    names = text.split(",") if text else list(FAULTS)
    if unknown := [name for name in names if name not in FAULTS]:
        raise ConfigError(f"{unknown[0]!r} is no fault; give some of {', '.join(FAULTS)}")
    return names


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 if something was lost, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Faults on a real station, counted.")
    parser.add_argument("--minutes", type=float, default=10.0, help="time in all, divided among the faults")
    parser.add_argument("--long", action="store_true", help="a hundred of each instead, about 40 minutes")
    parser.add_argument("--faults", metavar="A,B", help=f"some of {', '.join(FAULTS)}")
    parser.add_argument("--bundle", type=Path, help="a small bundle; by default one is made")
    parser.add_argument("--out", type=Path, default=Path("out/reliability"), metavar="DIR")
    parser.add_argument("--page", action="store_true", help="write docs/reliability.md from the committed results")
    given = parser.parse_args(arguments)
    if given.page:
        write_page()
        return 0
    try:
        names = _chosen(given.faults)
        plan = _LONG if given.long else Plan(seconds=max(0.0, given.minutes * 60 / len(names) - _OVERHEAD_S))
        form = "long" if given.long else f"{given.minutes:g} minutes"
        content = run(names, plan, given.out, bundle=given.bundle, beside=_BESIDE if given.long else 1, form=form)
    except GanspectError as error:
        print(f"reliability: {error}", file=sys.stderr)
        return 2
    return 0 if passed(content) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
