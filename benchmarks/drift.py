"""How dirty must a lens be for the drift alarm, after how many frames does it come, and have verdicts changed by then?

    python benchmarks/drift.py demo/bundle elpv:mono --out benchmarks/results

A copy of the bundle is calibrated anew on the normal cells that were held out of its training, so that the calibration
keeps their start scores. The normal cells of the test part, which neither training nor calibration has seen, are the
line: they come in random order, again and again, first as they are, then as through a lens that is out of focus, in
dimmed light, or dusty (dark specks, which stay where they are). For each degree: after how many frames the alarm comes
(over many orders), by how many deviations the median start score moved, how many verdicts on good cells are false
alarms, how many changed, and how many defective cells are still found. Cells that come again are no further evidence,
and the monitor knows that. The cells are not as many as a line's parts, so the window is shorter than the default.
"""

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ganspect import __version__
from ganspect.bundle import open_bundle
from ganspect.datasets import fingerprint, open_dataset, read_samples
from ganspect.errors import GanspectError
from ganspect.files import require_writable, write_json
from ganspect.opencv import cv2
from ganspect.preprocess import Frame
from ganspect.runtime import Inspector
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.calibration import calibrate
from ganspect.runtime.drift import DriftSettings
from ganspect.runtime.drift.monitor import HORIZON_WINDOWS, Monitor
from ganspect.runtime.machine import machine
from ganspect.runtime.scale import score_scale

SETTINGS = DriftSettings(window=100)
ORDERS = 50
DEFECTS = 25
CLEAN_FRAMES, DIRTY_FRAMES = 200, 1000

Change = Callable[[Frame], Frame]


@dataclass(frozen=True)
class Seen:
    """The line's cells through one lens: start score of each, and whether it was flagged."""

    scores: np.ndarray[Any, np.dtype[np.float64]]
    flagged: np.ndarray[Any, np.dtype[np.bool_]]


def blurred(sigma_px: float) -> Change:
    """Return a lens out of focus."""
    return lambda frame: np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma_px))


def dimmed(share: float) -> Change:
    """Return light that has lost a share of its strength."""
    return lambda frame: np.round(frame * (1 - share)).astype(frame.dtype)


def dusty(dark: float) -> Change:
    """Return a lens with ten soft specks at fixed places, 2 to 6 pixels in radius on 300, that darken."""

    def change(frame: Frame) -> Frame:
        random, height = np.random.default_rng(0), frame.shape[0]
        passed = np.ones(frame.shape[:2], np.float32)
        for x, y, radius in random.random((10, 3)):
            centre = (int(x * frame.shape[1]), int(y * height))
            cv2.circle(passed, centre, max(1, round((2 + 4 * radius) * height / 300)), 1 - dark, -1)
        return np.round(frame * cv2.GaussianBlur(passed, (0, 0), height / 150)).astype(frame.dtype)

    return change


LENSES: dict[str, tuple[str, dict[float, Change]]] = {
    "blur": ("sigma, pixels of 300", {degree: blurred(degree) for degree in (1.0, 2.0, 3.0, 5.0, 8.0)}),
    "dimming": ("share of the light lost", {degree: dimmed(degree) for degree in (0.1, 0.3, 0.5, 0.7)}),
    "dust": (
        "share of the light that ten specks take",
        {degree: dusty(degree) for degree in (0.02, 0.05, 0.1, 0.2, 0.4)},
    ),
}


def look_at(inspector: Inspector, cells: Sequence[Frame], change: Change) -> Seen:
    """Judge the cells through a lens."""
    verdicts = [inspector.inspect(change(cell)) for cell in cells]
    scores = [np.inf if verdict.start_score is None else verdict.start_score for verdict in verdicts]
    return Seen(np.asarray(scores, np.float64), np.asarray([verdict.anomalous for verdict in verdicts]))


def frames_to_alarm(reference: Sequence[float], clean: Seen, dirty: Seen, seed: int) -> int | None:
    """Return after how many frames of the dirty lens the alarm comes; None if it does not."""
    random = np.random.default_rng(seed)
    watched = Monitor("line", SETTINGS, reference, "calibration")
    for score in _orders(clean.scores, CLEAN_FRAMES, random):
        watched.add(score)
    if watched.status().alarmed:
        return 0
    for number, score in enumerate(_orders(dirty.scores, DIRTY_FRAMES, random), 1):
        watched.add(score)
        if watched.status().alarmed:
            return number
    return None


def _orders(scores: np.ndarray[Any, np.dtype[np.float64]], count: int, random: np.random.Generator) -> list[float]:
    passes = -(-count // len(scores))
    return [float(score) for score in np.concatenate([random.permutation(scores) for _ in range(passes)])[:count]]


def measure(inspector: Inspector, cells: Sequence[Frame], defective: Sequence[Frame]) -> dict[str, Any]:
    """Return the whole result as JSON.

    Args:
        inspector: of the bundle that was calibrated anew.
        cells: good ones, the line.
        defective: others, which are no part of the line: what the lens hides of them is what matters in the end.
    """
    scale = score_scale(inspector.bundle, "search")
    reference = [scale.of(score) for score in inspector.calibration.start_scores or []]
    clean = look_at(inspector, cells, lambda frame: frame)
    rows = []
    for lens, (unit, degrees) in LENSES.items():
        for degree, change in degrees.items():
            dirty = look_at(inspector, cells, change)
            found = float(look_at(inspector, defective, change).flagged.mean())
            described = {"lens": lens, "degree": degree, "unit": unit}
            rows.append({**described, **_row(reference, clean, dirty), "defects_found": found})
    return {
        "cells": len(cells),
        "reference": len(reference),
        "settings": SETTINGS.model_dump(),
        "orders": ORDERS,
        "defective": len(defective),
        "clean": {
            "flagged": float(clean.flagged.mean()),
            "defects_found": float(look_at(inspector, defective, lambda frame: frame).flagged.mean()),
            **_clean(reference, clean),
        },
        "rows": rows,
        "cost_us": _cost_us(reference, clean),
    }


def _row(reference: Sequence[float], clean: Seen, dirty: Seen) -> dict[str, Any]:
    found = [frames_to_alarm(reference, clean, dirty, seed) for seed in range(ORDERS)]
    came = sorted(frames for frames in found if frames)
    middle = float(np.median(dirty.scores) - np.median(reference))
    deviation = float(np.subtract(*np.quantile(reference, (0.75, 0.25)))) / 1.349
    return {
        "median_moved": middle / deviation,
        "alarmed": len(came) / ORDERS,
        "frames_p50": None if len(came) <= ORDERS / 2 else came[ORDERS // 2],
        "flagged": float(dirty.flagged.mean()),
        "verdicts_changed": float((dirty.flagged != clean.flagged).mean()),
    }


def _clean(reference: Sequence[float], clean: Seen) -> dict[str, Any]:
    """Return how many of the orders raise a false alarm within the horizon that the promise is on."""
    count, false = HORIZON_WINDOWS * SETTINGS.window, 0
    for seed in range(ORDERS):
        watched = Monitor("line", SETTINGS, reference, "calibration")
        alarmed = False
        for score in _orders(clean.scores, count, np.random.default_rng(seed)):
            watched.add(score)
            alarmed = alarmed or watched.status().alarmed
        false += alarmed
    status = watched.status()
    return {"false_alarms": false / ORDERS, "frames": count, "median_moved": status.shift, "ks": status.ks}


def _cost_us(reference: Sequence[float], clean: Seen) -> dict[str, float]:
    """Return what a frame costs with the default window, on average and at most."""
    watched = Monitor("line", DriftSettings(), reference, "calibration")
    scores = _orders(clean.scores, 20_000, np.random.default_rng(0))
    taken = []
    for score in scores:
        begin_ns = time.perf_counter_ns()
        watched.add(score)
        taken.append((time.perf_counter_ns() - begin_ns) / 1e3)
    return {"mean": float(np.mean(taken[1000:])), "p99": float(np.quantile(taken[1000:], 0.99))}


def run(bundle_folder: Path, data: str, out: Path, *, tuning: Tuning) -> None:
    """Calibrate a copy, measure, write `out`/drift.json, and print it."""
    require_writable(out)
    logging.getLogger("ganspect").addHandler(logging.NullHandler())
    dataset = open_dataset(data)
    with tempfile.TemporaryDirectory() as place:
        bundle = shutil.copytree(bundle_folder, Path(place) / "bundle")
        held_out = set(open_bundle(bundle).manifest.training.held_out)
        training, _ = read_samples(dataset.train)
        normal = [(sample.name, frame) for sample, frame in training if fingerprint(frame) in held_out]
        calibrate(bundle, normal, None, f"held out of {data}")
        line, _ = read_samples([sample for sample in dataset.test if sample.label == 0])
        defects = [sample for sample in dataset.test if sample.label == 1]
        bad, _ = read_samples(defects[:: max(1, len(defects) // DEFECTS)][:DEFECTS])
        with Inspector.load(bundle, tuning=tuning) as inspector:
            result = measure(inspector, [frame for _, frame in line], [frame for _, frame in bad])
            backend = {"name": inspector.backend.name, "version": inspector.backend.version}
    content = {
        "benchmark": "drift",
        "data": data,
        **result,
        "environment": {"ganspect": __version__, "backend": backend, **machine()},
    }
    write_json(out / "drift.json", content)
    print(json.dumps(content))


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="When the drift alarm comes, and when verdicts begin to change.")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE")
    parser.add_argument("data", nargs="?", default="elpv:mono", metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args(arguments)
    try:
        run(given.bundle, given.data, given.out, tuning=Tuning(given.threads))
    except GanspectError as error:
        print(f"drift: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
