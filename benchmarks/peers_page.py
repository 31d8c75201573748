"""The section of docs/results.md about other libraries' models, made from peers.json; nobody edits it.

python benchmarks/detection.py --page
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from peering.catalogue import DATA_SETS, OURS, PEERS, THREADS, settings
from tables import markdown

from ganspect.errors import OutputError

Row = dict[str, Any]
As = tuple[str, str, str, str]
"""Name of a model, and how it was run: runner, backend, precision."""

TITLE = "Beside anomalib"
_BUSY_SHARE = 0.05

_HEAD = """## Beside anomalib

PaDiM, PatchCore and GANomaly as anomalib {version} has them, trained, exported and timed on the machine that ganspect's
bundles were timed on.

    python benchmarks/peers.py --out DIR --data ../shared/data

**What is the same.** The split, the test images, the pixels (ganspect's own preprocessing makes them for all), the
frozen backbone and its weights, and the code that computes each figure from raw scores and raw maps. Latency is that
of one frame, uint8 in memory, to its score, on {threads} threads, in a process of its own; all took turns. For ganspect
it is a frame that clears at the start, in the bundle's own mode, and includes verdict and heat map at the frame's size.

**What is not.** anomalib gets all normal training images, ganspect's recipes hold a fifth of them out for the
threshold. anomalib's own threshold is left out, since it is taken from labelled images. Everything else is anomalib's
default but for this:

{about}

Rows *anomalib* run its OpenVINOInferencer, as its documentation shows; rows *engine alone* are the same exported model
in OpenVINO without anomalib, the least that could be deployed. In bf16 OpenVINO lowers all of anomalib's graph, as it
does unasked on a processor that can; ganspect's bundles were verified in it, and float32 decides near the threshold.
"""


def peers_section(content: Mapping[str, Any]) -> str:
    """Return the section as Markdown; nothing where there are no rows and no failures.

    Raises:
        OutputError: the models were given other settings than the catalogue has now, which the section tells.
    """
    if content["settings"] != settings():
        raise OutputError("peers.json was made with other settings than peering/catalogue.py has now; make it again")
    rows: list[Row] = content["rows"]
    if not rows and not content["failures"]:
        return ""
    parts = [_head(content), _smoke(content), *_tables(rows), *_remarks(rows), *_failures(content), _footer(content)]
    return "\n".join(part for part in parts if part)


def _head(content: Mapping[str, Any]) -> str:
    about = "\n".join(f"- {peer.title}. {peer.about}" for peer in PEERS.values())
    return _HEAD.format(version=content["versions"]["anomalib"]["anomalib"], threads=THREADS, about=about)


def _smoke(content: Mapping[str, Any]) -> str:
    return "Made with `--smoke`: no figure here says anything.\n" if content["smoke"] else ""


def _tables(rows: Sequence[Row]) -> list[str]:
    """Return the tables with a line above each."""
    in_full = [row for row in rows if row["key"]["precision"] == "fp32"]
    masked = [row for row in in_full if row["pixel_auroc"] is not None]
    return [
        "Image AUROC:\n" if rows else "",
        _by_model(in_full, lambda of: _spread(of, "image_auroc")),
        "Pixel AUROC / AUPRO, where there are masks:\n" if masked else "",
        _by_model(masked, lambda of: " / ".join(_spread(of, metric) for metric in ("pixel_auroc", "aupro"))),
        "Latency: p50 / p95 in ms, and p50 as a multiple of PaDiM's in anomalib's inferencer in the same rounds:\n"
        if rows
        else "",
        _by_run(rows, {}, _latency),
        "Memory: everything that must be installed, and the most that the process ever held, in MB:\n" if rows else "",
        _by_run(rows, {"installed": _installed}, lambda of: _rounded(of, "peak_memory_mb")),
        "What is deployed in MB, and the time of training in seconds:\n" if rows else "",
        _by_model(in_full, _size_and_training),
    ]


def _by_model(rows: Sequence[Row], cell: Callable[[Sequence[Row]], str]) -> str:
    """Return a table with a line for each model and a column for each data set."""
    names = [name for name in (*OURS, *PEERS) if any(row["key"]["name"] == name for row in rows)]
    of_name = {name: [row for row in rows if row["key"]["name"] == name] for name in names}
    data = _data_of(rows)
    lines = [[title_of(name), *(cell(_of_data(of_name[name], source)) for source in data)] for name in names]
    return markdown(["model", *data], lines) if lines else ""


def _by_run(
    rows: Sequence[Row],
    first: Mapping[str, Callable[[Sequence[Row]], str]],
    cell: Callable[[Sequence[Row]], str],
) -> str:
    """Return a table with a line for each way that a model was run, some columns of it, and one for each data set."""
    ways: dict[As, list[Row]] = {}
    for row in rows:
        key = row["key"]
        ways.setdefault((key["name"], key["runner"], key["backend"], key["precision"]), []).append(row)
    names = [*OURS, *PEERS]
    data = _data_of(rows)
    lines = [
        [title_of(way[0]), _way(way), *(of(ways[way]) for of in first.values())]
        + [cell(_of_data(ways[way], source)) for source in data]
        for way in sorted(ways, key=lambda way: (names.index(way[0]), way))
    ]
    return markdown(["model", "run by", *first, *data], lines) if lines else ""


def title_of(name: str) -> str:
    """Return the title of a model."""
    return OURS[name] if name in OURS else PEERS[name].title


def _way(way: As) -> str:
    _, runner, backend, precision = way
    return f"{'engine alone' if runner == 'none' else runner}, {backend} {precision}"


def _data_of(rows: Sequence[Row]) -> list[str]:
    return [name for name in DATA_SETS if any(row["key"]["dataset"] == name for row in rows)]


def _of_data(rows: Sequence[Row], dataset: str) -> list[Row]:
    return [row for row in rows if row["key"]["dataset"] == dataset]


def _spread(rows: Sequence[Row], metric: str) -> str:
    """Return the mean over seeds, ± their deviation; a model that was run in several ways counts once a seed."""
    values = {row["key"]["seed"]: row[metric] for row in rows if row[metric] is not None}
    if not values:
        return "–"
    of_seeds = list(values.values())
    return f"{mean(of_seeds):.3f}" + (f" ± {stdev(of_seeds):.3f}" if len(of_seeds) > 1 else "")


def _latency(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    p50, p95 = (mean(row["latency_ms"][which] for row in rows) for which in ("p50", "p95"))
    ratios = [row["latency_ratio"] for row in rows if row["latency_ratio"] is not None]
    return f"{p50:.1f} / {p95:.1f}" + (f", {mean(ratios):.2f}×" if ratios else "")


def _installed(rows: Sequence[Row]) -> str:
    return f"{rows[0]['installed_bytes'] / 1e6:.0f}"


def _rounded(rows: Sequence[Row], figure: str) -> str:
    return f"{mean(row[figure] for row in rows):.0f}" if rows else "–"


def _size_and_training(rows: Sequence[Row]) -> str:
    if not rows:
        return "–"
    times = [row["training_s"] for row in rows if row["training_s"] is not None]
    size = f"{mean(row['model_bytes'] for row in rows) / 1e6:.1f}"
    return f"{size}, {mean(times):.0f} s" if times else size


def _remarks(rows: Sequence[Row]) -> list[str]:
    """Return what must be known to read the tables, each where it holds."""
    remarks = []
    cuda = max((row["details"]["cuda_bytes"] for row in rows), default=0)
    if cuda:
        remarks.append(
            f"{cuda / 1e6:.0f} MB of what anomalib needs were packages for GPUs, which PyTorch's wheel for CUDA "
            "brings; a wheel for CPUs does without them."
        )
    if moved := _moved_by_bf16(rows):
        remarks.append(f"In bf16 the image AUROC of a model is at most {max(moved):.3f} from that in fp32.")
    banks = {
        f"{title_of(row['key']['name'])} on {row['key']['dataset']}: {bank['vectors']:,} of {bank['channels']} channels"
        for row in rows
        if (bank := row["details"].get("memory_bank"))
    }
    if banks:
        remarks.append(f"Vectors in memory banks: {'; '.join(sorted(banks))}.")
    busiest = max((row["others_share"] for row in rows), default=0.0)
    if busiest > _BUSY_SHARE:
        remarks.append(
            f"**While models took turns, other processes had up to {busiest:.0%} of the processor**: times are longer "
            "than on an idle machine, and ratios less sure."
        )
    return [f"{remark}\n" for remark in remarks]


def _moved_by_bf16(rows: Sequence[Row]) -> list[float]:
    """Return by how much the AUROC in bf16 differs from the same model's in fp32, for each that has both."""

    def figure(row: Row) -> tuple[Any, ...]:
        return row["key"]["dataset"], row["key"]["seed"], row["key"]["name"]

    in_full = {figure(row): row["image_auroc"] for row in rows if row["key"]["precision"] == "fp32"}
    lowered = [row for row in rows if row["key"]["precision"] == "bf16" and figure(row) in in_full]
    return [abs(row["image_auroc"] - in_full[figure(row)]) for row in lowered]


def _failures(content: Mapping[str, Any]) -> list[str]:
    return [
        f"- {title_of(one['name'])} on {one['dataset']}, seed {one['seed']}, failed ({one['what']}): {one['reason']}\n"
        for one in content["failures"]
    ]


def _footer(content: Mapping[str, Any]) -> str:
    machine, versions = content["machine"], content["versions"]
    engines = f"OpenVINO {versions['anomalib']['openvino']} and {versions['ganspect']['openvino']} (ganspect)"
    return f"Measured on: {machine['processor']}, {machine['cores']} cores, {engines}.\n"
