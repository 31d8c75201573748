"""The commands; each imports its part inside the function, so that a device needs only the runtime.

ganspect --help
"""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer

from ganspect import __version__
from ganspect.errors import GanspectError, MissingDependencyError, VerificationError

_UsageError: Any = typer.BadParameter.__mro__[1]  # typer has no public name for it

app = typer.Typer(
    help="Train a GAN on normal images, export it with its latent search, inspect without PyTorch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that 'ganspect export' wrote.")]
Mode = Annotated[Literal["search", "encoder"], typer.Option(help="Latent search, or the encoder's score alone.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Iterations of the search at most; default: the bundle's K.")]


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"ganspect {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for run, bundle and report.")] = Path("demo"),
) -> None:
    """Train, export, calibrate, evaluate and screen on real solar cells, in a few minutes on a CPU.

    Example: ganspect demo --out demo
    """
    with _extra("demo"):
        from ganspect.demo import run_demo

    run_demo(out)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Recipe, a YAML file.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Run folder; an interrupted run in it goes on.")],
    settings: Settings = [],  # noqa: B006
) -> None:
    """Train a system on normal images; run it again after an interruption and it goes on where it stopped.

    Example: ganspect train configs/fanogan.yaml --set data.source=images --set image.size_hw=[64,64] --out run
    """
    with _extra("train"):
        from ganspect.train.fit import train_recipe

    train_recipe(config, settings, out)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'ganspect train' wrote.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder for the bundle.")],
    false_alarm_rate: Annotated[
        float | None, typer.Option(help="Rate to calibrate for; default: 1% or the least.")
    ] = None,
) -> None:
    """Export a run to ONNX, prove that the graphs agree with PyTorch, and calibrate on the held-out images.

    Example: ganspect export run --out bundle
    """
    with _extra("export"):
        from ganspect.export.exporter import export_run

    export_run(run, out, false_alarm_rate)


@app.command()
def calibrate(
    bundle: BundleFolder,
    images: Annotated[str, typer.Argument(help="Folder of normal images that the bundle was not trained on.")],
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(help="Share of normal frames that may be flagged; default: 1%, or the least supported."),
    ] = None,
) -> None:
    """Set new thresholds from normal images of this device; older ones stay on record.

    Example: ganspect calibrate bundle normal_images --false-alarm-rate 0.02
    """
    from ganspect.runtime.calibration import calibrate_folder

    calibrate_folder(bundle, images, false_alarm_rate)


@app.command()
def evaluate(
    bundle: BundleFolder,
    data: Annotated[str, typer.Argument(help="elpv:mono, mnist:3, a folder in the MVTec layout, or an .npz file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for index.html, metrics.json and scores.csv.")],
    mode: Mode = "search",
    curve: Annotated[bool, typer.Option(help="Also draw AUROC over the number of iterations.")] = False,
    steps: Steps = None,
    backend: Annotated[str, typer.Option(help="What runs the graphs.")] = "onnxruntime",
    data_path: Annotated[Path | None, typer.Option(help="File of a data set that no package brings.")] = None,
) -> None:
    """Measure a bundle, as deployed, on labelled images, beside PCA and mean intensity.

    Example: ganspect evaluate bundle elpv:mono --out report --curve
    """
    with _extra("report"):
        from ganspect.runtime.evaluation import evaluate_bundle

    evaluate_bundle(bundle, data, out, mode=mode, curve=curve, steps=steps, backend=backend, data_path=data_path)


@app.command()
def screen(
    bundle: BundleFolder,
    source: Annotated[str, typer.Argument(help="An image, a folder of images, a video file, or a camera number.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for results.jsonl, pictures and video.")] = Path(
        "out"
    ),
    mode: Mode = "search",
    budget_ms: Annotated[
        float | None, typer.Option(min=0, help="Time for a frame; then the verdict is 'undecided'.")
    ] = None,
    steps: Steps = None,
    save_anomalies: Annotated[bool, typer.Option(help="Save a picture of every anomalous frame.")] = False,
    video: Annotated[bool, typer.Option(help="Write an overlay video.")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    backend: Annotated[str, typer.Option(help="What runs the graphs.")] = "onnxruntime",
) -> None:
    """Give a verdict on every frame of a source; results.jsonl has a line for each, written as it is decided.

    Example: ganspect screen bundle line3.mp4 --out out --save-anomalies --video
    """
    from ganspect.runtime.screening import ScreenOptions, screen_source

    options = ScreenOptions(mode, budget_ms, steps, save_anomalies, video, max_frames, backend)
    screen_source(bundle, source, out, options)


def main() -> NoReturn:
    """Run a command; an error of ganspect's ends with one sentence and status 2 (failed verification: 1)."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="ganspect", standalone_mode=False)
    except _UsageError as error:
        _fail(_usage_sentence(error), status=2)
    except VerificationError as error:
        _fail(str(error), status=1)
    except GanspectError as error:
        _fail(str(error), status=2)
    sys.exit(status)


@contextlib.contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "ganspect"):
            raise
        raise MissingDependencyError(f"{package} is not installed; run: pip install 'ganspect[{name}]'") from error


def _usage_sentence(error: Any) -> str:
    command = "ganspect" if error.ctx is None else error.ctx.command_path
    message = error.format_message().replace("Value error, ", "").strip().rstrip(".")
    return f"{message[0].lower()}{message[1:]}; see: {command} --help"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(sentence: str, *, status: int) -> NoReturn:
    typer.echo(f"ganspect: {sentence}", err=True)
    sys.exit(status)
