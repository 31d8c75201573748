"""Benchmark: how fast a bundle runs on this machine, by backend, precision and batch, beside PyTorch if asked for.

ganspect bench bundle --batch 1,16 --against run --out bench
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganspect.extras import extra
from ganspect.runtime.backends.tuning import LATENCY, Tuning


@dataclass(frozen=True)
class BenchOptions:
    """What to measure, and beside what.

    Attributes:
        backends: by name, perhaps with a device; none: all that run here.
        precisions: none: all that a backend offers.
        batches: images in one call, such as `1,16`.
        steps: K of the search; None: the calibration's.
        against: run folder that the bundle was exported from; the same search in PyTorch is then timed in turn.
        seconds: time to measure each row for; slow ones take longer, for each is repeated a few times at least.
        data: labelled images for the modes with an early exit; None: seeded random ones, which never exit.
        data_path: file of a data set that no package brings.
        metrics: metrics.json of an evaluation with a curve, for AUROC over latency.
        tuning: how the backends use the CPU.
    """

    backends: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: str = "1,16"
    steps: int | None = None
    against: Path | None = None
    seconds: float = 2.0
    data: str | None = None
    data_path: Path | None = None
    metrics: Path | None = None
    tuning: Tuning = LATENCY


def bench_bundle(bundle: Path, out: Path, options: BenchOptions = BenchOptions()) -> dict[str, Any]:
    """Measure a bundle on this machine, write `out`/bench.json and index.html, print a table.

    Args:
        bundle: folder that 'ganspect export' wrote, calibrated.
        out: folder for both files; an older benchmark in it is replaced.
        options: what to measure.

    Returns:
        The content of bench.json.

    Raises:
        MissingDependencyError: a package that a backend, the page or `against` needs is not installed.
        ConfigError: an impossible backend, precision, batch, number of steps or time.
        BundleError: the bundle is damaged, or has no graphs of a precision; CalibrationError: it was never calibrated.
        DeviceError: a device is not there, or a measuring process ended.
        RunError: `against` is no run, or not one that the bundle can come from.
        DataError: no such data, or `metrics` cannot be used.
        OutputError: `out` holds something else or cannot be written.
    """
    with extra("report"):
        from ganspect.runtime.bench.pipeline import bench
    return bench(bundle, out, options)
