"""What stands in the columns of docs/results.md: results grouped by recipe, and a cell of text from each group."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

Result = dict[str, Any]


def groups_of(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results of each recipe together; one on several unrelated sources is a group each."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((source_of(result), title_of(result)), []).append(result)
    return [groups[key] for key in sorted(groups)]


def source_of(result: Result) -> str:
    """Return its data set; the same for all classes of one whose classes take turns as the normal or anomalous one."""
    name, _, which = result["data"].partition(":")
    return str(name if which.removeprefix("not-").isdigit() else result["data"])


def title_of(result: Result) -> str:
    """Return the name of its recipe."""
    return str(Path(result["recipe"]).stem)


def data_of(group: Sequence[Result]) -> list[str]:
    """Return the data sets of a group, each once."""
    return list(dict.fromkeys(result["data"] for result in group))


def image(path: str, metric: str) -> Callable[[Result], float | None]:
    """Return a function that finds `image.METRIC.value` under a dotted path."""

    def find(result: Result) -> float | None:
        place: Any = result
        for key in path.split("."):
            place = place.get(key) if place is not None else None
        return None if place is None or place.get("image") is None else place["image"][metric]["value"]

    return find


def mode_of(result: Result) -> str:
    """Return the mode that the bundle was measured in."""
    return str(result["mode"])


def deployed(result: Result, metric: str) -> float:
    """Return a figure of images in the mode that the bundle was measured in."""
    value: float = result["systems"][mode_of(result)]["image"][metric]["value"]
    return value


def glance(results: Sequence[Result], systems: Sequence[str]) -> list[str]:
    """Return the deployed AUROC of each system by its name in recipes, then what stands beside them.

    That is the PCA of the same size and score, where it is the same one for all systems; PCA; and mean intensity.
    """

    def own(system: str) -> str:
        return spread([result for result in results if result["system"] == system], lambda one: deployed(one, "auroc"))

    alike = [_like_pca(result) for result in results]
    one = None not in alike and len({(pca["components"], pca["name"]) for pca in alike if pca is not None}) == 1
    beside = (image("pca", "auroc"), image("mean_intensity", "auroc"))
    return [
        *map(own, systems),
        spread(results, like_pca_auroc) if one else "–",
        *(spread(results, of) for of in beside),
    ]


def kind_figures(group: Sequence[Result], kind: str) -> str:
    """Return `0.912, 43.0% found, pixels 0.871`: one kind of defect over a group's seeds."""
    found = [result["kinds"][kind] for result in group if kind in result.get("kinds", {})]
    if not found:
        return "–"
    hits, images = (sum(one["at_threshold"][key] for one in found) for key in ("detections", "n_anomalous"))
    text = f"{mean(one['image']['auroc']['value'] for one in found):.3f}, {hits / images:.1%} found"
    pixel = [one["pixel"]["auroc"]["value"] for one in found if one["pixel"]]
    return f"{text}, pixels {mean(pixel):.3f}" if pixel else text


def _bold(text: str, group: Sequence[Result], mode: str) -> str:
    """Return the figure of a mode, bold if the suite deploys it."""
    return f"**{text}**" if mode_of(group[0]) == mode else text


def spread(group: Sequence[Result], of: Callable[[Result], float | None]) -> str:
    """Return the mean over data sets and seeds, ± the deviation between the seeds' means."""
    values: dict[int, list[float]] = {}
    for result in group:
        if (value := of(result)) is not None:
            values.setdefault(result["seed"], []).append(value)
    means = [mean(of_seed) for of_seed in values.values()]
    if not means:
        return "–"
    return f"{mean(means):.3f}" + (f" ± {stdev(means):.3f}" if len(means) > 1 else "")


def which(group: Sequence[Result]) -> str:
    """Return the data of a group in words."""
    data = data_of(group)
    return data[0] if len(data) == 1 else f"{data[0].partition(':')[0]}, mean of {len(data)}"


def _seconds(group: Sequence[Result]) -> str:
    return f"{mean(result['training']['seconds'] for result in group):.0f} s"


def _versus_like_pca(group: Sequence[Result]) -> str:
    """Return by how much the deployed score is over that of a PCA of the bundle's size, where that was measured."""
    found = [same["delta"] for result in group if (same := _like_pca(result)) is not None]
    if not found or len(found) < len(group):
        return "–"
    above, below = sum(delta["low"] > 0 for delta in found), sum(delta["high"] < 0 for delta in found)
    return f"{mean(delta['value'] for delta in found):+.3f} ({above} above, {below} below, of {len(found)})"


def _like_pca(result: Result) -> dict[str, Any] | None:
    same: dict[str, Any] | None = (result["pca"] or {}).get("deployed_score")
    return same


def like_pca_auroc(result: Result) -> float | None:
    """Return the AUROC of a PCA as large as the bundle's latent under its own score, where that was measured."""
    same = _like_pca(result)
    return None if same is None else same["image"]["auroc"]["value"]


def _promised(group: Sequence[Result]) -> str:
    """Return the promised rate of false alarms, and in how many runs chance does not explain those that came."""
    points = [result["at_threshold"] for result in group]
    text = f"{mean(point['promised_rate'] for point in points):.1%}"
    broken = sum(point["promise_kept"] is False for point in points)
    return f"{text}, **broken** in {broken} of {len(points)}" if broken else text


def _counted(group: Sequence[Result], hits: str, of: str) -> str:
    points = [result["at_threshold"] for result in group]
    found, images = sum(point[hits] for point in points), sum(point[of] for point in points)
    return f"{found / images:.1%}" if images else "–"


Column = Callable[[Sequence[Result]], str]

MAIN: Mapping[str, Column] = {
    "recipe": lambda group: f"`{title_of(group[0])}`",
    "data": which,
    "seeds": lambda group: str(len({result["seed"] for result in group})),
    "search AUROC": lambda group: _bold(spread(group, image("systems.search", "auroc")), group, "search"),
    "AUPRC": lambda group: spread(group, lambda result: deployed(result, "auprc")),
    "encoder AUROC": lambda group: _bold(spread(group, image("systems.encoder", "auroc")), group, "encoder"),
    "PCA, same score": lambda group: spread(group, like_pca_auroc),
    "over that PCA": _versus_like_pca,
    "PCA": lambda group: spread(group, image("pca", "auroc")),
    "mean intensity": lambda group: spread(group, image("mean_intensity", "auroc")),
    "false alarms": lambda group: _counted(group, "false_alarms", "n_normal"),
    "promised": _promised,
    "defects found": lambda group: _counted(group, "detections", "n_anomalous"),
    "training": _seconds,
}

PIXEL: Mapping[str, Column] = {
    "recipe": lambda group: f"`{title_of(group[0])}`",
    "data": which,
    "pixel AUROC": lambda group: spread(group, lambda result: _pixel(result, "auroc")),
    "AUPRO": lambda group: spread(group, lambda result: _pixel(result, "aupro")),
}


FEATURE_BASELINES = ("pca_features", "padim", "patchcore")


def over_baseline(name: str) -> Column:
    """Return a column: AUROC of a simple detector on the same features, and by how much the bundle is over it."""

    def cell(group: Sequence[Result]) -> str:
        found = [result["baselines"].get(name) for result in group]
        deltas = [one["delta"] for one in found if one is not None and one["delta"] is not None]
        if not deltas:
            return "–"
        above, below = sum(delta["low"] > 0 for delta in deltas), sum(delta["high"] < 0 for delta in deltas)
        own = spread(group, lambda result: result["baselines"][name]["image"]["auroc"]["value"])
        return (
            f"{own}; {mean(delta['value'] for delta in deltas):+.3f} ({above} above, {below} below, of {len(deltas)})"
        )

    return cell


def _baseline_pixels(name: str) -> Column:
    def cell(group: Sequence[Result]) -> str:
        found = [(result["baselines"].get(name) or {}).get("pixel") for result in group]
        known = [one for one in found if one]
        if not known:
            return "–"
        return " / ".join(f"{mean(one[metric]['value'] for one in known):.3f}" for metric in ("auroc", "aupro"))

    return cell


def _cost(name: str) -> Column:
    def cell(group: Sequence[Result]) -> str:
        found = [result["baselines"][name] for result in group if name in result["baselines"]]
        size, time_ms = (mean(one[key] for one in found) for key in ("size_bytes", "ms_an_image"))
        return f"{size / 1e6:.1f} MB, {time_ms:.0f} ms"

    return cell


def _own_cost(group: Sequence[Result]) -> str:
    size = mean(result["bundle"]["weights_bytes"] for result in group)
    return f"{size / 1e6:.1f} MB, {mean(result['deployed']['latency_ms']['p50'] for result in group):.0f} ms"


def _chosen(group: Sequence[Result]) -> str:
    """Return what drawn defects chose, each once."""
    choices = [result["bundle"]["choice"] for result in group if result["bundle"]["choice"]]
    texts = [", ".join(map(_setting, choice["settings"])) for choice in choices]
    return "; ".join(dict.fromkeys(texts)) or "–"


def _setting(setting: str) -> str:
    key, _, value = setting.partition("=")
    return {"network.latent": f"a {value} of latents", "discriminator": "no discriminator"}.get(key, value)


def _pixel_metric(metric: str) -> Callable[[Result], float | None]:
    return lambda result: _pixel(result, metric)


FEATURES: Mapping[str, Column] = {
    "recipe": lambda group: f"`{title_of(group[0])}`",
    "data": which,
    "seeds": lambda group: str(len({result["seed"] for result in group})),
    "AUROC": lambda group: f"**{spread(group, lambda result: deployed(result, 'auroc'))}** ({mode_of(group[0])})",
    "PCA, features": over_baseline("pca_features"),
    "PaDiM": over_baseline("padim"),
    "PatchCore": over_baseline("patchcore"),
    "chosen: size, weighing, share, level": _chosen,
}
"""Bundles in feature space beside simple detectors on the same features."""

FEATURE_COSTS: Mapping[str, Column] = {
    "recipe": lambda group: f"`{title_of(group[0])}`",
    "data": which,
    "bundle": _own_cost,
    **{name: _cost(name) for name in FEATURE_BASELINES},
}

FEATURE_PIXELS: Mapping[str, Column] = {
    "recipe": lambda group: f"`{title_of(group[0])}`",
    "data": which,
    "bundle": lambda group: " / ".join(spread(group, _pixel_metric(metric)) for metric in ("auroc", "aupro")),
    **{name: _baseline_pixels(name) for name in FEATURE_BASELINES},
}


def _pixel(result: Result, metric: str) -> float | None:
    figure = (result["pixel"] or {}).get(metric)
    return None if figure is None else figure["value"]
