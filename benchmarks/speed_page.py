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
        _profile(result),
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
    return "## In short\n\n" + _table(["", "times PyTorch eager", "by", "aimed for"], rows) + _alone(result)


def _alone(result: Mapping[str, Any]) -> str:
    """Return what was aimed for beside the ratios: ONNX Runtime by itself, the floor, memory."""
    table, share = result["bench"]["ratios"]["table"], result["share_of_floor"]
    rows = []
    for batch, target in ((1, 3), (16, 1.5)):
        wanted = {"backend": "onnxruntime", "precision": "fp32", "mode": "search_step", "batch": batch}
        eager = next(entry["eager"] for entry in table if all(entry[key] == value for key, value in wanted.items()))
        missed = "" if eager >= target else " (missed)"
        rows.append(
            [f"one search step, batch {batch}, ONNX Runtime alone", f"**{eager:.1f}** times", f"{target}{missed}"]
        )
    of_floor = 1 / share["search_step_batch_1"]
    missed = "" if of_floor <= 2 else " (missed)"
    rows.append(["one search step, batch 1, beside the float32 floor", f"**{of_floor:.2f}** times", f"2{missed}"])
    for row in result["bench"]["rows"]:
        if row["mode"] == "frame" and row["batch"] == 1:
            name = f"peak memory, a frame at a time, {row['backend']} {row['precision']}"
            missed = "" if row["peak_rss_mb"] < 400 else " (missed)"
            rows.append([name, f"**{row['peak_rss_mb']:.0f}** MB", f"400{missed}"])
    return "\n" + _table(["", "", "aimed for"], rows)


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


def _profile(result: Mapping[str, Any]) -> str:
    rows, gflop = [], result["share_of_floor"]["gflop"]
    for entry in result["profile"]:
        total = sum(entry["ms"].values())
        rate = gflop * entry["batch"] / (entry["ms"]["convolutions"] + entry["ms"]["linear layers"]) * 1e3
        shares = [f"{ms:.2f} ({entry['nodes'][kind]})" for kind, ms in entry["ms"].items()]
        name = f"{entry['backend']} {entry['precision']}"
        rows.append([name, str(entry["batch"]), *shares, f"{total:.1f}", f"{rate:.0f}"])
    heads = ["backend", "batch", *next(iter(result["profile"]))["ms"], "sum, ms", "GFLOP/s of products"]
    return (
        "## Where an iteration's time goes\n\nms of each kind of operator, and how many of them, as the runtime itself "
        "counts (`benchmarks/speed_profile.py`); the last column is the rate that convolutions and linear layers "
        f"reach, to be read beside the rates of plain matrix products above.\n\n{_table(heads, rows)}{_ceiling(result)}"
    )


def _ceiling(result: Mapping[str, Any]) -> str:
    """Return what PyTorch's own distance from the floors leaves to be won, in words."""
    eager = {row["batch"]: row for row in result["share_of_floor"]["table"] if row["backend"] == "pytorch-eager"}
    named = [
        " and ".join(f"{1 / row[key]:.1f} times at batch {batch}" for batch, row in sorted(eager.items()))
        + f" in {name}"
        for key, name in (("of_fp32", "float32"), ("of_bf16", "bfloat16"))
        if all(row.get(key) for row in eager.values())
    ]
    return (
        f"\nPyTorch eager's own distance from these floors is {', '.join(named)}: with the products at the measured "
        "rate and everything else free, that is how much faster an iteration could be here.\n"
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
  four 2x2 convolutions. OpenVINO's transposed convolutions run far under the rate of its convolutions. The activation
  is computed with each of the four.
- **Overlap-add at the image** (`export/rewrites/overlap_add.py`): where a transposed convolution ends in one channel, a
  1x1 convolution makes all sixteen taps at once, and a second one of ones and zeros adds what overlaps; a convolution
  that makes one channel fills one lane of sixteen.
- **Images in planes** (`export/rewrites/planar_images.py`): what is computed pixel by pixel on a grey image is computed
  on three axes, where OpenVINO goes along rows and not along one channel.
- **Gradients without detours** (`export/rewrites/uniform_operands.py`, `activation_gradients.py`): the gradient of a
  mean is a number and not a tensor of it, that of a leaky ReLU one product with a mask read from what came out.
- **Weights inside the loop** (`export/rewrites/loop_weights.py`): ONNX Runtime lays convolutions out in blocks only
  where the weight is declared in the same graph as the convolution, so a Loop body that captures its weights ran in the
  plain layout.
- **bfloat16 only where it is harmless** (`export/precision/lowering.py`): the large convolutions and what lies between
  them. OpenVINO's own bfloat16 mode lowers everything, pixels and sums too, at the same speed and with scores that are
  off by percents.
- **Early exit, and float32 near the threshold** ([verify](verify.md)): most normal parts clear at the encoder's start.
  The guard keeps a second, float32 copy of both graphs in memory, so that a part near the threshold does not wait.

Tried and not taken: one 3x3 convolution for all four phases (2.25 times the work); phase convolutions in ONNX Runtime
(its DepthToSpace costs what they gain); linear layers in bfloat16 (2% at batch 1, nothing at batch 16). Winograd's
F(2x2,2x2) for the 2x2 phases would take 9 products where there are 16, but writes and reads four times the input and
2.25 times the output beside them, in operators of their own: by the rates above that costs at batch 16 what it saves.
It has been reckoned, not built.
"""
