"""docs/results.md, made from the committed results of benchmarks/detection.py; nobody edits that page.

python benchmarks/detection.py --page
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from suites import ROOT, Suite

PAGE = ROOT / "docs/results.md"
Result = dict[str, Any]

_HEAD = """# Detection: what the systems reach

Made by `python benchmarks/detection.py --page` from `benchmarks/results/detection/`; do not edit. Each figure is of a
bundle, as deployed, on images that neither training nor calibration saw. **No setting, step or score was chosen by the
labels of these runs**: recipes were developed on split seeds 0 and 1, which no table here uses, on images held out of
the training set, or on drawn defects, as each section says. AUROC of images, mean ± standard deviation over seeds.

Beside every system stand *PCA* (up to 256 components of all normal training images, those held out for calibration too;
mean of the largest 1% of the residual), *PCA alike* (as many components as the bundle's latent has dimensions, by the
bundle's own score: what a system has over it is due to its networks and its search, all else to score and size) and
*mean intensity* (in whichever direction is better, so in hindsight). A run is clearly over PCA where the paired 95%
interval of the difference is above 0. False alarms and defects found are at the threshold from held-out normal images.
"""


def results_page(suites: Mapping[str, Suite], folder: Path) -> str:
    """Return the page as Markdown.

    Args:
        suites: to show, those that are published.
        folder: holds SUITE/RUN.json.
    """
    sections = [_section(name, suite, _read(name, suite, folder)) for name, suite in suites.items() if suite.published]
    return "\n".join([_HEAD, *(section for section in sections if section)])


def _read(name: str, suite: Suite, folder: Path) -> list[Result]:
    paths = [folder / name / f"{run.name}.json" for run in suite.runs()]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def _section(name: str, suite: Suite, results: list[Result]) -> str:
    if not results:
        return ""
    asked = len(list(suite.runs()))
    parts = [f"## {suite.title}\n", f"{suite.about}\n", f"    python benchmarks/detection.py {name}\n"]
    if len(results) < asked:
        parts.append(f"{len(results)} of the suite's {asked} runs are made so far.\n")
    parts += [f"On top of {names}: {settings}.\n" for settings, names in _settings(results).items()]
    parts.append(_table(_MAIN, _groups(results)))
    if any(len(_data_of(group)) > 1 for group in _groups(results)):
        parts += ["Data set by data set, the search's AUROC (for a bundle in encoder mode, the encoder's):\n"]
        parts.append(_by_data(results))
    parts += ["Each score, at the best latent of the search (at the encoder's start); the deployed one is bold:\n"]
    parts.append(_scores(results))
    if any(result["pixel"] for result in results):
        parts += ["Where masks exist, how well the heat map finds the place:\n", _table(_PIXEL, _groups(results))]
    parts.append(_reported(suite))
    parts.append(_footer(results))
    return "\n".join(part for part in parts if part)


def _settings(results: Sequence[Result]) -> dict[str, str]:
    """Return what was set on top of recipes, with the recipes that it was set on, both as Markdown."""
    found: dict[str, list[str]] = {}
    for result in results:
        if result["overrides"]:
            titles = found.setdefault(", ".join(f"`{setting}`" for setting in result["overrides"]), [])
            if (title := f"`{_title(result)}`") not in titles:
                titles.append(title)
    return {settings: ", ".join(titles) for settings, titles in found.items()}


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of each recipe together; one on several unrelated sources is a group each."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        name, _, which = result["data"].partition(":")
        kind = name if which.removeprefix("not-").isdigit() else result["data"]
        groups.setdefault((kind, _title(result)), []).append(result)
    return [groups[key] for key in sorted(groups)]


def _title(result: Result) -> str:
    return str(Path(result["recipe"]).stem)


def _data_of(group: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result["data"] for result in group))


def _image(path: str, metric: str) -> Callable[[Result], float | None]:
    """Return a function that finds `image.METRIC.value` under a dotted path."""

    def find(result: Result) -> float | None:
        place: Any = result
        for key in path.split("."):
            place = place.get(key) if place is not None else None
        return None if place is None or place.get("image") is None else place["image"][metric]["value"]

    return find


def _spread(group: Sequence[Result], of: Callable[[Result], float | None]) -> str:
    """Return the mean over data sets and seeds, ± the deviation between the seeds' means."""
    values: dict[int, list[float]] = {}
    for result in group:
        if (value := of(result)) is not None:
            values.setdefault(result["seed"], []).append(value)
    means = [mean(of_seed) for of_seed in values.values()]
    if not means:
        return "–"
    return f"{mean(means):.3f}" + (f" ± {stdev(means):.3f}" if len(means) > 1 else "")


def _which(group: Sequence[Result]) -> str:
    data = _data_of(group)
    return data[0] if len(data) == 1 else f"{data[0].partition(':')[0]}, mean of {len(data)}"


def _seconds(group: Sequence[Result]) -> str:
    return f"{mean(result['training']['seconds'] for result in group):.0f} s"


def _versus_pca(group: Sequence[Result]) -> str:
    found = [result["delta_pca"] for result in group if result["delta_pca"] is not None]
    if not found:
        return "–"
    above = sum(delta["low"] > 0 for delta in found)
    return f"{mean(delta['value'] for delta in found):+.3f} ({above} of {len(found)} runs clearly)"


def _versus_like_pca(group: Sequence[Result]) -> str:
    """Return by how much the deployed score is over that of a PCA of the bundle's size, where that was measured."""
    found = [same["delta"] for result in group if (same := _like_pca(result)) is not None]
    if not found or len(found) < len(group):
        return "–"
    above, below = sum(delta["low"] > 0 for delta in found), sum(delta["high"] < 0 for delta in found)
    return f"{mean(delta['value'] for delta in found):+.3f} ({above} above, {below} below, of {len(found)})"


def _like_pca(result: Result) -> dict[str, Any] | None:
    same: dict[str, Any] | None = (result["pca"] or {}).get("deployed_score")
    return same if same is not None and "components" in same else None  # older results had another size


def _like_pca_auroc(result: Result) -> float | None:
    same = _like_pca(result)
    return None if same is None else same["image"]["auroc"]["value"]


def _counted(group: Sequence[Result], hits: str, of: str) -> str:
    points = [result["at_threshold"] for result in group]
    found, images = sum(point[hits] for point in points), sum(point[of] for point in points)
    return f"{found / images:.1%}" if images else "–"


_Column = Callable[[Sequence[Result]], str]

_MAIN: Mapping[str, _Column] = {
    "recipe": lambda group: f"`{_title(group[0])}`",
    "data": _which,
    "seeds": lambda group: str(len({result["seed"] for result in group})),
    "search AUROC": lambda group: f"**{_spread(group, _image('systems.search', 'auroc'))}**",
    "AUPRC": lambda group: _spread(group, _image("systems.search", "auprc")),
    "encoder AUROC": lambda group: _spread(group, _image("systems.encoder", "auroc")),
    "PCA": lambda group: _spread(group, _image("pca", "auroc")),
    "PCA alike": lambda group: _spread(group, _like_pca_auroc),
    "mean intensity": lambda group: _spread(group, _image("mean_intensity", "auroc")),
    "over PCA": _versus_pca,
    "over PCA alike": _versus_like_pca,
    "false alarms": lambda group: _counted(group, "false_alarms", "n_normal"),
    "promised": lambda group: f"{mean(result['at_threshold']['promised_rate'] for result in group):.1%}",
    "defects found": lambda group: _counted(group, "detections", "n_anomalous"),
    "training": _seconds,
}

_PIXEL: Mapping[str, _Column] = {
    "recipe": lambda group: f"`{_title(group[0])}`",
    "data": _which,
    "pixel AUROC": lambda group: _spread(group, lambda result: _pixel(result, "auroc")),
    "AUPRO": lambda group: _spread(group, lambda result: _pixel(result, "aupro")),
}


def _pixel(result: Result, metric: str) -> float | None:
    figure = (result["pixel"] or {}).get(metric)
    return None if figure is None else figure["value"]


def _table(columns: Mapping[str, _Column], groups: Sequence[Sequence[Result]]) -> str:
    return _markdown(list(columns), [[cell(group) for cell in columns.values()] for group in groups])


def _by_data(results: Sequence[Result]) -> str:
    titles = list(dict.fromkeys(_title(result) for result in results))
    data = sorted({result["data"] for result in results})

    def cell(title: str, source: str) -> str:
        chosen = [result for result in results if _title(result) == title and result["data"] == source]
        return _spread(chosen, _image("systems.search", "auroc"))

    def pca(source: str) -> str:
        return _spread([result for result in results if result["data"] == source], _image("pca", "auroc"))

    rows = [[source, *(cell(title, source) for title in titles), pca(source)] for source in data]
    return _markdown(["data", *(f"`{title}`" for title in titles), "PCA"], rows)


def _scores(results: Sequence[Result]) -> str:
    groups = _groups(results)
    names = list(dict.fromkeys(name for result in results for name in result["scores"] if name != "encoder"))

    def cell(group: Sequence[Result], name: str) -> str:
        if all(result["scores"].get(name) is None for result in group):
            return "–"
        best = _short([_score(result, name, "auroc") for result in group])
        start = _short([_score(result, name, "at_start") for result in group])
        text = f"**{best}**" if group[0]["deployed_score"]["search"] == name else best
        return f"{text} ({start})"

    heads = [f"`{_title(group[0])}`, {_which(group)}" for group in groups]
    return _markdown(["score", *heads], [[f"`{name}`", *(cell(group, name) for group in groups)] for name in names])


def _score(result: Result, name: str, where: str) -> float | None:
    value: float | None = (result["scores"].get(name) or {}).get(where)
    return value


def _short(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f}" if known else "–"


def _reported(suite: Suite) -> str:
    if not suite.reported:
        return ""
    rows = [
        [
            entry.system,
            entry.data,
            "–" if entry.auroc is None else f"{entry.auroc:.3f}",
            "–" if entry.auprc is None else f"{entry.auprc:.3f}",
            entry.source,
        ]
        for entry in suite.reported
    ]
    return "Reported by others, not measured here:\n\n" + _markdown(
        ["system", "data", "AUROC", "AUPRC", "source"], rows
    )


def _footer(results: Sequence[Result]) -> str:
    machines = {
        f"{result['environment']['processor']}, {_cores(result['environment']['cores'])}, "
        f"{result['training']['precision']} on {result['training']['device']}"
        for result in results
    }
    images = sorted({result["counts"]["normal"] + result["counts"]["anomalous"] for result in results})
    tested = f"{images[0]}" if len(images) == 1 else f"{images[0]} to {images[-1]}"
    lines = [f"Tested on {tested} images a run. Trained on: {'; '.join(sorted(machines))}.\n"]
    for result in results:
        for warning in result.get("health", {}).get("warnings", []):
            lines.append(f"- `{_title(result)}`, {result['data']}, seed {result['seed']}: {warning}\n")
    return "\n".join(lines)


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"
