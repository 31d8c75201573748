"""A run folder becomes a bundle: trace, check, compare with PyTorch, record, calibrate; whole or not at all.

ganspect export run --out bundle
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save

from ganspect import __version__
from ganspect.bundle import MANIFEST, open_bundle
from ganspect.config import Recipe
from ganspect.errors import ConfigError, VerificationError
from ganspect.export.deciding import decide_mode
from ganspect.export.deviations import measure_deviations
from ganspect.export.formulas import Deployed, Formulas, compose
from ganspect.export.graphs import Sizes, graph_builders
from ganspect.export.parity import TOLERANCES, Figures, ParityCheck
from ganspect.export.precision.proving import prove, require_provable
from ganspect.export.reference import ReferenceSearch
from ganspect.export.variants import EXACT_FORMS, check_forms, file_name, find_forms, write_forms
from ganspect.export.weights import WEIGHTS, WeightFile
from ganspect.files import new_folder, require_replaceable, require_writable, sha256_of, write_atomically
from ganspect.progress import print_warning
from ganspect.records import (
    BackboneRecord,
    CalibrationRecord,
    GraphRecord,
    ImageRecord,
    LatentRecord,
    Manifest,
    ModeRecord,
    Precision,
    ScoreRecord,
    SearchRecord,
)
from ganspect.runtime.calibration import calibrate, statistics_frames
from ganspect.runtime.normal_images import NamedFrame
from ganspect.scoring import SCORES, find_score, in_order
from ganspect.train.latents import LatentLayout
from ganspect.train.run import Run, load_run
from ganspect.train.system import System

STARTS = "starts.safetensors"
N_STARTS = 64
"""Random start latents stored in every bundle, beside the prior that they are of; searches use the first `restarts`."""


def export_run(
    run_folder: Path,
    out: Path,
    false_alarm_rate: float | None = None,
    precisions: Sequence[Precision] = (),
    *,
    system_type: type[System] | None = None,
) -> None:
    """Export and calibrate a finished run; print what was written.

    Args:
        run_folder: folder that `ganspect train` wrote.
        out: the bundle's folder; an older bundle there is replaced when the new one is whole.
        false_alarm_rate: share of normal images that may be flagged; None: 1%, or the least that the held-out images
            support.
        precisions: precisions to prove on the backends that are installed here; for int8 graphs are quantized.
        system_type: a system that is not in `ganspect.train.systems.SYSTEMS`.

    Raises:
        RunError: the run is unfinished or damaged, or its data moved.
        VerificationError: a graph does not compute what PyTorch computes, or a precision changes verdicts.
        ConfigError: a precision that is unknown, that this system cannot have, or that nothing here runs.
        CalibrationError: too few held-out images for the rate.
        OutputError: `out` cannot be written or holds something else.
    """
    console = Console(stderr=True)
    require_replaceable(out, marker=MANIFEST)
    require_writable(out.parent)
    run = load_run(run_folder, system_type=system_type)
    require_provable(precisions, run.system)
    held_out = [(sample.name, frame) for sample, frame in run.held_out()]
    with console.status("measuring the terms of sums of scores"):
        run.system.score_deviations = measure_deviations(run.system, held_out)
    with new_folder(out, what=MANIFEST) as folder:
        with console.status("tracing the graphs, gradient and search loop included"):
            write_graphs(run.system, run.recipe, folder)
        with console.status("comparing the graphs with PyTorch"):
            figures = check_parity(run.system, run.recipe, folder)
        write_manifest(run, folder, figures)
        calibration = calibrate(folder, held_out, false_alarm_rate, f"held out of {run.training.source}")
        mode = _decide(folder, run, held_out)
        if precisions:
            prove(folder, precisions, statistics_frames(open_bundle(folder), held_out))
    _print_summary(out, figures, calibration, mode)
    _print_warnings(run)


def _decide(folder: Path, run: Run, held_out: Sequence[NamedFrame]) -> ModeRecord | None:
    """Let drawn defects decide between search and encoder where the recipe says so, and write it into the manifest."""
    if run.recipe.mode != "auto":
        return None
    bundle = open_bundle(folder)
    found = decide_mode(folder, statistics_frames(bundle, held_out), run.recipe.seed)
    manifest = bundle.manifest.model_copy(update={"mode": found.mode, "mode_choice": found})
    write_atomically(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
    return found


def write_graphs(system: System, recipe: Recipe, folder: Path) -> None:
    """Trace every graph of a system and write them, their common weights and the random starts."""
    formulas = _formulas(system, recipe)
    weights = WeightFile()
    for name, build in graph_builders(formulas, sizes_of(recipe)).items():
        model = build()
        _check(name, model)
        weights.take_out(model)
        onnx.save(model, folder / file_name(name))
        write_forms(name, model, folder)
    weights.write(folder)
    check_forms(folder)
    random = np.random.default_rng(recipe.seed)
    normal = random.standard_normal((N_STARTS, system.latent.size))
    mean, deviation = system.latent_mean.numpy(), system.latent_deviation.numpy()
    starts = (mean + normal * deviation).astype(np.float32)
    write_atomically(folder / STARTS, save({"latent": starts, "mean": mean, "deviation": deviation}))


def check_parity(system: System, recipe: Recipe, folder: Path) -> Figures:
    """Compare the graphs in a folder with PyTorch; see `ParityCheck.run`."""
    reference = ReferenceSearch(system, search_record(recipe), recipe.score.search)
    figures: Figures = {}
    for form in (None, *EXACT_FORMS):
        figures |= ParityCheck(folder, reference, sizes_of(recipe), recipe.score.encoder, form=form).run()
    return figures


def write_manifest(run: Run, folder: Path, parity: Figures) -> None:
    """Record what was written, with the hash of every file."""
    files = sorted(path.name for path in folder.iterdir())
    manifest = Manifest(
        ganspect_version=__version__,
        system=run.system.name,
        mode="encoder" if run.recipe.mode == "auto" else run.recipe.mode,
        image=_image_record(run.recipe),
        backbone=_backbone_record(run.system, run.recipe),
        latent=latent_record(run.system),
        search=search_record(run.recipe),
        scores=_score_record(run.system, run.recipe),
        graphs={path.stem: _graph_record(path) for path in sorted(folder.glob("*.onnx")) if "." not in path.stem},
        sha256={name: sha256_of(folder / name) for name in files},
        parity=dict(parity),
        training=run.training,
        health=run.health,
        choice=run.choice,
        recipe=run.recipe.model_dump(mode="json"),
        versions=_versions(),
    )
    write_atomically(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())


def latent_record(system: System) -> LatentRecord:
    """Return a system's latent space as the manifest holds it."""
    scale = float(system.latent_deviation.square().mean().sqrt())
    grid_hw = system.latent.grid_hw if system.latent.is_map else None
    return LatentRecord(size=system.latent.size, grid_hw=grid_hw, scale=scale)


def search_record(recipe: Recipe) -> SearchRecord:
    """Return the recipe's search as the manifest holds it."""
    return SearchRecord(**recipe.search.model_dump())


def sizes_of(recipe: Recipe) -> Sizes:
    """Return the sizes that are fixed in the graphs."""
    return Sizes(recipe.image.size_hw, recipe.image.channels, LatentLayout.of(recipe).size)


def _formulas(system: System, recipe: Recipe) -> Formulas:
    if recipe.search.restarts > N_STARTS:
        raise ConfigError(
            f"search.restarts is {recipe.search.restarts}, at most {N_STARTS} starts are stored; lower it"
        )
    return compose(system, search_record(recipe), recipe.score.search, recipe.score.encoder)


def _check(name: str, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise VerificationError(
            f"the graph {name!r} is not valid ONNX ({error}); report this with the recipe"
        ) from error


def _image_record(recipe: Recipe) -> ImageRecord:
    image = recipe.image
    order: Any = "grey" if image.channels == 1 else "rgb"
    return ImageRecord(
        size_hw=image.size_hw,
        channels=image.channels,
        colour_order=order,
        bits=image.bits,
        fit=image.fit,
        overlap=image.overlap,
    )


def _backbone_record(system: System, recipe: Recipe) -> BackboneRecord | None:
    if system.representation is None or recipe.backbone is None:
        return None
    return BackboneRecord(
        name=recipe.backbone.name,
        layers=system.representation.backbone.layers,
        channels=system.representation.channels,
        grid_hw=system.representation.grid_hw,
        size_bytes=4 * sum(values.numel() for values in system.representation.parameters()),
        weights_sha256=system.representation.backbone.weights_sha256,
    )


def _score_record(system: System, recipe: Recipe) -> ScoreRecord:
    deployed = Deployed.by(system, recipe.score.search, recipe.score.encoder)
    can = (name for name in SCORES if system.can_score(name, recipe))
    return ScoreRecord(
        search=deployed.search,
        encoder=deployed.encoder,
        paper=system.paper_score,
        formulas={name: find_score(name).formula for name in in_order({*can, *deployed.names})},
        feature_weight=recipe.score.feature_weight,
        alpha=recipe.score.alpha,
        kappa=recipe.score.kappa,
        needs_pixel_statistics=deployed.needs_pixel_statistics,
        scale=recipe.score.scale,
        weighing=recipe.score.weighing,
        share=recipe.score.share,
        relative=recipe.score.relative,
        deviations=dict(system.score_deviations),
    )


def _graph_record(path: Path) -> GraphRecord:
    graph = onnx.load(path, load_external_data=False).graph
    return GraphRecord(
        file=path.name,
        inputs=[value.name for value in graph.input],
        outputs=[value.name for value in graph.output],
        variants=find_forms(path.stem, path.parent),
    )


def _versions() -> dict[str, str]:
    packages = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


_COMPARED = {
    "function": "outputs of generator, encoder, features; residuals",
    "score": "anomaly scores",
    "gradient_median": "gradient of the search loss, median row",
    "gradient_worst": "gradient of the search loss, worst row",
    "latent": "latent after an Adam step, in learning rates",
    "free_run": "best score of a search of 20 iterations",
    "pixels": "share of reconstruction pixels off by 2 grey levels",
}


def _print_summary(out: Path, figures: Figures, calibration: CalibrationRecord, mode: ModeRecord | None) -> None:
    table = Table("ONNX against PyTorch, fresh inputs, batch 1 and 5", "largest difference", "allowed")
    for kind, compared in _COMPARED.items():
        values = [value for name, value in figures.items() if name.endswith(f": {kind}")]
        table.add_row(compared, f"{max(values):.1e}", f"{TOLERANCES[kind]:.0e}")
    console = Console()
    console.print(table)
    size_mb = (out / WEIGHTS).stat().st_size / 1e6
    threshold = calibration.search
    console.print(
        f"{out}: weights {size_mb:.1f} MB; search threshold {threshold.value:.5g} from {threshold.n} held-out normal "
        f"images: at most {threshold.false_alarm_rate:.1%} of normal frames flagged "
        f"(95% limit {threshold.upper_limit_95:.1%})\n{_mode_sentence(mode)}"
        f"next: ganspect evaluate {out} DATA --out REPORT   or   ganspect screen {out} SOURCE --out OUT",
        highlight=False,
    )


def _mode_sentence(mode: ModeRecord | None) -> str:
    if mode is None or mode.low is None:
        return ""
    return (
        f"verdicts come from the {mode.mode}: on {mode.drawn} drawn defects and {mode.images} normal images the "
        f"encoder alone has an AUROC of {mode.encoder_auroc:.3f}, the search {mode.search_auroc:.3f} (difference "
        f"{mode.low:+.3f} to {mode.high:+.3f})\n"
    )


def _print_warnings(run: Run) -> None:
    for sentence in run.health.warnings:
        print_warning(f"training: {sentence}")
