"""Commands that make runs, bundles, thresholds and engines."""

from pathlib import Path
from typing import Annotated

import typer

from ganspect.cli.options import BundleFolder, RawLevels, Settings, level_range, split
from ganspect.extras import extra


def demo(
    out: Annotated[Path, typer.Option(help="Folder for run, bundle and report.")] = Path("demo"),
) -> None:
    """Train, export, calibrate, evaluate and screen on real solar cells, in a few minutes on a CPU.

    Example: ganspect demo --out demo
    """
    with extra("demo"):
        from ganspect.demo import run_demo

    run_demo(out)


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


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that 'ganspect train' wrote.")],
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="Folder for the bundle.")],
    false_alarm_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="To calibrate for; default: 1% or the least.")
    ] = None,
    precision: Annotated[list[str], typer.Option(metavar="P[,P]", help="Proved to keep verdicts; int8 is made.")] = [],  # noqa: B006
) -> None:
    """Export a run to ONNX, prove that the graphs agree with PyTorch, and calibrate on the held-out images.

    Example: ganspect export run --out bundle --precision int8
    """
    with extra("export"):
        from ganspect.export.exporter import export_run

    export_run(run, out, false_alarm_rate, split(precision))


def calibrate(
    bundle: BundleFolder,
    images: Annotated[str, typer.Argument(help="Folder of normal images that the bundle was not trained on.")],
    false_alarm_rate: Annotated[
        float | None,
        typer.Option(
            metavar="RATE", help="Share of normal frames that may be flagged; default: 1%, or the least supported."
        ),
    ] = None,
    levels: RawLevels = None,
) -> None:
    """Set new thresholds from normal images of this device; older ones stay on record.

    Example: ganspect calibrate bundle normal_images --false-alarm-rate 0.02
    """
    from ganspect.runtime.calibration import calibrate_folder

    calibrate_folder(bundle, images, false_alarm_rate, level_range(levels))


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

    build_bundle(bundle, target, split(precision), again=again)
