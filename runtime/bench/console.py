"""The table that `ganspect bench` prints on standard output.

print_table(content)
"""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.progress import print_warning
from ganspect.runtime.bench.wording import MISSING, duration, name_of, rate, times

_QUIET_SHARE = 0.05
_HEADERS = ("p50 ms", "p95 ms", "p99 ms", "img/s", "steps", "MB")


def print_table(content: Mapping[str, Any], console: Console | None = None) -> None:
    """Print all rows, PyTorch's after ours, a part for each mode and batch.

    Args:
        content: of bench.json.
        console: to print on; absent: standard output.
    """
    rows = [*content["rows"], *content.get("reference", {"rows": []})["rows"]]
    table = Table(title=_title(content), title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("mode, batch", no_wrap=True)
    for header in (*_HEADERS, *(["× eager"] if "ratios" in content else [])):
        table.add_column(header, justify="right", no_wrap=True)
    ratios = _ratios(content)
    for mode, batch in dict.fromkeys((row["mode"], row["batch"]) for row in rows):
        table.add_row(f"{mode}, {batch}", style="bold")
        for row in (row for row in rows if (row["mode"], row["batch"]) == (mode, batch)):
            table.add_row(*_cells(row), *([times(ratios.get(_key(row)))] if "ratios" in content else []))
        table.add_section()
    (console or Console()).print(table)


def print_notes(content: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the share of the floor, and what was left out or is doubtful."""
    console = console or Console()
    shares = content.get("share_of_floor", {})
    for key, share in shares.items():
        if key.startswith("search_step_batch_") and share is not None:
            label = content["ratios"]["fastest"][key]
            console.print(f"{key}: {share:.2f} of the fp32 floor ({label})", highlight=False, soft_wrap=True)
    for entry in content["left_out"]:
        name = " ".join(filter(None, (entry["backend"], entry["precision"])))
        console.print(f"not measured: {name}: {entry['reason']}", highlight=False, markup=False, soft_wrap=True)
    for sentence in doubts(content):
        print_warning(sentence, console)


def doubts(content: Mapping[str, Any]) -> list[str]:
    """Return what makes these figures doubtful, a sentence each."""
    found = []
    others = content["environment"]["others_share"]
    if others is not None and others > _QUIET_SHARE:
        found.append(
            f"other processes took {100 * others:.0f}% of the processor while this was measured: durations are too "
            "long and ratios wrong, for thread pools suffer unequally; measure again when the machine is quiet"
        )
    for entry in content.get("reference", {"agreement": []})["agreement"]:
        if not entry["verified"]:
            found.append(f"{name_of(entry)} is left out of the ratios' first figures: {_unverified(entry, content)}")
    return found


def _unverified(entry: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    guarded = {_label(one): one["guarded"] for one in content["backends"]}
    if entry["precision"] != "fp32" and not guarded[_label(entry)]:
        return (
            f"it was not verified on this machine; run: ganspect verify BUNDLE --backend {entry['backend']} "
            f"--precision {entry['precision']}"
        )
    mean = entry["mean_difference"]
    difference = "are not all numbers" if mean is None else f"differ by {100 * mean:.2g}% from PyTorch's"
    return (
        f"best scores {difference} on {content['reference']['run']}, and so do {entry['flips']} of {entry['tiles']} "
        "verdicts; is it the run that the bundle was exported from?"
    )


def _label(entry: Mapping[str, Any]) -> str:
    return f"{entry['backend']} {entry['precision']}"


def _ratios(content: Mapping[str, Any]) -> dict[tuple[Any, ...], float | None]:
    return {_key(entry): entry["eager"] for entry in content.get("ratios", {"table": []})["table"]}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["backend"], row["precision"], row["mode"], row["batch"]


def _title(content: Mapping[str, Any]) -> str:
    bundle, environment = content["bundle"], content["environment"]
    size = "x".join(map(str, bundle["size_hw"]))
    return (
        f"{bundle['folder']} ({bundle['system']}, {size}, K = {content['settings']['steps']}) on "
        f"{environment['processor']}, {environment['cores']} cores"
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"  {row['backend']} {row['precision']}",
        *(duration(row[name]) for name in ("p50_ms", "p95_ms", "p99_ms")),
        rate(row["images_per_s"]),
        MISSING if row["iterations"] == 0 else f"{row['iterations']:.3g}",
        f"{row['peak_rss_mb']:.0f}",
    )
