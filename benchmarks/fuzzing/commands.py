"""The command line of what only reads: arguments that are wrong, given to `ganspect` in this process.

attempt(command_line(folder), ("history", "--since", "never"), sandbox)
"""

import contextlib
import io
import os
import sys
from pathlib import Path

from hypothesis import strategies
from hypothesis.strategies import DrawFn

from fuzzing.artefacts import write_history
from fuzzing.target import FaultError, Target
from fuzzing.values import hostile_texts
from ganspect.cli import main
from ganspect.errors import GanspectError

_OPTIONS = {
    "history": ("--camera", "--verdict", "--since", "--until", "--limit", "--format"),
    "screen": ("--mode", "--budget-ms", "--steps", "--max-frames", "--backend", "--precision", "--threads"),
    "verify": ("--backend", "--precision", "--flip-limit"),
    "calibrate": ("--false-alarm-rate",),
    "build": ("--target", "--precision"),
    "run": ("--nothing",),
    "bench": ("--backend", "--batch", "--steps", "--seconds", "--data", "--threads"),
}
_VALUES = (
    *(
        "nan",
        "inf",
        "-1",
        "0",
        "1",
        "2",
        "1e400",
        "9" * 30,
        "9" * 5000,
        "0.5",
        "normal",
        "csv",
        "jsonl",
        "search",
        "fp32",
    ),
    *("30m", "openvino", "onnxruntime", "tensorrt-rtx:sm86", "a,b", ",", ":", "-", "--", "--help"),
)


def command_line(folder: Path) -> Target:
    """Return the target of commands that read; nothing that they are given is a bundle, so that none begins to work."""
    place = folder / "command"
    place.mkdir()
    data = place / "history.sqlite"
    write_history(data, 5)

    def run(arguments: tuple[str, ...]) -> None:
        status, printed = _run([argument.replace("DATA", str(data)) for argument in arguments], place)
        if status == 0:
            return
        lines = printed.rstrip("\n").split("\n")
        if "Traceback" in printed or len(lines) != 1 or status not in (1, 2):
            raise FaultError(f"status {status} with {len(lines)} lines: {printed[:200]!a}")
        raise GanspectError(lines[0])

    return Target("command line", _arguments(), run)


def _run(arguments: list[str], place: Path) -> tuple[object, str]:
    """Run a command with a standard output and error as a terminal has them, and return its status and errors."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8", handling) for handling in ("strict", "backslashreplace"))
    before, here = sys.argv, Path.cwd()
    os.chdir(place)
    sys.argv = ["ganspect", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            main()
    except SystemExit as ended:
        errors.flush()
        return ended.code or 0, errors.buffer.getvalue().decode()
    finally:
        sys.argv = before
        os.chdir(here)


@strategies.composite
def _arguments(draw: DrawFn) -> tuple[str, ...]:
    command = draw(strategies.sampled_from(sorted(_OPTIONS)))
    texts = hostile_texts().map(lambda text: text.replace("\0", "")) | strategies.sampled_from(_VALUES)
    given = [command]
    for _ in range(draw(strategies.integers(0, 3))):
        option = draw(strategies.sampled_from(_OPTIONS[command]))
        given += [option, draw(texts)] if draw(strategies.booleans()) else [f"{option}={draw(texts)}"]
    # Where a bundle is expected none is there; --out is never given, for any path could be written.
    given += ["DATA"] if command == "history" else [f"no/{draw(texts)}"]
    if draw(strategies.integers(0, 3)) == 0:
        given.append(draw(texts.filter(lambda text: not text.startswith(("-o", "--o")))))
    return tuple(given)
