"""The whole way on real solar cells: train, export, calibrate, evaluate, screen; the main job in one command.

ganspect demo --out demo
"""

import os
import tempfile
from pathlib import Path

from rich.console import Console

from ganspect.datasets import Sample, open_dataset
from ganspect.export.exporter import export_run
from ganspect.opencv import cv2
from ganspect.runtime.evaluation import evaluate_bundle
from ganspect.runtime.screening import ScreenOptions, screen_source
from ganspect.train.fit import train_recipe

RECIPE = Path(__file__).parent / "configs/fanogan_elpv_demo.yaml"
DATA = "elpv:mono"
CURVE_ITERATIONS = (1, 2, 5, 10, 20, 50)
CURVE_IMAGES = 40
SCREENED_OF_EACH = 8
LINE_CELLS, LINE_DEFECTS = 60, 6
LINE_FRAMES_PER_CELL, LINE_FRAMES_PER_S = 3, 15


def run_demo(out: Path) -> None:
    """Write `out`/run, `out`/bundle, `out`/report, `out`/screened and `out`/line.avi, and print each step's tables.

    An interrupted demo goes on where its training stopped.

    Raises:
        MissingDependencyError: a package of the extra `demo` is not installed.
        OutputError: `out` cannot be written, or holds something else.
    """
    _title(f"1/4 train f-AnoGAN on normal cells of {DATA}")
    train_recipe(RECIPE, [], out / "run")
    _title("2/4 export to ONNX, compare with PyTorch, calibrate on held-out normal cells")
    export_run(out / "run", out / "bundle")
    _title("3/4 screen cells that it has never seen, without PyTorch's help")
    _screen_some(out / "bundle", out / "screened")
    _film(out / "line.avi")
    _title("4/4 evaluate the bundle on the test cells")
    evaluate_bundle(
        out / "bundle",
        DATA,
        out / "report",
        curve=True,
        curve_iterations=CURVE_ITERATIONS,
        curve_images=CURVE_IMAGES,
    )
    Console().print(f"report: {out / 'report' / 'index.html'}   pictures: {out / 'screened' / 'anomalies'}")
    Console().print("next: ganspect run configs/station_demo.yaml   (two cameras on a video of these cells)")


def _screen_some(bundle: Path, out: Path) -> None:
    test = open_dataset(DATA).test
    normal = [sample for sample in test if sample.label == 0][:SCREENED_OF_EACH]
    anomalous = [sample for sample in test if sample.label == 1][:SCREENED_OF_EACH]
    with tempfile.TemporaryDirectory() as folder:
        for sample in (*normal, *anomalous):
            _write(sample, Path(folder))
        screen_source(bundle, folder, out, ScreenOptions(save_anomalies=True))


def _film(path: Path) -> None:
    """Write a video of test cells, a few frames each, as a camera above a line would see them."""
    test = open_dataset(DATA).test
    normal = [sample for sample in test if sample.label == 0][: LINE_CELLS - LINE_DEFECTS]
    defective = [sample for sample in test if sample.label == 1][:LINE_DEFECTS]
    every = len(normal) // LINE_DEFECTS
    cells = [sample for index, one in enumerate(defective) for sample in (*normal[index * every :][:every], one)]
    video: cv2.VideoWriter | None = None
    for sample in cells:
        frame = cv2.cvtColor(sample.read(), cv2.COLOR_GRAY2BGR)
        if video is None:
            size = (frame.shape[1], frame.shape[0])
            video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), LINE_FRAMES_PER_S, size)
        for _ in range(LINE_FRAMES_PER_CELL):
            video.write(frame)
    if video is not None:
        video.release()


def _write(sample: Sample, folder: Path) -> None:
    name = f"{sample.kind}_{Path(sample.name).name}".replace(os.sep, "_")
    cv2.imwrite(str(folder / Path(name).with_suffix(".png")), sample.read())


def _title(text: str) -> None:
    Console().rule(f"[bold]{text}", align="left")
