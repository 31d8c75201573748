"""Evaluation: a bundle, as deployed, on labelled images, beside PCA and mean intensity; one page and its figures.

ganspect evaluate bundle elpv:mono --out report --curve
"""

from pathlib import Path
from typing import Any

from ganspect.extras import extra
from ganspect.records import Mode, Precision

CURVE_ITERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
CURVE_IMAGES = 60


def evaluate_bundle(
    bundle: Path,
    data: str,
    out: Path,
    *,
    mode: Mode | None = None,
    curve: bool = False,
    steps: int | None = None,
    backend: str = "onnxruntime",
    precision: Precision | None = None,
    data_path: Path | None = None,
    curve_iterations: tuple[int, ...] = CURVE_ITERATIONS,
    curve_images: int = CURVE_IMAGES,
) -> dict[str, Any]:
    """Measure a bundle on labelled images, write `out`/index.html, metrics.json and scores.csv, print a table.

    Args:
        bundle: folder that 'ganspect export' wrote, calibrated.
        data: `elpv:mono`, `mnist:3`, a folder in the MVTec layout, or an `.npz` file.
        out: folder for the report; an older report in it is replaced.
        mode: which score and threshold the figures are for; None: the bundle's own, with the other beside it.
        curve: whether to draw AUROC over the number of iterations.
        steps: K of the search; None: the calibration's.
        backend: what runs the graphs; `auto`: the fastest one that was verified here.
        precision: of the convolutions; None: fp32, with `auto` any.
        data_path: file of a data set that no package brings.
        curve_iterations: counts at which the curve is drawn.
        curve_images: images that it is drawn on at most, half of each class.

    Returns:
        The content of metrics.json.

    Raises:
        MissingDependencyError: a package of the extra `report`, or the backend's, is not installed.
        DataError: no such data, no test images, or too many images that the bundle was trained or calibrated on.
        BundleError: the bundle is damaged; CalibrationError: it was never calibrated.
        ConfigError: encoder mode without an encoder or with `steps`.
        OutputError: `out` holds something else or cannot be written.
    """
    with extra("report"):
        from ganspect.runtime.evaluation.curve import CurvePlan
        from ganspect.runtime.evaluation.pipeline import evaluate
    plan = CurvePlan(curve_iterations, curve_images) if curve else None
    return evaluate(
        bundle,
        data,
        out,
        mode=mode,
        steps=steps,
        backend=backend,
        precision=precision,
        data_path=data_path,
        curve=plan,
    )
