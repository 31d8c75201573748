"""Measuring processes from the outside, and the rounds in which they take turns.

    with MeasuringProcess("padim", environment, "peering.serve_openvino") as process:
        process.ask("open", model="model.xml", precision="fp32", threads=2)

What else the machine does meets all alike, since every model has a turn in every round, and nothing of the benchmark
runs beside the one whose turn it is.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ganspect.errors import GanspectError
from ganspect.runtime.bench.sensors import busy_s
from peering.environments import Environment, StepError, last_line

ROUNDS = 5
WARM_UP = 10
"""Frames of each model before anything is timed."""

_PAUSE_S = 0.1
"""A thread pool may spin for a moment after a call."""

_CLOSING_S = 10


class MeasuringProcess:
    """Starts a module in an environment and asks it one thing after the other."""

    def __init__(self, environment: Environment, module: str, *, log: Path) -> None:
        """Start it; it does nothing until it is asked.

        Args:
            environment: the environment that it runs in.
            module: the module that serves requests when it is run.
            log: file for its standard error; its folder is the working folder.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [str(environment.python), "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                cwd=log.parent,
                env=environment.variables,
            )

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its result.

        Raises:
            StepError: the process says that it failed, or ended.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the process was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise StepError(f"the process ended with status {self._process.wait()} on '{do}': {last_line(self._log)}")
        reply = json.loads(line)
        if "error" in reply:
            raise StepError(f"'{do}' failed: {reply['error']}")
        result: dict[str, Any] = reply["ok"]
        return result

    def processor_s(self) -> float:
        """Return the processor time that its threads took so far; 0 where Linux does not say."""
        total_ns = 0
        for path in Path(f"/proc/{self._process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError, ValueError, IndexError):  # a thread may end meanwhile
                total_ns += int(path.read_text(encoding="ascii").split()[0])
        return total_ns / 1e9

    def __enter__(self) -> "MeasuringProcess":
        """Return the process."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: by closing the pipe, and by force where that is not enough."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(0 if kind is not None else _CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass
class Turns:
    """What one model's turns came to, all rounds together.

    Attributes:
        samples_ms: times from a frame in memory to its score.
        peak_memory_mb: peak memory of the whole process.
        others_s: processor time that everything else on the machine took meanwhile.
        wall_s: seconds that the turns took.
    """

    samples_ms: list[float] = field(default_factory=list)
    peak_memory_mb: float = 0.0
    others_s: float = 0.0
    wall_s: float = 0.0

    def take(self, process: MeasuringProcess, frames: int) -> None:
        """Let a process have its turn.

        Raises:
            StepError: it failed.
        """
        time.sleep(_PAUSE_S)
        wall_s, busy, own_s = time.monotonic(), busy_s() or 0.0, process.processor_s()
        reply = process.ask("measure", frames=frames)
        self.others_s += (busy_s() or 0.0) - busy - (process.processor_s() - own_s)
        self.wall_s += time.monotonic() - wall_s
        self.samples_ms += reply["ms"]
        self.peak_memory_mb = reply["peak_memory_mb"]


Key = TypeVar("Key")


def take_turns(
    processes: Mapping[Key, MeasuringProcess], *, frames: int
) -> tuple[dict[Key, Turns], dict[Key, GanspectError]]:
    """Time all processes in rounds.

    Args:
        processes: each with its model open.
        frames: number of frames that each judges, all rounds together.

    Returns:
        What each came to, and why some failed.
    """
    results: dict[Key, Turns] = {}
    failed: dict[Key, GanspectError] = {}
    for number in range(ROUNDS + 1):
        for key, process in processes.items():
            if key in failed:
                continue
            try:
                if number == 0:
                    process.ask("measure", frames=WARM_UP)
                    results[key] = Turns()
                else:
                    results[key].take(process, -(-frames // ROUNDS))
            except GanspectError as error:
                failed[key] = error
                results.pop(key, None)
    return results, failed
