"""docs/results.md, made from the committed results of benchmarks/detection.py; nobody edits that page.

python benchmarks/detection.py --page
"""

from collections.abc import Mapping, Sequence
from statistics import mean

from columns import (
    FEATURE_COSTS,
    FEATURE_PIXELS,
    FEATURES,
    MAIN,
    PIXEL,
    Column,
    Result,
    data_of,
    deployed,
    glance,
    groups_of,
    image,
    kind_figures,
    mode_of,
    source_of,
    spread,
    title_of,
    which,
)
from peers_page import peers_section
from suites import ROOT, Suite
from tables import markdown

PAGE = ROOT / "docs/results.md"
_HEAD = """# Detection: what the systems reach

Made by `python benchmarks/detection.py --page` from `benchmarks/results/detection/`; do not edit. Each figure is of a
bundle, as deployed, on images that neither training nor calibration saw. AUROC of images, mean ± standard deviation
over seeds; rows without ± are of one seed, where a difference of 0.005 says nothing. Columns differ little where all
four systems start at the same PCA and use the same score, as in most sections; [MNIST, one digit
anomalous](#mnist-one-digit-anomalous) has the papers' own networks and scores.

**How settings were chosen.** No setting, step or score was chosen by a figure on this page, but for three. The
weight of AnoGAN's anchor, a term that holds its generator near the PCA, was raised after its figures for boards
and poly-crystalline cells had come out low (0.834, 0.754), and then set on split seed 0. And in feature space two
things that drawn defects prefer were taken out of the general recipes after they had cost AUROC on real defects:
candidates of `score.relative` other than 0, on most sets, and a [discriminator of
places](#feature-space-with-a-discriminator-of-places), on poly-crystalline cells. Recipes for solar cells were
developed on split seeds 0 and 1, which no table here uses; but the defective cells of ELPV are tested in every
split, the same ones then and now, so that those labels did have a part in the choice of latent size, score and
search. Read those sections for what the systems have over the baselines, not for their height. Settings for MNIST
were chosen on images held out of its training set, those for tiles and boards on defects drawn on held-out normal
patches (the scripts are not kept). Where a data set has a test set of its own, a seed changes the initial weights
and the images held out, nothing else.

**What stands beside the systems.** *PCA, same score*: as many components as the bundle's latent has dimensions (or as
there are images, less one), by the bundle's own score; *over that PCA* is the mean difference, and in how many runs
its paired 95% interval is above or below 0. It tells what score and size are worth without a GAN. *PCA*: up to 256
components, by the mean of the largest 1% of the residual; nothing about it was chosen for the data. Both are fitted
to all normal training images, a quarter more than the systems train on, without flips or other variation. *Mean
intensity*, in whichever direction is better, so in hindsight. False alarms and defects found are at the threshold
from held-out normal images; a promised rate is *broken* where so many false alarms have a chance of under 5% if it
holds, which suggests that the test set's normal images are others than those held out.
"""


def results_page(
    suites: Mapping[str, Suite],
    made: Mapping[str, list[Result]],
    misjudged: Result | None = None,
    robust: Result | None = None,
    negatives: Result | None = None,
    peers: Result | None = None,
) -> str:
    """Return the page as Markdown.

    Args:
        suites: every suite by its name; those that are not to be published are left out.
        made: the results that there are, by suite.
        misjudged: what benchmarks/misjudged.py found; stands in the section that has its data set and no other.
        robust: what benchmarks/robust_search.py found.
        negatives: what benchmarks/negatives.py found.
        peers: what benchmarks/peers.py found; the last section.
    """
    shown = {name: made[name] for name, suite in suites.items() if suite.published and made[name]}
    whole = {name: results for name, results in shown.items() if len(results) == len(list(suites[name].runs()))}
    glance_table = _at_a_glance({suites[name].title: results for name, results in whole.items()})
    sections = [_section(name, suites[name], results, misjudged) for name, results in shown.items()]
    beside = [
        "" if found is None else section(found)
        for found, section in ((negatives, _negatives), (robust, _losses), (peers, peers_section))
    ]
    return "\n".join(part for part in [_HEAD, glance_table, *sections, *beside] if part)


def _at_a_glance(made: Mapping[str, list[Result]]) -> str:
    """Return a line a section and data set: the deployed AUROC of each system beside what is trivial."""
    systems, rows = ("linear", "anogan", "fanogan", "egbad", "ganomaly"), []
    for title, results in made.items():
        sources = sorted({source_of(result) for result in results})
        for source in sources:
            of_source = [result for result in results if source_of(result) == source]
            name = f"[{title}](#{_anchor(title)})" + (f": {source}" if len(sources) > 1 else "")
            rows.append([name, *glance(of_source, systems)])
    heads = ["AUROC", "linear", "AnoGAN", "f-AnoGAN", "EGBAD", "GANomaly", "PCA, same score", "PCA", "mean intensity"]
    return "## At a glance\n\n" + markdown(heads, rows) if rows else ""


def _losses(robust: Result) -> str:
    """Return the section about what the search descends: a line for each data set and loss."""
    rows = []
    for source, found in robust["drawn_auroc"].items():
        tested = f"{found['images']}, {found['drawn']}"
        trained = ", ".join(f"{stage} {steps}" for stage, steps in found["training_steps"].items())
        source = f"{source} ({'; '.join([f'{trained} steps', *found['settings']])})"
        rows.append([source, tested, "none: the encoder alone", f"{found['encoder']:.3f}", "–", "–"])
        for number, (loss, search) in enumerate(found["searches"].items()):
            over_first = _between(search["less_first"]) if number else "–"
            figures = [f"{search['auroc']:.3f}", _between(search["less_encoder"]), over_first]
            rows.append([source, tested, loss, *figures])
    first = next(iter(robust["losses"]))
    heads = ["data", "normal, drawn", "search.residual", "AUROC of drawn", "over the encoder", f"over {first}"]
    return f"{_LOSSES_HEAD}\n{markdown(heads, rows)}"


def _negatives(found: Result) -> str:
    """Return the section about what discriminators of places are trained against: a line for each sort."""
    of_source = found["drawn_auroc"]
    sorts = list(dict.fromkeys(sort for one in of_source.values() for sort in one["negatives"]))
    rows = [["none: the weighed residual alone", *(f"{one['without']:.3f}" for one in of_source.values())]]
    for sort in sorts:
        figures = [(one["negatives"].get(sort), one["without"]) for one in of_source.values()]
        cells = ["–" if value is None else f"{value:.3f} ({value - without:+.3f})" for value, without in figures]
        rows.append([sort.replace(",", ", "), *cells])
    return f"{_NEGATIVES_HEAD}\n{markdown(['negatives', *of_source], rows)}"


_NEGATIVES_HEAD = """## What a discriminator of places is trained against

AUROC of drawn against normal images ([near misses](features.md#a-discriminator-that-knows-near-misses)): trained on
three fifths of the normal training images, against drawn defects of three kinds where any are, and judged by the other
kinds on the other images, then the kinds change sides. One training each, so that differences of some thousandths say
nothing; no label of a test set has a say.

    python benchmarks/negatives.py --data DATA
"""


def _between(interval: Sequence[float]) -> str:
    low, high = interval
    sure = low > 0 or high < 0
    text = f"{low:+.3f} to {high:+.3f}"
    return f"**{text}**" if sure else text


_LOSSES_HEAD = """## What the search descends

Bundles of `fanogan_features` that differ in nothing but their search's loss ([formulas](systems.md#what-they-share)),
judged by defects drawn on held-out normal images: no label of a test set has a say. A data set is one training, on
split seed 0, so this compares losses and promises nothing. Paired 95% intervals over images; one that is above or
below 0 as a whole is bold.

    python benchmarks/robust_search.py --data DATA
"""


def _anchor(title: str) -> str:
    """Return what GitHub calls a heading in links."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")


def _section(name: str, suite: Suite, results: list[Result], misjudged: Result | None) -> str:
    asked = len(list(suite.runs()))
    parts = [f"## {suite.title}\n", f"{suite.about}\n", f"    python benchmarks/detection.py {name}\n"]
    if len(results) < asked:
        parts.append(f"{len(results)} of the suite's {asked} runs are made so far.\n")
    parts += [f"On top of {names}: {settings}.\n" for settings, names in _settings(results).items()]
    in_features = [result for result in results if result.get("baselines")]
    if in_features:
        parts += [
            _table(FEATURES, groups_of(in_features)),
            _FEATURES_HEAD,
            _table(FEATURE_COSTS, groups_of(in_features)),
        ]
        if any(result["pixel"] for result in in_features):
            masked = [result for result in in_features if result["pixel"]]
            parts += ["Where masks exist, pixel AUROC / AUPRO:\n", _table(FEATURE_PIXELS, groups_of(masked))]
        parts.append("The same bundles beside detectors in pixels, and at their thresholds:\n")
    parts.append(_table(MAIN, groups_of(results)))
    if any(len(data_of(group)) > 1 for group in groups_of(results)):
        parts += ["Data set by data set, the deployed AUROC:\n"]
        parts.append(_by_data(results))
    parts += [_SCORES_HEAD[mode_of(results[0])]]
    parts.append(_scores(results))
    if kinds := _kinds(results):
        parts += [_KINDS_HEAD, kinds]
    if any(result["pixel"] for result in results if not result.get("baselines")):
        parts += ["Where masks exist, how well the heat map finds the place:\n", _table(PIXEL, groups_of(results))]
    if misjudged is not None and {source_of(result) for result in results} == {misjudged["data"]}:
        parts.append(_misjudged_by_all(misjudged))
    parts.append(_reported(suite))
    parts.append(_footer(results))
    return "\n".join(part for part in parts if part)


def _misjudged_by_all(misjudged: Result) -> str:
    """Return which images no bundle gets right, and what they weigh."""
    defective, normal = misjudged["anomalous"], misjudged["normal"]
    names = ", ".join(f"{name} ({share:.0%})" for name, share in (defective | normal).items())
    counts = f"{len(defective)} of {misjudged['n_anomalous']} anomalous images and {len(normal)} normal ones"
    without = misjudged["auroc_without"]
    weigh = "nothing is left to compare" if without is None else f"the mean AUROC is {without:.3f}"
    return (
        f"**Images that no bundle gets right.** {counts} are misjudged in every report that has them, of "
        f"{misjudged['reports']}: more than half of the other class is on the wrong side of them; in brackets, how "
        f"much on average: {names}. Leaving them out, which these same scores chose, {weigh} in place of "
        f"{misjudged['auroc']:.3f}: what they weigh, not what could be reached. They are drawn as the camera took them "
        "by `python benchmarks/misjudged.py`.\n\n![Images misjudged in every report](images/misjudged.png)\n"
    )


def _settings(results: Sequence[Result]) -> dict[str, str]:
    """Return what was set on top of recipes, with the recipes that it was set on, both as Markdown."""
    found: dict[str, list[str]] = {}
    for result in results:
        if result["overrides"]:
            titles = found.setdefault(", ".join(f"`{setting}`" for setting in result["overrides"]), [])
            if (title := f"`{title_of(result)}`") not in titles:
                titles.append(title)
    return {settings: ", ".join(titles) for settings, titles in found.items()}


def _table(columns: Mapping[str, Column], groups: Sequence[Sequence[Result]]) -> str:
    return markdown(list(columns), [[cell(group) for cell in columns.values()] for group in groups])


def _by_data(results: Sequence[Result]) -> str:
    titles = list(dict.fromkeys(title_of(result) for result in results))
    data = sorted({result["data"] for result in results})

    def cell(title: str, source: str) -> str:
        chosen = [result for result in results if title_of(result) == title and result["data"] == source]
        return spread(chosen, lambda result: deployed(result, "auroc"))

    def pca(source: str) -> str:
        return spread([result for result in results if result["data"] == source], image("pca", "auroc"))

    rows = [[source, *(cell(title, source) for title in titles), pca(source)] for source in data]
    return markdown(["data", *(f"`{title}`" for title in titles), "PCA"], rows)


def _kinds(results: Sequence[Result]) -> str:
    """Return a line for each kind of defect; of data sets whose classes take turns as the normal one, nothing."""
    groups = [group for group in groups_of(results) if len(data_of(group)) == 1]
    names = sorted({kind for group in groups for result in group for kind in result.get("kinds", {})})
    rows = [[name, *(kind_figures(group, name) for group in groups)] for name in names]
    return markdown(["kind", *(f"`{title_of(group[0])}`, {which(group)}" for group in groups)], rows) if rows else ""


_FEATURES_HEAD = (
    "Behind a detector's AUROC: by how much the bundle is over it, and in how many runs the paired 95% interval is "
    "above or below 0. Size and time: the whole bundle and its p50 for a frame; of the others the backbone and what "
    "they store, and backbone and detector without preprocessing. Times were taken while other runs were made on the "
    "same machine: they tell the order of magnitude.\n"
)
_KINDS_HEAD = "Kind by kind: AUROC, share found at the threshold, and where masks exist the pixel AUROC:\n"


def _scores(results: Sequence[Result]) -> str:
    groups = groups_of(results)
    names = list(dict.fromkeys(name for result in results for name in result["scores"] if name != "encoder"))

    def cell(group: Sequence[Result], name: str) -> str:
        if all(result["scores"].get(name) is None for result in group):
            return "–"
        best = _short([_score(result, name, "auroc") for result in group])
        start = _short([_score(result, name, "at_start") for result in group])
        text = f"**{best}**" if group[0]["deployed_score"][mode_of(group[0])] == name else best
        return f"{text} ({start})" if mode_of(group[0]) == "search" else text

    heads = [f"`{title_of(group[0])}`, {which(group)}" for group in groups]
    return markdown(["score", *heads], [[f"`{name}`", *(cell(group, name) for group in groups)] for name in names])


def _score(result: Result, name: str, where: str) -> float | None:
    value: float | None = (result["scores"].get(name) or {}).get(where)
    return value


def _short(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.3f}" if known else "–"


_SCORES_HEAD = {
    "search": "Each score, at the best latent of the search (at the encoder's start); the deployed one is bold:\n",
    "encoder": "Each score at the encoder's latent, without a search; the deployed one is bold:\n",
}


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
    return "Reported by others, not measured here:\n\n" + markdown(["system", "data", "AUROC", "AUPRC", "source"], rows)


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
            lines.append(f"- `{title_of(result)}`, {result['data']}, seed {result['seed']}: {warning}\n")
    return "\n".join(lines)


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"
