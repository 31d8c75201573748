"""The whole evaluation, from a bundle and a data set to the report folder."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from ganspect.bundle import Bundle, open_bundle
from ganspect.datasets import Dataset
from ganspect.files import new_folder, require_replaceable, require_writable, write_atomically, write_json
from ganspect.progress import progress_bar
from ganspect.records import Manifest, Mode, Precision
from ganspect.runtime.backends import Backend
from ganspect.runtime.evaluation.baselines import COMPONENTS, PcaPair, mean_intensity, pca_scores
from ganspect.runtime.evaluation.bootstrap import Resampling
from ganspect.runtime.evaluation.console import print_table, print_warnings
from ganspect.runtime.evaluation.curve import CurvePlan, draw_curve
from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.features import feature_baselines
from ganspect.runtime.evaluation.kinds import members_of_kinds
from ganspect.runtime.evaluation.labelled import LabelledImages, open_test_data, read_labelled, read_pixels
from ganspect.runtime.evaluation.passes import full_pass, screened_pass
from ganspect.runtime.evaluation.pixels import DEVIATION_LEVELS, RESIDUAL_LEVELS, PixelMetrics, PixelTable
from ganspect.runtime.evaluation.readout import Array, Readout
from ganspect.runtime.evaluation.report import build_report, pictures_section
from ganspect.runtime.evaluation.scores_table import scores_table
from ganspect.runtime.evaluation.summary import metrics_of
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.options import check_options, mode_of
from ganspect.runtime.scale import ScoreScale, score_scale
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.verification.choice import open_verified

MARKER = "metrics.json"


def evaluate(
    bundle_folder: Path,
    data: str,
    out: Path,
    *,
    mode: Mode | None,
    steps: int | None,
    backend: str,
    precision: Precision | None,
    data_path: Path | None,
    curve: CurvePlan | None,
) -> dict[str, Any]:
    """Measure a bundle and write the report; see `ganspect.runtime.evaluation.evaluate_bundle`."""
    require_replaceable(out, marker=MARKER)
    require_writable(out.absolute().parent)
    bundle = open_bundle(bundle_folder)
    bundle.require_calibration()
    check_options(mode_of(bundle, mode, steps), steps, None)
    dataset = open_test_data(bundle, data, data_path)
    with (
        open_verified(backend, bundle, mode=mode_of(bundle, mode), precision=precision) as engine,
        progress_bar() as progress,
    ):
        evaluated = _measure(bundle, engine, dataset, mode, steps, curve, progress)
        metrics = metrics_of(evaluated)
        pictures = pictures_section(evaluated, Readout(bundle, engine))
        page = build_report(evaluated, metrics, pictures)
    with new_folder(out, what=MARKER) as folder:
        write_atomically(folder / "index.html", page.encode())
        write_atomically(folder / "scores.csv", scores_table(evaluated).encode())
        write_json(folder / MARKER, metrics)
    print_table(metrics)
    print_warnings(metrics)
    return metrics


def _measure(
    bundle: Bundle,
    engine: Backend,
    dataset: Dataset,
    asked: Mode | None,
    steps: int | None,
    plan: CurvePlan | None,
    progress: Progress,
) -> Evaluated:
    scales, mode = _scales(bundle), mode_of(bundle, asked)
    inspector = Inspector(bundle, engine, mode=mode, steps=steps)
    search, readout, resampling = LatentSearch(bundle, engine), Readout(bundle, engine), Resampling()
    images = read_labelled(bundle, dataset, progress)
    full = full_pass(images, search, readout, modes={mode, asked or "search"}, steps=inspector.steps, progress=progress)
    return Evaluated(
        bundle=bundle,
        backend={"name": engine.name, "version": engine.version, "precision": engine.precision},
        mode=mode,
        steps=inspector.steps,
        images=images,
        full=full,
        scales=scales,
        screened=screened_pass(images, inspector, progress),
        pca=_pca(images, bundle.manifest),
        intensity=mean_intensity(images.pixels),
        features=feature_baselines(images, readout, bundle, resampling, progress),
        pixel=_pixel_metrics(images, full.latents_of(mode), bundle, readout, resampling, progress),
        curve=None if plan is None else draw_curve(images, search, readout, plan, resampling, progress),
        resampling=resampling,
    )


def _scales(bundle: Bundle) -> dict[Mode, ScoreScale]:
    modes: tuple[Mode, ...] = ("search",) if bundle.require_calibration().encoder is None else ("search", "encoder")
    return {mode: score_scale(bundle, mode) for mode in modes}


def _pca(images: LabelledImages, manifest: Manifest) -> PcaPair | None:
    normal = read_pixels(images.dataset.train, images.grid)
    if normal is None or len(normal) < 2:
        return None
    latent = manifest.latent
    latent_size = latent.size if latent.grid_hw is None else latent.size // math.prod(latent.grid_hw)
    return PcaPair(*pca_scores(normal, images.pixels, COMPONENTS, latent_size))


def _pixel_metrics(
    images: LabelledImages,
    latents: Sequence[Array],
    bundle: Bundle,
    readout: Readout,
    resampling: Resampling,
    progress: Progress,
) -> PixelMetrics | None:
    """Judge heat maps by masks: of normal images, and of those anomalous ones that have one."""
    known = [index for index, sample in enumerate(images.samples) if sample.label == 0 or sample.read_mask is not None]
    if not any(images.labels[index] == 1 for index in known):
        return None
    table = PixelTable(DEVIATION_LEVELS if bundle.manifest.scores.weighing else RESIDUAL_LEVELS)
    task = progress.add_task("pixels", total=len(known), detail="")
    for index in known:
        sample = images.samples[index]
        mask = sample.read_mask() if sample.label == 1 and sample.read_mask is not None else None
        table.add(readout.heat_map(images.tiles(index), latents[index]), mask)
        progress.advance(task)
    return _of_all_and_of_kinds(table, known, images, resampling)


def _of_all_and_of_kinds(
    table: PixelTable, known: list[int], images: LabelledImages, resampling: Resampling
) -> PixelMetrics | None:
    overall = table.metrics(images.labels[np.array(known)], resampling)
    if overall is None:
        return None
    place = {index: position for position, index in enumerate(known)}
    of_kinds = {}
    for kind, members in members_of_kinds(images.samples).items():
        judged = [int(index) for index in members if index in place]
        figures = table.part([place[index] for index in judged]).metrics(images.labels[judged], resampling)
        if figures is not None:
            of_kinds[kind] = figures
    return PixelMetrics(overall, of_kinds)
