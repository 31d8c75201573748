"""What a screening amounted to: counts, latencies, iterations; printed as a table and written as summary.json."""

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ganspect.datasets import Skipped
from ganspect.files import write_json
from ganspect.runtime.results import SUMMARY

_PARTS = ("capture", "preprocess", "score", "search", "total")
_PERCENTILES = (50, 95, 99)

LATENCIES_KEPT = 100_000
"""Frames whose latencies the percentiles are of, the last ones: a camera may run for weeks."""


@dataclass
class Tally:
    """Counts over the records of a run, as `ganspect.runtime.results.to_record` gives them.

    Attributes:
        verdicts: frames by verdict.
        outcomes: frames by outcome.
        steps: iterations of all frames together.
        latency_ms: times by part, of the last `LATENCIES_KEPT` frames.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    steps: int = 0
    latency_ms: dict[str, deque[float]] = field(
        default_factory=lambda: {part: deque(maxlen=LATENCIES_KEPT) for part in _PARTS}
    )

    @property
    def frames(self) -> int:
        """Return how many frames were counted."""
        return self.verdicts.total()

    def add(self, record: dict[str, Any]) -> None:
        """Count one frame."""
        self.verdicts[record["verdict"]] += 1
        self.outcomes[record["outcome"]] += 1
        self.steps += record["steps"]
        for part, values in self.latency_ms.items():
            values.append(record["latency_ms"][part])

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as summary.json holds them; latencies are null without a frame."""
        return {
            "frames": self.frames,
            **{verdict: self.verdicts[verdict] for verdict in ("normal", "anomalous", "undecided")},
            "outcomes": {outcome: self.outcomes[outcome] for outcome in ("cleared", "complete", "budget")},
            "steps_mean": round(self.steps / self.frames, 3) if self.frames else None,
            "latency_ms": {part: _percentiles(values) for part, values in self.latency_ms.items()},
        }


@dataclass(frozen=True)
class Summary:
    """A run's figures beside what it was run with.

    Attributes:
        settings: what was asked for: bundle, source, mode, backend, threshold, steps, budget_ms.
        tally: the figures.
        skipped: frames left out, with reasons.
        warnings: what a user should know.
        interrupted: whether the run was stopped before the source ended.
    """

    settings: dict[str, Any]
    tally: Tally
    skipped: list[Skipped]
    warnings: list[str]
    interrupted: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the content of summary.json."""
        return {
            **self.settings,
            **self.tally.to_dict(),
            "skipped": [{"name": entry.name, "reason": entry.reason} for entry in self.skipped],
            "warnings": self.warnings,
            "interrupted": self.interrupted,
        }

    def write(self, folder: Path) -> None:
        """Write summary.json; see `ganspect.files.write_json` for what is raised."""
        write_json(folder / SUMMARY, self.to_dict())

    def show(self, console: Console) -> None:
        """Print the figures, then what was skipped and the warnings."""
        content = self.to_dict()
        console.print(_table(content))
        for entry in self.skipped:
            console.print(f"skipped: {entry}", markup=False, highlight=False, soft_wrap=True)
        for sentence in self.warnings:
            console.print(f"warning: {sentence}", markup=False, highlight=False, soft_wrap=True)
        if self.interrupted:
            console.print("interrupted: the results end with the last frame that was decided")


def _table(content: dict[str, Any]) -> Table:
    table = Table("", "", title=f"{content['source']} by {content['bundle']}", show_header=False)
    table.add_row("frames", str(content["frames"]))
    for verdict in ("normal", "anomalous", "undecided"):
        table.add_row(verdict, str(content[verdict]))
    table.add_row("skipped", str(len(content["skipped"])))
    outcomes = content["outcomes"].items()
    table.add_row("outcomes", ", ".join(f"{count} {outcome}" for outcome, count in outcomes if count) or "none")
    if content["frames"]:
        table.add_row("iterations, mean", f"{content['steps_mean']:.1f}")
    for part in _PARTS:
        if figures := content["latency_ms"][part]:
            row = " / ".join(f"{figures[f'p{percentile}']:.1f}" for percentile in _PERCENTILES)
            table.add_row(f"{part} ms, p50 / p95 / p99", row)
    return table


def _percentiles(values: deque[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {f"p{percentile}": round(float(np.percentile(values, percentile)), 3) for percentile in _PERCENTILES}
