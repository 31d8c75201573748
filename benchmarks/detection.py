"""How well do the systems detect? Trains, exports and evaluates a suite of runs; docs/results.md is made from it.

    python benchmarks/detection.py elpv --out benchmarks/results
    python benchmarks/detection.py --page            # write docs/results.md from the committed JSON

Each run is made by the commands that a user would type, in processes of their own: `ganspect train`, `export`,
`evaluate`. What is measured is the bundle. A run that is done is not made again, and one that was interrupted goes on
where its training stopped, so start a suite again as often as you like. `--data` (or GANSPECT_DATA) names the folder
of the data files that no package brings. `--only` makes a part of a suite: several processes or machines may share one.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from rich.progress import Progress, TaskID

sys.path.insert(0, str(Path(__file__).parent))

from few_images import write_few
from results_page import PAGE, results_page
from suites import ROOT, Run, Suite, read_suites

from ganspect.config import Recipe
from ganspect.datasets import open_dataset
from ganspect.errors import ConfigError, GanspectError, OutputError
from ganspect.files import require_writable, write_atomically, write_json
from ganspect.progress import progress_bar
from ganspect.sections import nearest, read_yaml
from ganspect.train.systems import parse_recipe

KEPT = (
    *("image", "pixel", "at_threshold", "kinds"),
    *("pca", "baselines", "mean_intensity", "delta_pca", "systems", "deployed", "counts"),
)
"""Keys of metrics.json that a result holds."""


BESIDE = ("misjudged", "robust_search", "negatives", "peers")
"""Other benchmarks whose committed results the page has, in the order of `results_page`."""


class CommandError(GanspectError):
    """A command of a run failed."""


class Bench:
    """Makes the runs of a suite, one after the other."""

    def __init__(self, suite: str, out: Path, work: Path, data: Path | None, *, keep: bool) -> None:
        """Take where things go.

        Args:
            suite: its name.
            out: folder of results; each run is a file `out`/detection/SUITE/RUN.json.
            work: folder for weights, bundles and reports.
            data: folder of data files; None: files are named from the working folder.
            keep: whether weights, bundles and reports stay when a run is done.
        """
        self.suite, self.results, self.work = suite, out / "detection" / suite, work / suite
        self.data, self.keep = data, keep

    def run(self, run: Run, progress: Progress, task: TaskID) -> dict[str, Any]:
        """Make one run, or read it if it was made before; return its result."""
        path = require_writable(self.results) / f"{run.name}.json"
        if path.exists():
            return made_before(path, run)
        folder = self.work / run.name
        folder.mkdir(parents=True, exist_ok=True)
        _require_same_settings(folder / "settings.json", run)
        if run.case.images is not None:
            dataset = open_dataset(run.source(self.data), split_seed=run.seed, path=run.file(self.data))
            write_few(dataset, folder / "few", run.case.images, run.seed)
        for name, arguments in self._commands(run, folder).items():
            progress.update(task, detail=f"{run.name}: {name}")
            _call(folder, name, arguments)
        result = _result(run, folder)
        write_json(path, result)
        if not self.keep:
            shutil.rmtree(folder)
        return result

    def _commands(self, run: Run, folder: Path) -> dict[str, list[str]]:
        source, file = run.source(self.data), run.file(self.data)
        if run.case.images is not None:
            source, file = str(folder / "few"), None
        settings = [f"data.source={source}", f"data.split_seed={run.seed}", f"seed={run.seed}", *run.case.overrides]
        settings += [] if file is None else [f"data.path={file}"]
        recipe, trained, bundle, report = (
            str(path) for path in (ROOT / run.case.recipe, folder / "run", folder / "bundle", folder / "report")
        )
        evaluate = ["evaluate", bundle, source, "--out", report]
        evaluate += [] if run.case.mode == "own" else ["--mode", run.case.mode]
        evaluate += [] if file is None else ["--data-path", str(file)]
        return {
            "train": ["train", recipe, "--out", trained, *(part for text in settings for part in ("--set", text))],
            "export": ["export", trained, "--out", bundle],
            "evaluate": evaluate,
        }


def settings_of(run: Run) -> dict[str, Any]:
    """Return what a result says of how it was made, beside data and seed, which are in its name.

    The hash is of the recipe with every default and override, without data and seed.
    """
    case = run.case
    recipe = parse_recipe(read_yaml(ROOT / case.recipe, list(case.overrides)), case.recipe)
    content = recipe.model_dump_json(exclude={**_NOT_HASHED, **_later_settings(recipe)})
    digest = sha256(content.encode()).hexdigest()
    mode: dict[str, Any] = {"asked_mode": "own"} if case.mode == "own" else {"mode": case.mode}
    few = {} if case.images is None else {"images": case.images}
    return {"recipe": str(case.recipe), "overrides": list(case.overrides), **few, **mode, "recipe_sha256": digest}


_NOT_HASHED: Mapping[str, Any] = {"seed": True, "data": {"source", "path", "split_seed"}}


def _later_settings(recipe: Recipe) -> dict[str, Any]:
    """Return settings that came when results were there already, where they change nothing: those stay comparable."""
    later: dict[str, Any] = {}
    if recipe.search.residual == "absolute":
        later["search"] = {"residual", "huber_delta", "trimmed_share"}
    if recipe.backbone is None and recipe.score.weighing is None:
        later |= {"mode": True, "backbone": True, "choice": True, "score": {"weighing", "share", "relative"}}
    if recipe.discriminator is None:
        later |= {"discriminator": True}
    if recipe.score.relative == 0 and recipe.score.weighing is not None:
        later |= {"score": {"relative"}}
    if recipe.choice is not None and not recipe.choice.latents and not any(recipe.choice.relatives):
        later |= {"choice": {"latents", "relatives"}}
    if recipe.network.latent == "vector" and not (recipe.choice and recipe.choice.latents):
        later |= {"network": {"latent", "latent_stride"}}
    return later


def made_before(path: Path, run: Run) -> dict[str, Any]:
    """Read a result.

    Raises:
        OutputError: it is none, or was made with other settings than the suite and its recipe have now.
    """
    now = settings_of(run)
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = all(result[key] == value for key, value in now.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OutputError(f"{path} is not a result of this benchmark; delete it, and the run is made again") from None
    if not same:
        raise OutputError(
            f"{path} was made with other settings than the suite and its recipe have now; delete it to make it again"
        )
    return result


def _require_same_settings(path: Path, run: Run) -> None:
    """Write down the settings of a run that begins; one that goes on must have the same."""
    begun = any(path.parent.iterdir())
    if begun and (not path.exists() or path.read_text(encoding="utf-8") != json.dumps(settings_of(run))):
        raise OutputError(f"{path.parent} was begun with other settings than the suite has now; delete the folder")
    write_atomically(path, json.dumps(settings_of(run)).encode())


def _call(folder: Path, name: str, arguments: list[str]) -> None:
    """Run a command, unless it was finished before; its output goes into a file, its time into another."""
    done, seconds = folder / f"{name}.done", folder / f"{name}.seconds"
    if done.exists():
        return
    begin = time.perf_counter()
    before = float(seconds.read_text(encoding="utf-8")) if seconds.exists() else 0.0
    with (folder / f"{name}.txt").open("a", encoding="utf-8") as log:
        try:
            command = [sys.executable, "-c", "from ganspect.cli import main; main()", *arguments]
            code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode
        finally:
            write_atomically(seconds, str(before + time.perf_counter() - begin).encode())
    if code:
        last = (folder / f"{name}.txt").read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise CommandError(f"'ganspect {' '.join(arguments)}' ended with status {code}: {' '.join(last)}")
    done.touch()


def _result(run: Run, folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "report/metrics.json").read_text(encoding="utf-8"))
    record = json.loads((folder / "run/run.json").read_text(encoding="utf-8"))
    recipe = yaml.safe_load((folder / "run/config.yaml").read_text(encoding="utf-8"))
    training = record["training"]
    return {
        "benchmark": "detection",
        **json.loads((folder / "settings.json").read_text(encoding="utf-8")),  # as they were when the run began
        "mode": metrics["protocol"]["mode"],
        "system": recipe["system"],
        "data": run.shown_data,
        "dataset": run.data,
        "seed": run.seed,
        "training": {
            "images": training["n_training"],
            "steps": training["steps"],
            "seconds": round(float((folder / "train.seconds").read_text(encoding="utf-8")), 1),
            "device": record["device"],
            "precision": record["precision"],
        },
        **{key: metrics[key] for key in KEPT},
        "bundle": {key: metrics["bundle"][key] for key in ("backbone", "weighing", "weights_bytes", "choice")},
        "deployed_score": {mode: recipe["score"][mode] for mode in ("search", "encoder")},
        "search": recipe["search"],
        "scores": {
            name: {"auroc": _value(score["auroc"])}
            | {where: _value(score[where]["auroc"]) for where in ("at_start", "at_last") if where in score}
            for name, score in metrics["scores"].items()
        },
        "health": metrics["bundle"]["health"],
        "environment": metrics["environment"] | {"torch": record["versions"].get("torch")},
    }


def _value(figure: dict[str, float] | None) -> float | None:
    return None if figure is None else figure["value"]


def read_results(suites: Mapping[str, Suite], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the results that there are by suite, each made as its suite says; `folder` holds SUITE/RUN.json."""

    def of_suite(name: str) -> list[dict[str, Any]]:
        paths = {folder / name / f"{run.name}.json": run for run in suites[name].runs()}
        return [made_before(path, run) for path, run in paths.items() if path.exists()]

    return {name: of_suite(name) for name in suites}


def read_committed(name: str) -> dict[str, Any] | None:
    """Return the committed result of another benchmark, such as `misjudged`, if there is one."""
    path = ROOT / f"benchmarks/results/{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def run_suite(name: str, bench: Bench, only: str = "") -> list[dict[str, Any]]:
    """Make all runs of a suite, or those with `only` in their names, and return their results."""
    every = list(read_suites()[name].runs())
    runs = [run for run in every if only in run.name]
    if not runs:
        raise ConfigError(f"no run of the suite {name} has {only!r} in its name; the first is called {every[0].name}")
    with progress_bar() as progress:
        task = progress.add_task(name, total=len(runs), detail="")
        results = []
        for run in runs:
            results.append(bench.run(run, progress, task))
            progress.update(task, advance=1, detail=_figures(results[-1]))
    return results


def _row(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("recipe", "data", "seed")} | {"auroc": _aurocs(result)}


def _figures(result: dict[str, Any]) -> str:
    return "  ".join(f"{name} {auroc:.3f}" for name, auroc in _aurocs(result).items())


def _aurocs(result: dict[str, Any]) -> dict[str, float]:
    found = dict(result["systems"]) | ({} if result["pca"] is None else {"pca": result["pca"]})
    return {name: entry["image"]["auroc"]["value"] for name, entry in found.items()}


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input, 130 when interrupted."""
    suites = read_suites()
    parser = argparse.ArgumentParser(description="Train, export and evaluate a suite of runs.")
    parser.add_argument("suite", nargs="?", metavar="SUITE", help=", ".join(suites))
    parser.add_argument("--page", action="store_true", help="write docs/results.md from the committed results")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--work", type=Path, default=ROOT / ".detection", metavar="DIR", help="for weights and bundles")
    parser.add_argument("--data", type=Path, default=os.environ.get("GANSPECT_DATA"), metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="make runs with this in their names, such as egbad")
    parser.add_argument("--keep", action="store_true", help="keep weights, bundles and reports")
    given = parser.parse_args(arguments)
    try:
        if given.suite is None and not given.page:
            raise ConfigError(f"no suite was named; give one of {', '.join(suites)}, or --page")
        if given.suite is not None and given.suite not in suites:
            raise ConfigError(f"there is no suite {given.suite!r}; {nearest(given.suite, list(suites))}")
        if given.suite is not None:
            _run_and_print(given)
        if given.page:
            folder = ROOT / "benchmarks/results/detection"
            found = results_page(suites, read_results(suites, folder), *map(read_committed, BESIDE))
            write_atomically(PAGE, found.encode())
    except GanspectError as error:
        print(f"detection: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; start the suite again and it goes on", file=sys.stderr)
        return 130
    return 0


def _run_and_print(given: argparse.Namespace) -> None:
    if given.data is not None and not given.data.is_dir():
        raise OutputError(f"the data folder {given.data} does not exist; give the one that holds the .npz files")
    require_writable(given.out)
    require_writable(given.work)
    bench = Bench(given.suite, given.out, given.work.absolute(), given.data and given.data.absolute(), keep=given.keep)
    results = run_suite(given.suite, bench, given.only)
    suite = {given.suite: read_suites()[given.suite]}
    print(results_page(suite, read_results(suite, given.out / "detection")))
    print(json.dumps({"benchmark": "detection", "suite": given.suite, "results": [_row(result) for result in results]}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
