"""The commands; each imports its part inside the function, so that a device needs only the runtime.

ganspect --help
"""

import contextlib
import io
import os
import signal
import sys
import threading
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from ganspect import __version__
from ganspect.cli.judging import bench, doctor, evaluate, screen, verify
from ganspect.cli.making import build, calibrate, demo, export, train
from ganspect.cli.station import history, run
from ganspect.cli.trust import new_key, sign
from ganspect.errors import GanspectError, VerificationError, printable

_UsageError: Any = typer.BadParameter.__mro__[1]  # typer has no public name for it

app = typer.Typer(
    help="Train a GAN on normal images, export it with its latent search, inspect without PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS = (
    demo,
    train,
    export,
    calibrate,
    evaluate,
    screen,
    run,
    history,
    build,
    verify,
    sign,
    new_key,
    bench,
    doctor,
)

for _command in _COMMANDS:
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"ganspect {__version__}")
        raise typer.Exit


def main() -> NoReturn:
    """Run a command; an error of ganspect's ends with one sentence and status 2 (failed verification: 1)."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need be no text
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="ganspect", standalone_mode=False)
    except _UsageError as error:
        _fail(_usage_sentence(error), status=2)
    except VerificationError as error:
        _fail(str(error), status=1)
    except GanspectError as error:
        _fail(str(error), status=2)
    _end(status)


def _usage_sentence(error: Any) -> str:
    command = "ganspect" if error.ctx is None else error.ctx.command_path
    message = error.format_message().replace("Value error, ", "").strip().rstrip(".") or "it cannot be understood"
    return printable(f"{message[0].lower()}{message[1:]}; see: {command} --help")


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(sentence: str, *, status: int) -> NoReturn:
    typer.echo(f"ganspect: {sentence}", err=True)
    _end(status)


def _end(status: int) -> NoReturn:
    """End; at once where a camera's thread hangs in its driver, since the interpreter's end may abort that process."""
    if any(thread.name.startswith("camera ") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # nobody reads it any more
                stream.flush()
        os._exit(status or 0)
    sys.exit(status)
