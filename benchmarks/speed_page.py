"""docs/performance.md, made from the committed result of benchmarks/speed.py; nobody edits that page.

python benchmarks/speed.py --page
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, RESULT = ROOT / "docs/performance.md", ROOT / "benchmarks/results/speed.json"

TARGETS = {
    "search_step_batch_1": ("one search step, batch 1", 8),
    "search_step_batch_16": ("one search step, batch 16", 4),
    "encoder_batch_1": ("encoder scoring, batch 1", 4),
    "full_inspection": ("inspection of a cell, 1% defective, beside 500 steps", 100),
    "normal_cell": ("inspection of a normal cell, beside 500 steps", None),
    "anomalous_cell": ("inspection of a defective cell, beside 500 steps", 20),
}
"""What the ratios are called on the page, and how many times PyTorch eager was aimed for."""

_HEAD = """# Performance: beside PyTorch, on networks of the papers' size

Made by `python benchmarks/speed.py --page` from `benchmarks/results/speed.json`; do not edit. Networks: DCGAN
512-256-128-64-1 at 64x64, latent 128, features of all levels (`benchmarks/speed.yaml`). PyTorch is the same search as a
competent user writes it: f(x) once for an image, autograd, all cores, each contender in a process of its own, taking
turns. Ratios are PyTorch eager's median over ours; they hold on this machine, absolute times say little elsewhere.
"""


def page(result: Mapping[str, Any]) -> str:
    """Return docs/performance.md."""
    parts = [
        _HEAD,
        f"Measured on: {_machine(result)}.\n",
        _targets(result),
        _backends(result),
        _floor(result),
        _inspection(result),
        _curve(result),
        _verification(result),
        _NOTES,
    ]
    return "\n".join(parts)


def _machine(result: Mapping[str, Any]) -> str:
    environment = result["environment"]
    flags = ", ".join(flag for flag in environment.get("cpu_flags", []))
    versions = environment.get("packages", {})
    named = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return f"{environment['processor']}, {environment['cores']} cores ({flags}); {named}"


def _targets(result: Mapping[str, Any]) -> str:
    ratios, fastest = result["ratios"], result["bench"]["ratios"]["fastest"]
    deployed = result["inspection"]["backend"]
    rows = []
    for key, (name, target) in TARGETS.items():
        by = fastest.get(key, f"{deployed['name']} {deployed['precision']}, early exit")
        aimed = "–" if target is None else f"{target}" if ratios[key] >= target else f"{target} (missed)"
        rows.append([name, f"**{ratios[key]:.1f}**", by, aimed])
    return "## In short\n\n" + _table(["", "times PyTorch eager", "by", "aimed for"], rows)


def _backends(result: Mapping[str, Any]) -> str:
    bench = result["bench"]
    rows = [
        [
            row["backend"],
            row["precision"],
            row["mode"],
            str(row["batch"]),
            f"{row['p50_ms']:.2f}",
            f"{row['p95_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            _ratio(bench, row),
            f"{row['peak_rss_mb']:.0f}",
        ]
        for row in [*bench["reference"]["rows"], *bench["rows"]]
        if row["mode"] in ("encoder", "search_step", "search", "frame")
    ]
    heads = ["backend", "precision", "what", "batch", "p50 ms", "p95", "p99", "times eager", "peak MB"]
    return "## Every backend and precision\n\n" + _table(heads, rows) + _BACKENDS_NOTE


def _ratio(bench: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    keys = ("backend", "precision", "mode", "batch")
    for entry in bench["ratios"]["table"]:
        if all(entry[key] == row[key] for key in keys) and entry["eager"] is not None:
            return f"{entry['eager']:.2f}"
    return "–"


def _floor(result: Mapping[str, Any]) -> str:
    share = result["share_of_floor"]
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in share["gflop_per_s"].items() if rate)
    rows = [
        [
            row["backend"],
            row["precision"],
            str(row["batch"]),
            f"{row['p50_ms']:.2f}",
            _share(row["of_fp32"]),
            _share(row["of_bf16"]),
        ]
        for row in share["table"]
    ]
    heads = ["backend", "precision", "batch", "ms a step", "share of fp32 floor", "share of bf16 floor"]
    return (
        f"## The floor\n\nOne iteration is {share['gflop']:.2f} GFLOP at batch 1; plain matrix products reach "
        f"{rates} GFLOP/s here. 1 is as fast as these products alone; over 1 is faster.\n\n{_table(heads, rows)}"
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _inspection(result: Mapping[str, Any]) -> str:
    inspection, pytorch = result["inspection"], result["pytorch"]
    rows = [
        [name, str(inspection["cells"][name]), _number(inspection["iterations"][name]), _number(inspection["ms"][name])]
        for name in ("normal", "anomalous", "cleared", "flagged")
    ]
    differ = inspection["verdicts_that_differ_from_the_full_search"]
    return (
        "## Inspecting solar cells as deployed\n\n"
        f"ELPV mono, one cell at a time, {inspection['backend']['name']} in {inspection['backend']['precision']}, from "
        f"the encoder's start, at most {inspection['steps_at_most']} iterations, early exit; times from the start of "
        f"preprocessing to the verdict. {differ} of {inspection['cells']['normal'] + inspection['cells']['anomalous']} "
        "verdicts differ from the same search without early exit. PyTorch: "
        f"{pytorch['steps']} steps of {pytorch['step_ms']:.1f} ms from a random start, "
        f"{pytorch['search_ms'] / 1e3:.1f} s.\n\n" + _table(["cells", "n", "iterations, mean", "ms, mean"], rows)
    )


def _curve(result: Mapping[str, Any]) -> str:
    curve = result["auroc_over_iterations"]
    rows = [[start, *(_at(curve[start], stop) for stop in _stops(curve))] for start in ("encoder", "random")]
    return (
        f"## How many iterations are enough\n\nAUROC of the deployed score on {curve['cells']} cells, half of them "
        "defective, in float32, after so many iterations from the encoder's latent and from a random one.\n\n"
        + _table(["start", *map(str, _stops(curve))], rows)
    )


def _stops(curve: Mapping[str, Any]) -> list[int]:
    return sorted({int(stop) for start in ("encoder", "random") for stop in curve[start]})


def _at(line: Mapping[str, float], stop: int) -> str:
    return f"{line[str(stop)]:.3f}" if str(stop) in line else "–"


def _verification(result: Mapping[str, Any]) -> str:
    rows = []
    for entry in result["verification"]:
        for mode in ("search", "encoder"):
            found = entry[mode]
            if found is not None:
                rows.append(
                    [
                        f"{entry['backend']} {entry['precision']}",
                        mode,
                        f"{found['mean_error']:.1e}",
                        f"{found['rank']:.4f}",
                        f"{found['flips']} of {found['n_plain']}",
                        f"{found['straddling_flips']} of {found['n_straddling']}",
                        "yes" if entry["passed"] else "no",
                    ]
                )
    heads = ["backend", "score", "mean error", "rank", "flips", "flips near T", "passed"]
    return "## Verdicts\n\n`ganspect verify` on these bundles ([what the columns mean](verify.md)).\n\n" + _table(
        heads, rows
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


_BACKENDS_NOTE = """
encoder: both scores, latent and heat map of a batch, forward only; search_step: one iteration inside the search graph;
search: a whole search without early exit; frame: from a frame to its verdict. Peak memory is that of a process which
runs nothing else, Python included, at the largest batch so far.
"""

_NOTES = """## What is in these figures

- **Phase convolutions** (`export/rewrites/phase_convolutions.py`): a transposed 4x4 convolution of stride 2 is exactly
  four 2x2 convolutions. OpenVINO's transposed convolutions run far under the rate of its convolutions.
- **Weights inside the loop** (`export/rewrites/loop_weights.py`): ONNX Runtime lays convolutions out in blocks only
  where the weight is declared in the same graph as the convolution, so a Loop body that captures its weights ran in the
  plain layout.
- **bfloat16 only where it is harmless** (`export/precision/lowering.py`): the large convolutions and what lies between
  them. OpenVINO's own bfloat16 mode lowers everything, pixels and sums too, at the same speed and with scores that are
  off by percents.
- **Early exit, and float32 near the threshold** ([verify](verify.md)): most normal parts clear at the encoder's start.

**Where an aim is missed**: PyTorch itself is near the floor of this processor, which has no AMX, so the ratio that
plain matrix products could reach at best is its share in the table above turned round; the batch-16 convolutions in
bfloat16 run at that rate already. What is left beside them: the deployed score `residual_contrast`, whose sums over 3x3
pixels OpenVINO takes on images of one channel laid out for sixteen, and at batch 1 some 200 small nodes an iteration.
Fewer products (Winograd's for the 2x2 phases) and a planar image side have not been tried.

Tried and not taken: one 3x3 convolution for all four phases (2.25 times the work); phase convolutions in ONNX Runtime
(its DepthToSpace costs what they gain).
"""
