"""What a station did, as a table."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ganspect.runtime.percentiles import p50_p99
from ganspect.runtime.station.station import Station

_VERDICTS = ("normal", "anomalous", "undecided")


def show_summary(station: Station, console: Console) -> None:
    """Print the table, then what each output did, and what could not be delivered yet."""
    console.print(summary_table(station))
    said = []
    for one in station.outputs.status():
        lost = one.failed + one.dropped
        text = f"output {one.name}: {one.rejected} parts rejected, {one.late} of them late"
        said.append(text + (f", {lost} NOT rejected" if lost else ""))
    for name, error in station.sinks.failing().items():
        said.append(f"sink {name} owes verdicts, to be delivered after the next start: {error}")
    for text in said:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def summary_table(station: Station) -> Table:
    """Return frames, verdicts, losses and latency of each camera."""
    table = Table(
        *("camera", "frames", "normal, anomalous, undecided", "dropped", "unusable", "failures", "ms p50, p99"),
        title=escape(f"{station.settings.name}: {station.recorder.kept} verdicts in {station.history.path}"),
        title_justify="left",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    missed = {status.camera: status.missed for status in station.cameras.trigger_status()}
    if missed:
        table.add_column("missed")
    for name, feed in station.cameras.feeds.items():
        status, counts = feed.status(), station.counts.of(name)
        p50_ms, p99_ms = p50_p99(counts.latency_ms)
        table.add_row(
            name,
            str(status.frames),
            ", ".join(str(counts.verdicts[verdict]) for verdict in _VERDICTS),
            str(status.dropped),
            str(counts.unusable + status.skipped),
            str(status.failures),
            "–" if p50_ms is None else f"{p50_ms:.1f}, {p99_ms:.1f}",
            *([str(missed.get(name, "–"))] if missed else []),
        )
    return table
