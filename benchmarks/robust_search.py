"""Which loss should the latent search descend, so that a defect does not drag the latent along? Drawn defects say.

    python benchmarks/robust_search.py --data DATA --out benchmarks/results
    python benchmarks/robust_search.py --only aliens --run RUN      # a run that is trained already
    python benchmarks/detection.py --page                           # with the table of what was found

Trains `configs/fanogan_features.yaml` once for each data set, exports it with each of `LOSSES`, and lets encoder and
search judge all held-out normal images and the same with defects drawn on them, as `ganspect.export.deciding` does: no
label of a test set has a say. The bundles differ in their recipes' `search` section alone, so the encoder's figure is
one. No threshold takes part, so that the images it would be taken from can be judged too. Writes robust_search.json.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from drawn_sets import ROOT, SOURCES, asked_for, compare, parser_of

from ganspect.errors import ConfigError
from ganspect.export.deciding import Judged, judge, paired_interval
from ganspect.export.exporter import export_run
from ganspect.scoring import auroc
from ganspect.sections import read_yaml
from ganspect.train.fit import train_recipe
from ganspect.train.folder import RunFolder
from ganspect.train.run import load_run

RECIPE = "configs/fanogan_features.yaml"

LOSSES = {
    "absolute": ["search.residual=absolute"],
    "huber, δ 0.1": ["search.residual=huber", "search.huber_delta=0.1"],
    "huber, δ 1": ["search.residual=huber", "search.huber_delta=1"],
    "trimmed by 5%": ["search.residual=trimmed", "search.trimmed_share=0.05"],
    "trimmed by 20%": ["search.residual=trimmed", "search.trimmed_share=0.2"],
    "weighed, δ 0.1": ["search.residual=weighed", "search.huber_delta=0.1"],
    "weighed, δ 1": ["search.residual=weighed", "search.huber_delta=1"],
}
"""What each search has on top of the recipe; the others are compared with the first."""


def judged_by(run: Path, settings: Sequence[str], work: Path) -> Judged:
    """Export a run with other settings of the search, and let its bundle judge drawn defects.

    Args:
        run: a run folder of `ganspect train`; it is not changed.
        settings: `section.key=value` on top of its recipe.
        work: an empty folder for the copy and the bundle.
    """
    copy, bundle = RunFolder(work / "run"), work / "bundle"
    copy.path.mkdir()
    for path in (RunFolder(run).record, RunFolder(run).weights):
        shutil.copy(path, copy.path)
    # Export would else let drawn defects decide once more.
    changed = read_yaml(RunFolder(run).config, ["mode=search", *settings])
    copy.config.write_text(yaml.safe_dump(changed), encoding="utf-8")
    export_run(copy.path, bundle)
    opened = load_run(copy.path)
    found = judge(bundle, [frame for _, frame in opened.held_out()], opened.recipe.seed)
    if "encoder" not in found.scores:
        raise ConfigError(f"{run} has no encoder to compare the search with; give a run of a system that has one")
    return found


def compare_losses(run: Path, more: Sequence[str], losses: Mapping[str, Sequence[str]] = LOSSES) -> dict[str, Any]:
    """Return what drawn defects say of each loss for one run.

    Args:
        run: a run folder of `ganspect train`.
        more: settings of every search, `section.key=value`.
        losses: settings of each loss by its name, as in `LOSSES`.

    Returns:
        `training_steps`: of the run, by stage; `settings`: `more`; `images`, `drawn`: how many; `encoder`: its AUROC;
        `searches`: by the loss's name its `auroc` and the paired 95% intervals of what it is over the encoder
        (`less_encoder`) and over the first loss (`less_first`).
    """
    found: dict[str, Judged] = {}
    for name, settings in losses.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = judged_by(run, [*more, *settings], Path(folder))
        print(f"{name}: {auroc(*found[name].scores['search']):.4f}", flush=True)
    first = next(iter(found.values()))
    encoder, plain = first.scores["encoder"], first.scores["search"]
    return {
        "training_steps": load_run(run).training.steps,
        "settings": list(more),
        "images": len(encoder[0]),
        "drawn": len(encoder[1]),
        "encoder": auroc(*encoder),
        "searches": {
            name: {
                "auroc": auroc(*judged.scores["search"]),
                "less_encoder": paired_interval(judged.scores["search"], encoder, judged.source),
                "less_first": paired_interval(judged.scores["search"], plain, judged.source),
            }
            for name, judged in found.items()
        },
    }


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = parser_of("Compare losses of the latent search by drawn defects.")
    parser.add_argument("--run", type=Path, metavar="DIR", help="a trained run of the data set that --only names")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every search")
    given = parser.parse_args(arguments)

    def measure(name: str, source: str) -> dict[str, Any]:
        print(name, flush=True)
        if given.run is not None:
            if len(asked_for(given.only)) > 1:
                raise ConfigError(f"--run is of one data set, --only {given.only!r} names several; name it whole")
            return compare_losses(given.run, given.set)
        with tempfile.TemporaryDirectory() as folder:
            run = train_recipe(ROOT / RECIPE, [f"data.source={source}", *SOURCES[name]], Path(folder) / "run")
            return compare_losses(run, given.set)

    return compare("robust_search", given, measure, recipe=RECIPE, losses=LOSSES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
