"""bench.json: what was measured, under keys that do not change.

content = record_of(measured)
"""

from dataclasses import asdict, dataclass
from typing import Any

from ganspect.bundle import Bundle
from ganspect.runtime.bench.contenders import Contenders
from ganspect.runtime.bench.figures import Row, others_share, row_of
from ganspect.runtime.bench.measurement import STEP_SPAN
from ganspect.runtime.bench.plan import Plan
from ganspect.runtime.bench.ratios import agreement, ratios_of, share_of_floor
from ganspect.runtime.bench.rounds import PAUSE_S, ROUNDS, Result

_OVER_STEPS = ("backend", "precision", "batch", "steps", "p50_ms", "p95_ms", "peak_rss_mb", "repetitions")


@dataclass(frozen=True)
class Measured:
    """Everything that a benchmark found.

    Attributes:
        bundle: what was measured.
        plan: as asked.
        steps: K.
        source: of the images.
        results: of every measurement.
        contenders: who ran, and who did not.
        scores: best score of each tile, by backend and precision; PyTorch's too where it ran.
        floor: work and rate as PyTorch gives them; None without PyTorch.
        against: the run, as given.
        environment: of the machine.
    """

    bundle: Bundle
    plan: Plan
    steps: int
    source: str
    results: list[Result]
    contenders: Contenders
    scores: dict[tuple[str, str], list[float]]
    floor: dict[str, Any] | None
    against: str | None
    environment: dict[str, Any]

    @property
    def main_results(self) -> list[Result]:
        """Return what was measured with K iterations, without those over steps."""
        return [result for result in self.results if result.measurement.steps == self.steps]


def record_of(measured: Measured) -> dict[str, Any]:
    """Return the content of bench.json; `reference`, `ratios` and `share_of_floor` only where PyTorch ran."""
    rows = [row_of(result) for result in measured.main_results if not result.is_reference]
    content: dict[str, Any] = {
        "benchmark": "bench",
        "bundle": _bundle(measured),
        "settings": _settings(measured),
        "environment": {**measured.environment, "others_share": others_share(measured.results)},
        "rows": rows,
        "over_steps": [over_steps_row(result) for result in measured.results if result.measurement.mode == "search"],
        "left_out": measured.contenders.left_out,
        "backends": _described(measured),
    }
    if measured.against is not None:
        content |= _beside_pytorch(measured, rows)
    return content


def over_steps_row(result: Result) -> Row:
    """Return what the plot over steps needs of one measurement."""
    row = row_of(result)
    return {name: row[name] for name in _OVER_STEPS}


def _beside_pytorch(measured: Measured, rows: list[Row]) -> dict[str, Any]:
    reference = [row_of(result) for result in measured.main_results if result.is_reference]
    threshold = measured.bundle.require_calibration().search.value
    theirs = measured.scores[_reference_key(measured)]
    guarded = {_key(result): bool(result.described["guarded"]) for result in measured.results}
    compared = {
        key: agreement(scores, theirs, threshold, precision=key[1], guarded=guarded[key])
        for key, scores in measured.scores.items()
        if not key[0].startswith("pytorch")
    }
    ratios = ratios_of(rows, reference, {key: bool(found["verified"]) for key, found in compared.items()})
    named = [{"backend": key[0], "precision": key[1], **found} for key, found in compared.items()]
    content = {"reference": {"run": measured.against, "rows": reference, "agreement": named}, "ratios": ratios}
    if measured.floor:
        content["share_of_floor"] = share_of_floor([*rows, *reference], measured.floor, ratios["fastest"])
    return content


def _reference_key(measured: Measured) -> tuple[str, str]:
    return next(key for key in measured.scores if key[0].startswith("pytorch"))


def _key(result: Result) -> tuple[str, str]:
    return str(result.described["backend"]), str(result.described["precision"])


def _bundle(measured: Measured) -> dict[str, Any]:
    manifest = measured.bundle.manifest
    return {
        "folder": measured.bundle.folder.name,
        "system": manifest.system,
        "size_hw": list(manifest.image.size_hw),
        "channels": manifest.image.channels,
        "fit": manifest.image.fit,
        "latent_size": manifest.latent.size,
        "restarts": manifest.search.restarts,
        "search_score": manifest.scores.search,
        "threshold": measured.bundle.require_calibration().search.value,
        "exported_with": manifest.versions,
    }


def _settings(measured: Measured) -> dict[str, Any]:
    return {
        "steps": measured.steps,
        "batches": list(measured.plan.batches),
        "seconds": measured.plan.seconds,
        "rounds": ROUNDS,
        "pause_ms": 1e3 * PAUSE_S,
        "step_span": STEP_SPAN,
        "images": measured.source,
        "tuning": asdict(measured.plan.tuning),
    }


def _described(measured: Measured) -> list[dict[str, Any]]:
    names = ("backend", "precision", "version", "device", "guarded")
    seen = {_key(result): result.described for result in measured.results}
    return [{name: one[name] for name in names} for one in seen.values()]
