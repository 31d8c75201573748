"""The sections of the page, each a function from what was measured to text, table and drawings, or None.

To add one, write such a function and put it into `SECTIONS`; nothing else changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ganspect.runtime.bench.drawn import Drawn
from ganspect.runtime.bench.measurement import MEANINGS, Mode
from ganspect.runtime.bench.plots import Line, distribution_plot, over_batch_plot, over_steps_plot
from ganspect.runtime.bench.rounds import Result
from ganspect.runtime.bench.wording import MISSING, duration, name_of, rate, times
from ganspect.runtime.evaluation.page import Drawing, Section, Table

DRAWN_MODES: tuple[tuple[Mode, str], ...] = (
    ("search_step", "milliseconds of one search step"),
    ("encoder", "milliseconds of one encoder score"),
    ("frame", "milliseconds from a frame to its verdict"),
    ("search", "milliseconds of a whole search"),
)


def _beside_pytorch(drawn: Drawn) -> Section | None:
    table = drawn.content.get("ratios", {"table": []})["table"]
    if not table:
        return None
    rows: list[tuple[str, ...]] = []
    strong: set[int] = set()
    fastest = drawn.content["ratios"]["fastest"]
    for entry in table:
        if fastest.get(f"{entry['mode']}_batch_{entry['batch']}") == f"{entry['backend']} {entry['precision']}":
            strong.add(len(rows))
        rows.append(
            (name_of(entry), entry["mode"], str(entry["batch"]), times(entry["eager"]), times(entry["compiled"]))
        )
    header = ("", "mode", "batch", "PyTorch eager over ours", "PyTorch compiled over ours")
    return Section(
        "Beside PyTorch",
        "The same search in PyTorch, as one writes it who knows PyTorch: what is fixed of an image computed once, "
        "autograd for the gradient, all cores, float32. Medians, measured in turns on this machine. The fastest that "
        "was verified is in bold: fp32 by its scores below, a lower precision by 'ganspect verify'.",
        table=Table(header, tuple(rows), frozenset(strong)),
        remarks=tuple(_agreement(entry) for entry in drawn.content["reference"]["agreement"]),
    )


def _agreement(entry: Mapping[str, Any]) -> str:
    mean, largest = entry["mean_difference"], entry["largest_difference"]
    difference = (
        "some are no numbers"
        if mean is None
        else f"they differ by {100 * mean:.2g}% on average, {100 * largest:.2g}% at most"
    )
    return (
        f"{name_of(entry)}: best scores of {entry['tiles']} tiles beside PyTorch's: {difference}; {entry['flips']} "
        "verdicts differ."
    )


def _floor(drawn: Drawn) -> Section | None:
    floor = drawn.content.get("share_of_floor")
    if floor is None:
        return None
    rates = floor["gflop_per_s"]
    rows = tuple(
        (
            name_of(entry),
            str(entry["batch"]),
            duration(entry["p50_ms"]),
            *(
                cell
                for name in ("fp32", "bf16")
                for cell in (_known(entry[f"floor_{name}_ms"], duration), _known(entry[f"of_{name}"], _share))
            ),
        )
        for entry in floor["table"]
    )
    known = ", ".join(f"{rate:,.0f} GFLOP/s in {name}" for name, rate in rates.items() if rate is not None)
    return Section(
        "How near to the floor",
        f"One iteration of one image is {floor['gflop']:.3g} GFLOP, forward and backward; this processor multiplies "
        f"large matrices at {known}. The floor is the one divided by the other; little can be faster.",
        table=Table(
            ("", "batch", "one step, ms", "fp32 floor, ms", "share of it", "bf16 floor, ms", "share of it"), rows
        ),
    )


def _known(value: float | None, words: Callable[[float], str]) -> str:
    return MISSING if value is None else words(value)


def _share(value: float) -> str:
    return f"{100 * value:.0f}%"


def _latency(drawn: Drawn) -> Section:
    drawings = tuple(
        Drawing(
            svg, f"{label[0].upper()}{label[1:]}, batch {drawn.batch}; further left is faster, steeper is steadier."
        )
        for mode, label in DRAWN_MODES
        if (svg := _distribution(drawn, mode, label)) is not None
    )
    header = ("", "mode", "batch", "mean", "median", "p90", "p95", "p99", "min", "max", "images/s", "iterations", "n")
    kinds = dict.fromkeys((row["batch"], row["mode"]) for row in drawn.all_rows)
    rows = tuple(_latency_row(row) for kind in kinds for row in drawn.all_rows if (row["batch"], row["mode"]) == kind)
    used = dict.fromkeys(row["mode"] for row in drawn.content["rows"])
    return Section(
        "Latency",
        "Milliseconds of one call, after warm-up; n repetitions. The images/s of a step count an image once for each "
        "iteration.",
        drawings,
        Table(header, rows),
        remarks=tuple(f"{mode}: {MEANINGS[mode]}." for mode in MEANINGS if mode in used),
    )


def _latency_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    figures = ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")
    return (
        name_of(row),
        row["mode"],
        str(row["batch"]),
        *(duration(row[name]) for name in figures),
        rate(row["images_per_s"]),
        MISSING if row["iterations"] == 0 else f"{row['iterations']:.3g}",
        str(row["repetitions"]),
    )


def _distribution(drawn: Drawn, mode: Mode, label: str) -> str | None:
    chosen: list[Result] = [
        result
        for result in drawn.measured.main_results
        if (result.measurement.mode, result.measurement.batch) == (mode, drawn.batch)
    ]
    lines = [Line(name_of(result.described), result.samples_ms, (), drawn.style(result.described)) for result in chosen]
    return distribution_plot(lines, label) if lines else None


def _scaling(drawn: Drawn) -> Section:
    drawings = [
        Drawing(
            over_steps_plot(_step_lines(drawn)),
            f"A search over its iterations, batch {drawn.batch}, exit off: time grows in proportion.",
        )
    ]
    if len(drawn.content["settings"]["batches"]) > 1:
        for mode, label in (("search", "searched"), ("encoder", "scored by the encoder")):
            lines = _batch_lines(drawn, mode)
            if lines:
                svg = over_batch_plot(lines, f"images a second, {label}")
                drawings.append(Drawing(svg, f"Throughput over batch: images {label} in a second."))
    return Section("Over steps and over batch", "", tuple(drawings), remarks=_memory(drawn))


def _step_lines(drawn: Drawn) -> list[Line]:
    rows = [row for row in drawn.content["over_steps"] if row["batch"] == drawn.batch]
    return _lines(drawn, rows, "steps", "p50_ms")


def _batch_lines(drawn: Drawn, mode: str) -> list[Line]:
    rows = [row for row in drawn.all_rows if row["mode"] == mode and row["images_per_s"]]
    return _lines(drawn, rows, "batch", "images_per_s")


def _lines(drawn: Drawn, rows: Sequence[Mapping[str, Any]], x: str, y: str) -> list[Line]:
    """Return a line for each backend and precision, by ascending x."""
    found = []
    for key, style in drawn.styles.items():
        points = sorted((row[x], row[y]) for row in rows if (row["backend"], row["precision"]) == key)
        if points:
            name = name_of({"backend": key[0], "precision": key[1]})
            found.append(Line(name, [point[0] for point in points], [point[1] for point in points], style))
    return found


def _memory(drawn: Drawn) -> tuple[str, ...]:
    found = []
    for key in dict.fromkeys((row["backend"], row["precision"]) for row in drawn.all_rows):
        rows = [row for row in drawn.all_rows if (row["backend"], row["precision"]) == key]
        peaks = {row["batch"]: row["peak_rss_mb"] for row in rows}
        shown = ", ".join(f"{peak:.0f} MB at batch {batch}" for batch, peak in sorted(peaks.items()))
        found.append(f"{name_of(rows[0])}: peak memory of its process {shown}; ready {_load(rows[0])}.")
    return tuple(found)


def _load(row: Mapping[str, Any]) -> str:
    return f"after {row['load_ms']:.0f} ms, first call {row['first_run_ms']:.0f} ms"


SECTIONS: tuple[Callable[[Drawn], Section | None], ...] = (_beside_pytorch, _latency, _floor, _scaling)
"""The sections with figures, in order."""
