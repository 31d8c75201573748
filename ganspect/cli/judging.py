"""Commands that judge images, and measure how well and how fast."""

from pathlib import Path
from typing import Annotated

import typer

from ganspect.cli.options import (
    Arena,
    Backends,
    BundleFolder,
    Mode,
    Precisely,
    Precisions,
    RawLevels,
    Runner,
    Spinning,
    Steps,
    Threads,
    level_range,
    split,
)
from ganspect.extras import extra


def screen(
    bundle: BundleFolder,
    source: Annotated[str, typer.Argument(help="Image, folder, video, camera, rtsp://…, gst:…, basler:…, watch:…")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for results.jsonl, pictures and video.")] = Path(
        "out"
    ),
    mode: Mode = None,
    budget_ms: Annotated[
        float | None, typer.Option(min=0, metavar="MS", help="Time for a frame; then the verdict is 'undecided'.")
    ] = None,
    steps: Steps = None,
    save_anomalies: Annotated[
        bool, typer.Option(show_default=False, help="Save a picture of every anomalous frame.")
    ] = False,
    video: Annotated[bool, typer.Option(show_default=False, help="Write an overlay video.")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Stop after so many frames.")] = None,
    backend: Runner = "onnxruntime",
    precision: Precisely = None,
    threads: Threads = None,
    spinning: Spinning = True,
    arena: Arena = True,
    levels: RawLevels = None,
) -> None:
    """Give a verdict on every frame of a source; results.jsonl has a line for each, written as it is decided.

    Example: ganspect screen bundle line3.mp4 --out out --save-anomalies --video
    """
    from ganspect.runtime.backends.tuning import Tuning
    from ganspect.runtime.screening import ScreenOptions, screen_source

    tuning = Tuning(threads, spinning, arena)
    options = ScreenOptions(
        mode, budget_ms, steps, save_anomalies, video, max_frames, backend, precision, tuning, level_range(levels)
    )
    screen_source(bundle, source, out, options)


def evaluate(
    bundle: BundleFolder,
    data: Annotated[str, typer.Argument(help="elpv:mono, mnist:3, a folder in the MVTec layout, or an .npz file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for index.html, metrics.json and scores.csv.")],
    mode: Mode = None,
    curve: Annotated[bool, typer.Option(help="Also draw AUROC over the number of iterations.")] = False,
    steps: Steps = None,
    backend: Runner = "onnxruntime",
    precision: Precisely = None,
    data_path: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of a data set that no package brings.")
    ] = None,
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


def verify(
    bundle: BundleFolder,
    backend: Backends = [],  # noqa: B006
    precision: Precisions = [],  # noqa: B006
    flip_limit: Annotated[
        float, typer.Option(min=0, max=1, metavar="X", help="Share of verdicts near the threshold that may flip.")
    ] = 0.001,
    key: Annotated[Path | None, typer.Option(metavar="PUBLIC.pem", help="Whose signature it must have.")] = None,
    signed_calibration: Annotated[
        bool, typer.Option(show_default=False, help="Its calibration must be signed too.")
    ] = False,
) -> None:
    """Check a bundle's files, and that backends and precisions give the verdicts of the float32 reference.

    Example: ganspect verify bundle --backend openvino --precision bf16
    """
    from ganspect.runtime.verification.command import verify_bundle

    check = None
    if key is not None or signed_calibration:
        with extra("sign"):
            from ganspect.runtime.trust.command import told_trust

        check = told_trust(key, signed_calibration=signed_calibration)
    verify_bundle(bundle, split(backend), split(precision), flip_limit=flip_limit, check=check)


def bench(
    bundle: BundleFolder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for bench.json and index.html.")],
    backend: Backends = [],  # noqa: B006
    precision: Precisions = [],  # noqa: B006
    batch: Annotated[str, typer.Option(metavar="N,N", help="Images in one call, with commas between.")] = "1,16",
    steps: Steps = None,
    against: Annotated[Path | None, typer.Option(metavar="RUN", help="Time its search in PyTorch too.")] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="Time to measure each row for.")] = 2.0,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="As 'evaluate' takes it, for the early exit.")
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of a data set that no package brings.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(metavar="FILE", help="metrics.json of 'evaluate --curve', for its plot.")
    ] = None,
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
        tuple(split(backend)),
        tuple(split(precision)),
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


def doctor() -> None:
    """Show what this machine can run: backends, versions, devices, and the command for what is missing.

    Example: ganspect doctor
    """
    from ganspect.runtime.doctor import show_doctor

    show_doctor()
