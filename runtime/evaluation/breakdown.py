"""The sections of the page that break its figures down: score by score, kind by kind, pixel by pixel."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from ganspect.runtime.evaluation.evaluated import Evaluated
from ganspect.runtime.evaluation.page import Section, Table
from ganspect.runtime.evaluation.wording import MISSING, detections, with_interval

Metrics: TypeAlias = Mapping[str, Any]


def scores_section(evaluated: Evaluated, metrics: Metrics) -> Section | None:
    """Return every score that the bundle can compute, side by side; None where a class is missing."""
    if metrics["image"] is None:
        return None
    rows: list[tuple[str, ...]] = []
    strong: set[int] = set()
    for name, score in metrics["scores"].items():
        if score["deployed"]:
            strong.add(len(rows))
        searched = name != "encoder" and metrics["protocol"]["mode"] == "search"
        figures = (score["auroc"] if searched else None, score["at_last"]["auroc"], score["at_start"]["auroc"])
        rows.append((name, *map(with_interval, figures), score["formula"] or ""))
    header = ("score", "AUROC at the best", "after the last step", "at the encoder's start", "formula")
    table = _measured(Table(header, tuple(rows), frozenset(strong)))
    return Section("Every score side by side", _SCORES_LEAD, table=table)


_SCORES_LEAD = (
    "Taken at the best latent of the search, at the one after its last step (where AnoGAN's paper takes its score) and "
    "at the encoder's, as far as mode and bundle have them. The deployed one is in bold. To choose another, compare on "
    "images whose figures you do not publish."
)


def _measured(table: Table) -> Table:
    """Return a table without the columns that hold nothing."""
    kept = [index for index in range(len(table.header)) if any(row[index] != MISSING for row in table.rows)]
    rows = tuple(tuple(row[index] for index in kept) for row in table.rows)
    return Table(tuple(table.header[index] for index in kept), rows, table.strong)


def kinds_section(evaluated: Evaluated, metrics: Metrics) -> Section | None:
    """Return what is found of each kind of defect; None where there is one kind only."""
    kinds = metrics["kinds"]
    if not kinds:
        return None
    rows = tuple(
        (
            name,
            detections(kind["at_threshold"]),
            with_interval(kind["image"] and kind["image"]["auroc"]),
            *(with_interval(kind["pixel"] and kind["pixel"][metric]) for metric in ("auroc", "aupro")),
        )
        for name, kind in kinds.items()
    )
    header = ("kind", "found at threshold", "AUROC [95%]", "pixel AUROC", "AUPRO to 30% false positives")
    return Section("Kind by kind", _KINDS_LEAD, table=_measured(Table(header, rows)))


_KINDS_LEAD = (
    "Each kind of defect by itself, against the same normal images. A kind that ranks well and is not found would need "
    "a higher false-alarm rate; one that ranks badly, another model or score."
)


def pixels_section(evaluated: Evaluated, metrics: Metrics) -> Section | None:
    """Return how well the heat map points at defects; None where the data set has no masks."""
    pixel = metrics["pixel"]
    if pixel is None:
        return None
    rows = (
        ("pixel AUROC", with_interval(pixel["auroc"])),
        ("AUPRO to 30% false positives", with_interval(pixel["aupro"])),
    )
    masks = metrics["counts"]["with_mask"]
    lead = f"How well the heat map points at the defect, by the masks of {masks} anomalous images."
    return Section("Where the defect is", lead, table=Table(("", "[95% over images]"), rows))
