"""The whole benchmark, from a bundle to its folder."""

import tempfile
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ganspect.bundle import Bundle, open_bundle
from ganspect.files import new_folder, require_replaceable, require_writable, write_atomically, write_json
from ganspect.progress import progress_bar
from ganspect.runtime.bench import BenchOptions
from ganspect.runtime.bench.console import print_notes, print_table
from ganspect.runtime.bench.contenders import Contenders, open_contenders
from ganspect.runtime.bench.curve import read_curve
from ganspect.runtime.bench.energy import find_meter
from ganspect.runtime.bench.environment import environment
from ganspect.runtime.bench.plan import Plan, measurements_of, read_plan, require_steps
from ganspect.runtime.bench.pool import Pool, draw_pool, read_pool
from ganspect.runtime.bench.record import Measured, record_of
from ganspect.runtime.bench.report import build_report
from ganspect.runtime.bench.rounds import measure
from ganspect.runtime.bench.sensors import state

MARKER = "bench.json"


def bench(bundle_folder: Path, out: Path, options: BenchOptions) -> dict[str, Any]:
    """Measure a bundle and write the folder; see `ganspect.runtime.bench.bench_bundle`."""
    plan = read_plan(options)
    require_replaceable(out, marker=MARKER)
    require_writable(out.absolute().parent)
    bundle = open_bundle(bundle_folder)
    steps = require_steps(bundle, options.steps)
    curve = None if options.metrics is None else read_curve(options.metrics)
    pool = draw_pool(bundle) if options.data is None else read_pool(bundle, options.data, options.data_path)
    measured = _measure(bundle, plan, steps, pool, options.against)
    content = record_of(measured)
    _write(out, content, build_report(measured, content, curve))
    print_table(content)
    print_notes(content)
    return content


def _measure(bundle: Bundle, plan: Plan, steps: int, pool: Pool, against: Path | None) -> Measured:
    meter, before = find_meter(), state()
    with tempfile.TemporaryDirectory(prefix="ganspect-bench-") as folder:
        pool.save(Path(folder))
        with open_contenders(bundle, plan, Path(folder), against) as contenders, progress_bar() as progress:
            measurements = measurements_of(
                plan.batches,
                steps,
                has_encoder="score" in bundle.manifest.graphs,
                has_anomalous=pool.anomalous is not None,
            )
            floor = _floor(contenders)
            results = measure(contenders, measurements, seconds=plan.seconds, meter=meter, progress=progress)
            return Measured(
                bundle=bundle,
                plan=plan,
                steps=steps,
                source=pool.source,
                results=results,
                contenders=contenders,
                scores=_best_scores(contenders, steps, progress),
                floor=_best_floor([*floor, *_floor(contenders)]),
                against=None if against is None else str(against),
                environment=environment(bundle, meter, before),
            )


def _floor(contenders: Contenders) -> list[dict[str, Any]]:
    return [] if contenders.floor is None else [contenders.floor.ask("floor")]


def _best_floor(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the highest rates, those at the beginning and at the end: what else runs can only lower them."""
    if not found:
        return None
    rates = {
        name: max((one["gflop_per_s"][name] for one in found if one["gflop_per_s"][name] is not None), default=None)
        for name in found[0]["gflop_per_s"]
    }
    return {**found[0], "gflop_per_s": rates}


def _best_scores(contenders: Contenders, steps: int, progress: Progress) -> dict[tuple[str, str], list[float]]:
    """Ask all for the same scores, for a ratio says nothing of a search that finds another best."""
    eager = contenders.eager
    if eager is None:
        return {}
    chosen = [eager, *(one for one in contenders.running if not one.is_reference)]
    task = progress.add_task("compare", total=len(chosen), detail="best scores")
    found = {}
    for one in chosen:
        answer = one.process.ask("best_scores", steps=steps)
        found[str(one.described["backend"]), str(one.described["precision"])] = answer["scores"]
        progress.advance(task)
    return found


def _write(out: Path, content: dict[str, Any], page: str) -> None:
    with new_folder(out, what=MARKER) as folder:
        write_atomically(folder / "index.html", page.encode())
        write_json(folder / MARKER, content)
