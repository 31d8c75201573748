"""How many times faster than PyTorch, and how near to what the processor could do.

ratios = ratios_of(rows, reference_rows, verified)
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ganspect.runtime.bench.contenders import PYTORCH_COMPILED, PYTORCH_EAGER
from ganspect.runtime.bench.figures import Row

SAME_SCORE = 0.02
"""Mean relative difference of best scores from PyTorch's in a free run; two correct searches drift apart a little."""

_SAME_RUN = 0.1
"""The same for a lower precision, which `ganspect verify` has judged: what differs by more is another run's bundle."""


def ratios_of(
    rows: Sequence[Row], reference: Sequence[Row], verified: Mapping[tuple[str, str], bool]
) -> dict[str, Any]:
    """Return PyTorch's p50 over ours.

    Args:
        rows: ours.
        reference: PyTorch's, of the same modes, batches and steps.
        verified: by backend and precision, see `agreement`.

    Returns:
        `search_step_batch_1` and so on: PyTorch eager over the fastest verified row; `fastest` names that row for each;
        `table` has every row beside eager and compiled.
    """
    flat: dict[str, float] = {}
    fastest: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["p50_ms"]):
        ratio = _over(reference, row, PYTORCH_EAGER)
        key = f"{row['mode']}_batch_{row['batch']}"
        if ratio is not None and key not in flat and verified.get((row["backend"], row["precision"]), False):
            flat[key], fastest[key] = ratio, f"{row['backend']} {row['precision']}"
    table = [
        {
            **{name: row[name] for name in ("backend", "precision", "mode", "batch")},
            "eager": _over(reference, row, PYTORCH_EAGER),
            "compiled": _over(reference, row, PYTORCH_COMPILED),
        }
        for row in rows
        if any(_same_work(row, other) for other in reference)
    ]
    return {**flat, "fastest": fastest, "table": table}


def share_of_floor(rows: Sequence[Row], floor: Mapping[str, Any], fastest: Mapping[str, str]) -> dict[str, Any]:
    """Return the floor's duration over ours for one iteration: 1 is as fast as plain matrix products.

    Args:
        rows: ours and PyTorch's.
        floor: `gflop` of one iteration at batch 1, and `gflop_per_s` of matrix products by precision.
        fastest: label of the row for the flat keys, as `ratios_of` gives it.

    Returns:
        `search_step_batch_1` and so on: of the fastest verified row, by the fp32 floor; `table`: every row by the floor
        of fp32 and by that of bf16.
    """
    steps = sorted((row for row in rows if row["mode"] == "search_step"), key=lambda row: int(row["batch"]))
    table = []
    for row in steps:
        floors = {name: _floor_ms(floor, name, row["batch"]) for name in ("fp32", "bf16")}
        shares = {f"of_{name}": None if ms is None else _rounded(ms / row["p50_ms"]) for name, ms in floors.items()}
        named = {name: row[name] for name in ("backend", "precision", "batch", "p50_ms")}
        table.append({**named, **{f"floor_{name}_ms": ms for name, ms in floors.items()}, **shares})
    flat = {
        key: entry["of_fp32"]
        for entry in table
        if fastest.get(key := f"search_step_batch_{entry['batch']}") == f"{entry['backend']} {entry['precision']}"
    }
    return {**flat, "gflop": floor["gflop"], "gflop_per_s": floor["gflop_per_s"], "table": table}


def agreement(
    ours: Sequence[float], theirs: Sequence[float], threshold: float, *, precision: str, guarded: bool
) -> dict[str, Any]:
    """Return how far best scores are from PyTorch's, and whether this may be compared with it.

    Args:
        ours: best score of each tile.
        theirs: PyTorch's.
        threshold: T, for verdicts that differ.
        precision: float32 must agree by itself, a lower one must have been verified on this machine.
        guarded: whether it was, so that float32 decides near the threshold.
    """
    pairs = list(zip(ours, theirs, strict=True))
    differences = [abs(our - their) / max(abs(their), 1e-12) for our, their in pairs]
    flips = sum((our <= threshold) != (their <= threshold) for our, their in pairs)
    known = all(map(math.isfinite, differences))
    mean = sum(differences) / len(differences)
    trusted = guarded and mean <= _SAME_RUN if precision != "fp32" else mean <= SAME_SCORE and flips == 0
    return {
        "tiles": len(pairs),
        "mean_difference": _rounded(mean) if known else None,
        "largest_difference": _rounded(max(differences)) if known else None,
        "flips": flips,
        "verified": known and trusted,
    }


def _floor_ms(floor: Mapping[str, Any], precision: str, batch: int) -> float | None:
    rate = floor["gflop_per_s"][precision]
    return None if rate is None else _rounded(1e3 * batch * floor["gflop"] / rate)


def _over(reference: Sequence[Row], row: Row, backend: str) -> float | None:
    found = next((other for other in reference if other["backend"] == backend and _same_work(row, other)), None)
    return None if found is None or row["p50_ms"] <= 0 else _rounded(found["p50_ms"] / row["p50_ms"])


def _same_work(row: Row, other: Row) -> bool:
    return all(row[name] == other[name] for name in ("mode", "batch", "steps"))


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
