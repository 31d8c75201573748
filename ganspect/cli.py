"""The commands; each imports its part inside the function, so that a device needs only the runtime.

ganspect --help
"""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn

import typer

from ganspect import __version__
from ganspect.errors import GanspectError, VerificationError
from ganspect.extras import extra

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
Runner = Annotated[
    str, typer.Option(help="What runs the graphs, such as openvino; auto: the fastest one that was verified here.")
]
Precisely = Annotated[
    Literal["fp32", "bf16", "fp16", "int8"] | None, typer.Option(help="Of the convolutions; default: fp32.")
]
Backends = Annotated[
    list[str], typer.Option("--backend", metavar="B[,B]", help="Repeatable; default: every one that is installed.")
]
Precisions = Annotated[
    list[str], typer.Option("--precision", metavar="P[,P]", help="Repeatable; default: all that a backend offers.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="That one graph may use; default: all cores.")]
Spinning = Annotated[bool, typer.Option(help="Idle threads wait busily: lower latency, more power.")]
Arena = Annotated[bool, typer.Option(help="Freed buffers are kept: lower latency, more memory.")]
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
    with extra("demo"):
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
    with extra("train"):
        from ganspect.train.fit import train_recipe

    train_recipe(config, settings, out)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'ganspect train' wrote.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder for the bundle.")],
    false_alarm_rate: Annotated[float | None, typer.Option(help="To calibrate for; default: 1% or the least.")] = None,
    precision: Annotated[list[str], typer.Option(metavar="P[,P]", help="Proved to keep verdicts; int8 is made.")] = [],  # noqa: B006
) -> None:
    """Export a run to ONNX, prove that the graphs agree with PyTorch, and calibrate on the held-out images.

    Example: ganspect export run --out bundle --precision int8
    """
    with extra("export"):
        from ganspect.export.exporter import export_run

    export_run(run, out, false_alarm_rate, _split(precision))


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
    backend: Runner = "onnxruntime",
    precision: Precisely = None,
    data_path: Annotated[Path | None, typer.Option(help="File of a data set that no package brings.")] = None,
) -> None:
    """Measure a bundle, as deployed, on labelled images, beside PCA and mean intensity.

    Example: ganspect evaluate bundle elpv:mono --out report --curve
    """
    with extra("report"):
        from ganspect.runtime.evaluation import evaluate_bundle

    evaluate_bundle(
        bundle,
        data,
        out,
        mode=mode,
        curve=curve,
        steps=steps,
        backend=backend,
        precision=precision,
        data_path=data_path,
    )


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
    backend: Runner = "onnxruntime",
    precision: Precisely = None,
    threads: Threads = None,
    spinning: Spinning = True,
    arena: Arena = True,
) -> None:
    """Give a verdict on every frame of a source; results.jsonl has a line for each, written as it is decided.

    Example: ganspect screen bundle line3.mp4 --out out --save-anomalies --video
    """
    from ganspect.runtime.backends.tuning import Tuning
    from ganspect.runtime.screening import ScreenOptions, screen_source

    tuning = Tuning(threads, spinning, arena)
    options = ScreenOptions(mode, budget_ms, steps, save_anomalies, video, max_frames, backend, precision, tuning)
    screen_source(bundle, source, out, options)


@app.command()
def build(
    bundle: BundleFolder,
    target: Annotated[
        list[str], typer.Option(metavar="T", help="openvino, tensorrt, tensorrt-rtx, tensorrt-rtx:sm86,sm120, …")
    ],
    precision: Annotated[
        list[str], typer.Option(metavar="P", help="fp32, bf16, fp16 or int8: of the convolutions.")
    ] = ["fp32"],  # noqa: B006
    again: Annotated[bool, typer.Option("--again", help="Build also what the bundle's engines hold.")] = False,
) -> None:
    """Build the engines of a bundle on this device, or ahead of time for other GPUs, and show what they take and give.

    Example: ganspect build bundle --target openvino --target tensorrt-rtx:sm86,sm120
    """
    from ganspect.runtime.building import build_bundle

    build_bundle(bundle, target, _split(precision), again=again)


@app.command()
def verify(
    bundle: BundleFolder,
    backend: Backends = [],  # noqa: B006
    precision: Precisions = [],  # noqa: B006
    flip_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of verdicts near the threshold that may flip.")
    ] = 0.001,
) -> None:
    """Check a bundle's files, and that backends and precisions give the verdicts of the float32 reference.

    Example: ganspect verify bundle --backend openvino --precision bf16
    """
    from ganspect.runtime.verification.command import verify_bundle

    verify_bundle(bundle, _split(backend), _split(precision), flip_limit=flip_limit)


@app.command()
def bench(
    bundle: BundleFolder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for bench.json and index.html.")],
    backend: Backends = [],  # noqa: B006
    precision: Precisions = [],  # noqa: B006
    batch: Annotated[str, typer.Option(metavar="N,N", help="Images in one call, with commas between.")] = "1,16",
    steps: Steps = None,
    against: Annotated[Path | None, typer.Option(metavar="RUN", help="Time its search in PyTorch too.")] = None,
    seconds: Annotated[float, typer.Option(help="Time to measure each row for.")] = 2.0,
    data: Annotated[str | None, typer.Option(help="As 'evaluate' takes it, for the early exit.")] = None,
    data_path: Annotated[Path | None, typer.Option(help="File of a data set that no package brings.")] = None,
    metrics: Annotated[Path | None, typer.Option(help="metrics.json of 'evaluate --curve', for its plot.")] = None,
    threads: Threads = None,
    spinning: Spinning = True,
    arena: Arena = True,
) -> None:
    """Measure latency, throughput and memory on this machine, by backend, precision and batch, beside PyTorch.

    Example: ganspect bench bundle --batch 1,16 --against run --out bench
    """
    with extra("report"):
        from ganspect.runtime.backends.tuning import Tuning
        from ganspect.runtime.bench import BenchOptions, bench_bundle

    options = BenchOptions(
        tuple(_split(backend)),
        tuple(_split(precision)),
        batch,
        steps,
        against,
        seconds,
        data,
        data_path,
        metrics,
        Tuning(threads, spinning, arena),
    )
    bench_bundle(bundle, out, options)


@app.command()
def doctor() -> None:
    """Show what this machine can run: backends, versions, devices, and the command for what is missing.

    Example: ganspect doctor
    """
    from ganspect.runtime.doctor import show_doctor

    show_doctor()


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


def _split(values: list[str]) -> list[Any]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _usage_sentence(error: Any) -> str:
    command = "ganspect" if error.ctx is None else error.ctx.command_path
    message = error.format_message().replace("Value error, ", "").strip().rstrip(".")
    return f"{message[0].lower()}{message[1:]}; see: {command} --help"


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(sentence: str, *, status: int) -> NoReturn:
    typer.echo(f"ganspect: {sentence}", err=True)
    sys.exit(status)
