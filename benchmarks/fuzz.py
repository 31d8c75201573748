"""Does anything that ganspect reads from outside end otherwise than with a sentence?

    python benchmarks/fuzz.py --seconds-each 60 --out benchmarks/results

Manifests, calibrations, recipes, station files, histories, pictures, videos, streams, addresses and arguments are
given in forms that are wrong: real ones with values, keys, types and bytes changed, and ones made to hurt (nested
deeply, numbers without end, paths that lead elsewhere, YAML that unfolds a billion times). Each must be accepted or
refused with one sentence, in time and in bounded memory, with no password in it, and write nothing elsewhere. What
else happens is a finding: its input is saved under DIR/findings, and the status is 1. Each target runs in a process
of its own, so that one that crashes or takes all its memory is a finding too.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fuzzing.every import MAKERS
from fuzzing.target import INSIDE, Outcome, Target, attempt
from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.console import Console
from rich.table import Table

from ganspect import __version__
from ganspect.errors import GanspectError
from ganspect.files import require_writable, write_atomically, write_json
from ganspect.runtime.machine import machine

FINDINGS = "findings"
MEMORY_BYTES = 6 << 30
"""Address space of a target's process; libraries alone take a part of it."""

_AT_ONCE = 200
_GRACE_S = 180


@dataclass
class Tally:
    """What the inputs of a target came to.

    Attributes:
        inputs: tried.
        refused: with one of ganspect's errors.
        accepted: without.
        messages: refusals by their sentence, names and numbers left out.
        findings: places in the code, with a message and how often.
        seconds: that it ran.
    """

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> bool:
        """Count an outcome, and return whether it is a finding that was not there before."""
        self.inputs += 1
        if outcome.kind == "refused":
            self.refused += 1
            self.messages[outcome.plain] += 1
        elif outcome.kind == "accepted":
            self.accepted += 1
        else:
            found = self.findings.setdefault(outcome.place, {"message": outcome.message, "count": 0})
            found["count"] += 1
            return bool(found["count"] == 1)
        return False

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {
            "inputs": self.inputs,
            "refused": self.refused,
            "accepted": self.accepted,
            "distinct_messages": len(self.messages),
            "findings": len(self.findings),
            "seconds": round(self.seconds, 1),
            "places": self.findings,
        }


def fuzz(target: Target, sandbox: Path, *, seconds: float, first_seed: int, out: Path) -> Tally:
    """Give a target inputs for so long, and save those that are findings.

    Args:
        target: made in a folder of the sandbox.
        sandbox: in which nothing else may change.
        seconds: to go on for.
        first_seed: the same one gives the same inputs.
        out: folder for inputs, and for the one that is being tried.
    """
    tally, begin_s, tried = Tally(), time.monotonic(), out / f"trying {target.name}"

    def one(value: Any) -> None:
        if time.monotonic() - begin_s > seconds:
            return
        tried.write_bytes(_as_bytes(value))
        if tally.add(attempt(target, value, sandbox)):
            name = f"{target.name.replace(' ', '_')}-{len(tally.findings)}"
            write_atomically(out / name, _as_bytes(value))

    number = first_seed
    while time.monotonic() - begin_s < seconds:
        seed(number)(_OPTIONS(given(target.strategy)(one)))()
        number += 1
    tally.seconds = time.monotonic() - begin_s
    tried.unlink(missing_ok=True)
    return tally


_OPTIONS = settings(
    max_examples=_AT_ONCE,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def run_here(name: str, *, seconds: float, first_seed: int, out: Path) -> Tally:
    """Fuzz one target in this process, with its memory bounded."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with tempfile.TemporaryDirectory(prefix="ganspect-fuzz-") as folder:
        inside = Path(folder) / INSIDE
        inside.mkdir()
        target = MAKERS[name](inside)
        return fuzz(target, Path(folder), seconds=seconds, first_seed=first_seed, out=out)


def run_apart(name: str, *, seconds: float, first_seed: int, out: Path) -> dict[str, Any]:
    """Fuzz one target in a process of its own, and return its counts; that it died is a finding."""
    command = [sys.executable, __file__, "--only", name, "--seconds-each", str(seconds), "--seed", str(first_seed)]
    try:
        ended = subprocess.run(
            [*command, "--out", str(out)], capture_output=True, check=False, timeout=seconds + _GRACE_S
        )
        said = ended.stdout.decode() if ended.returncode == 0 else ""
        why = f"the process ended with {ended.returncode}: {ended.stderr[-300:].decode(errors='replace')}"
    except subprocess.TimeoutExpired:
        said, why = "", f"the process hung for {_GRACE_S} s"
    if said.strip():
        counts: dict[str, Any] = json.loads(said.splitlines()[-1])
        return counts
    tried = out / f"trying {name}"
    if tried.exists():
        tried.replace(out / f"{name.replace(' ', '_')}-crash")
    tally = Tally(inputs=1, findings={"process": {"message": why, "count": 1}}, seconds=seconds)
    return tally.to_dict()


def run(names: Sequence[str], out: Path, *, seconds: float, first_seed: int, jobs: int) -> bool:
    """Fuzz targets, `jobs` side by side, print a table, write `out`/fuzz.json, and return whether nothing was found."""
    require_writable(out)
    findings = require_writable(out / FINDINGS)
    with ThreadPoolExecutor(jobs) as pool:
        counted = pool.map(partial(run_apart, seconds=seconds, first_seed=first_seed, out=findings), names)
        targets = dict(zip(names, counted, strict=True))
    table = Table("target", "inputs", "refused", "accepted", "messages", "findings", title="What was read")
    for name, counts in targets.items():
        columns = ("inputs", "refused", "accepted", "distinct_messages", "findings")
        table.add_row(name, *(str(counts[column]) for column in columns))
        for place, found in counts["places"].items():
            print(f"{name}: {place}: {found['message']} ({found['count']} times)", file=sys.stderr)
    Console().print(table)
    if not any(findings.iterdir()):
        findings.rmdir()
    total = {
        key: sum(counts[key] for counts in targets.values()) for key in ("inputs", "refused", "accepted", "findings")
    }
    environment = {"ganspect": __version__, **machine()}
    content = {"benchmark": "fuzz", "seed": first_seed, "total": total, "targets": targets, "environment": environment}
    write_json(out / "fuzz.json", content)
    print(json.dumps(content))
    return not total["findings"]


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else ascii(value).encode()


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 with findings, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Inputs that are wrong, for everything that ganspect reads.")
    parser.add_argument("--seconds-each", type=float, default=60.0, help="time for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="targets side by side")
    parser.add_argument("--target", action="append", choices=list(MAKERS), help="repeatable; default: all")
    parser.add_argument("--only", choices=list(MAKERS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args(arguments)
    if asked.only:
        tally = run_here(asked.only, seconds=asked.seconds_each, first_seed=asked.seed, out=asked.out)
        print(json.dumps(tally.to_dict()))
        return 0
    try:
        clean = run(
            asked.target or list(MAKERS), asked.out, seconds=asked.seconds_each, first_seed=asked.seed, jobs=asked.jobs
        )
    except GanspectError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
