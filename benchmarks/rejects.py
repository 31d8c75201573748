"""Does every part that is to be rejected reach the PLC, and how long after its time, where no core is free?

    python benchmarks/rejects.py
    python benchmarks/rejects.py --parts 20 --out /tmp/rejects

An output with `delay_ms: 200` rejects parts through a real Modbus TCP server on loopback, first on the machine as it
is and then beside as many processes that count as it has cores. The server notes when its coil was set; what is
measured is how long after the part's time that was. Without a PLC this says nothing about a PLC: what it tells is
what Python and the operating system add. The last line is the result as JSON; the status is 1 if a part was lost.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from station_rig.needed import wait_for
from station_rig.plc import Plc

from ganspect import __version__
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.progress import progress_bar
from ganspect.runtime.machine import machine
from ganspect.runtime.outputs.medium import Part
from ganspect.runtime.outputs.modbus import Modbus
from ganspect.runtime.outputs.output import Output, Rules

DELAY_MS, PULSE_MS, EVERY_MS = 200.0, 20.0, 100.0
_RULES = Rules(delay_ms=DELAY_MS, pulse_ms=PULSE_MS, heartbeat_ms=50.0)
_COIL = 3


def reject(plc: Plc, parts: int, *, seed: int) -> dict[str, Any]:
    """Reject parts that come at random distances, and return how many reached the PLC and how late.

    Args:
        plc: that is written to.
        parts: to reject.
        seed: of the distances.
    """
    plc.writes.clear()
    random = np.random.default_rng(seed)
    output = Output("plc", "modbus", Modbus("127.0.0.1", port=plc.port, coil=_COIL, heartbeat_register=7), _RULES)
    due_ns = []
    try:
        output.feed()
        wait_for(lambda: output.status().beats > 0, "the output beats")
        with progress_bar() as progress:
            task = progress.add_task("rejects", total=parts, detail="")
            for number in range(parts):
                now_ns = time.perf_counter_ns()
                output.feed()
                output.offer(Part("left", "anomalous", str(number), "", now_ns))
                due_ns.append(now_ns + round(DELAY_MS * 1e6))
                # Longer than a pulse: two parts within one are one movement of the ejector.
                time.sleep(random.uniform(0.5, 1.5) * EVERY_MS / 1e3)
                progress.advance(task)
        wait_for(lambda: output.status().waiting == 0, "all parts' time has come")
        time.sleep(2 * PULSE_MS / 1e3)
    finally:
        output.close()
    status = output.status()
    set_ns = [one.at_ns for one in plc.writes if (one.function, one.address, one.value) == (5, _COIL, 1)]
    after_ms = _after_ms(due_ns, set_ns)
    return {
        "parts": parts,
        "reached": len(after_ms),
        "late": status.late,
        "after_its_time_ms": {name: round(float(np.percentile(after_ms, at)), 2) for name, at in _AT.items()},
    }


_AT = {"p50": 50, "p99": 99, "max": 100}


def _after_ms(due_ns: Sequence[int], set_ns: Sequence[int]) -> list[float]:
    """Return for each part how long after its time the coil was set first, at most before the next part's time.

    Args:
        due_ns: the parts' times, ascending.
        set_ns: when the coil was set, ascending.
    """
    found = []
    for begin, end in zip(due_ns, [*due_ns[1:], due_ns[-1] + 10**9], strict=True):
        if within := [at for at in set_ns if begin <= at < end]:
            found.append((within[0] - begin) / 1e6)
    return found


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def run(parts: int, out: Path) -> dict[str, Any]:
    """Measure both, write `out`/rejects.json, print the JSON, and return it."""
    require_writable(out)
    plc, environment = Plc(), machine()
    try:
        idle = reject(plc, parts, seed=0)
        with busy(environment["cores"]):
            loaded = reject(plc, parts, seed=1)
    finally:
        plc.kill()
    content = {
        "benchmark": "rejects",
        "delay_ms": DELAY_MS,
        "as_it_is": idle,
        "no_core_free": loaded,
        "environment": {"ganspect": __version__, **environment},
    }
    write_json(out / "rejects.json", content)
    print(json.dumps(content))
    return content


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 1 if a part did not reach the PLC, 2 on bad input."""
    parser = argparse.ArgumentParser(description="Rejected parts and how late they were.")
    parser.add_argument("--parts", type=int, default=300, help="each way")
    parser.add_argument("--out", type=Path, default=Path("out/rejects"), metavar="DIR")
    given = parser.parse_args(arguments)
    try:
        if given.parts < 2:
            raise ConfigError(f"--parts {given.parts} tells nothing; give 2 or more")
        content = run(given.parts, given.out)
    except GanspectError as error:
        print(f"rejects: {error}", file=sys.stderr)
        return 2
    return 0 if all(content[name]["reached"] == given.parts for name in ("as_it_is", "no_core_free")) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
