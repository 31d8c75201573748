"""What a station did, as a table."""

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from ganspect.runtime.station.station import Station

_VERDICTS = ("normal", "anomalous", "undecided")


def summary_table(station: Station) -> Table:
    """Return frames, verdicts, losses and latency of each camera."""
    table = Table(
        *("camera", "frames", "normal, anomalous, undecided", "dropped", "unusable", "failures", "ms p50, p99"),
        title=escape(f"{station.settings.name}: {station.recorder.kept} verdicts in {station.history.path}"),
        title_justify="left",
        box=box.SIMPLE,
    )
    missed = {status.camera: status.missed for status in station.cameras.trigger_status()}
    if missed:
        table.add_column("missed")
    for name, feed in station.cameras.feeds.items():
        status, counts = feed.status(), station.counts.of(name)
        latency = np.percentile(counts.latency_ms, (50, 99)) if counts.latency_ms else None
        table.add_row(
            name,
            str(status.frames),
            ", ".join(str(counts.verdicts[verdict]) for verdict in _VERDICTS),
            str(status.dropped),
            str(counts.unusable + status.skipped),
            str(status.failures),
            "–" if latency is None else f"{latency[0]:.1f}, {latency[1]:.1f}",
            *([str(missed.get(name, "–"))] if missed else []),
        )
    return table
