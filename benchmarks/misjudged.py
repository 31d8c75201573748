"""Which images does every bundle misjudge, what do they look like, and what do they cost?

    python benchmarks/misjudged.py REPORT REPORT … --out DIR --picture PNG

REPORT is a folder that `ganspect evaluate` wrote. An anomalous image is misjudged by all if in every report more than
half of the normal images have a higher score; a normal one, if in every report that has it more than half of the
anomalous ones have a lower score. Either the label is doubtful, or what gives the defect away is not to be seen at the
model's size: the picture shows them as the camera took them, so that a reader can say which. The AUROC without them
says what they weigh; since the scores themselves chose them, it is no figure that could be reached.
"""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, TypeAlias

import matplotlib as mpl
import numpy as np
from sklearn.metrics import roc_auc_score

from ganspect.datasets import open_dataset
from ganspect.errors import DataError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.preprocess import Frame

mpl.use("Agg")
from matplotlib import pyplot

SHOWN_AT_MOST = 24
_ACROSS = 8

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


class Scores(NamedTuple):
    """One report: its data set, names of its images, (n,) labels and (n,) deployed scores."""

    data: str
    names: list[str]
    labels: Floats
    scores: Floats


def read_scores(report: Path) -> Scores:
    """Read a report's scores.csv."""
    path = report / "scores.csv"
    try:
        data = json.loads((report / "metrics.json").read_text(encoding="utf-8"))["protocol"]["data"]
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        labels, scores = (np.array([float(row[key]) for row in rows]) for key in ("label", "score"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{report} is no report (metrics.json, scores.csv); give folders of ganspect evaluate"
        ) from error
    if len(set(labels)) < 2:
        raise DataError(f"{path} has images of one class only; give reports with normal and anomalous ones")
    return Scores(data, [row["name"] for row in rows], labels, scores)


def shares_on_the_wrong_side(report: Scores) -> dict[str, float]:
    """Return for each image the share of the other class that its score is on the wrong side of; 0 is right of all."""
    normal, anomalous = report.scores[report.labels == 0], report.scores[report.labels == 1]
    return {
        name: float((normal > score).mean() if label else (anomalous < score).mean())
        for name, label, score in zip(report.names, report.labels, report.scores, strict=True)
    }


def misjudged_by_all(reports: Sequence[Scores]) -> dict[str, float]:
    """Return the images misjudged in every report that has them, with their mean share on the wrong side; worst first.

    Images that fewer than half of the reports have are left out: too few have judged them.
    """
    shares: dict[str, list[float]] = {}
    for report in reports:
        for name, share in shares_on_the_wrong_side(report).items():
            shares.setdefault(name, []).append(share)
    wrong = {name: mean(of) for name, of in shares.items() if min(of) > 0.5 and 2 * len(of) >= len(reports)}
    return dict(sorted(wrong.items(), key=lambda item: -item[1]))


def auroc(report: Scores, without: Sequence[str] = ()) -> float | None:
    """Return a report's AUROC without some images, or None if no more than one class is left."""
    kept = np.array([name not in without for name in report.names])
    labels = report.labels[kept]
    return float(roc_auc_score(labels, report.scores[kept])) if len(set(labels)) == 2 else None


def summarise(reports: Sequence[Scores]) -> dict[str, Any]:
    """Return who is misjudged by all, and the mean AUROC with and without them.

    Raises:
        DataError: the reports are of several data sets.
    """
    data = sorted({report.data for report in reports})
    if len(data) > 1:
        raise DataError(f"the reports are of {' and '.join(data)}; give reports of one data set")
    wrong = misjudged_by_all(reports)
    labels = {name: int(label) for report in reports for name, label in zip(report.names, report.labels, strict=True)}
    return {
        "benchmark": "misjudged",
        "data": data[0],
        "reports": len(reports),
        "anomalous": {name: round(share, 3) for name, share in wrong.items() if labels[name] == 1},
        "normal": {name: round(share, 3) for name, share in wrong.items() if labels[name] == 0},
        "n_anomalous": sum(labels.values()),
        "auroc": _mean([auroc(report) for report in reports]),
        "auroc_without": _mean([auroc(report, list(wrong)) for report in reports]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 4) if len(known) == len(values) else None


def draw(frames: Sequence[tuple[str, Frame]], out: Path) -> None:
    """Write a sheet of images as the camera took them, a name above each."""
    across = max(1, min(_ACROSS, len(frames)))
    down = max(1, -(-len(frames) // across))
    figure, axes = pyplot.subplots(down, across, figsize=(2.4 * across, 2.6 * down), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, frame) in zip(axes.flat, frames, strict=False):
        axis.imshow(frame if frame.ndim == 2 else frame[..., ::-1], cmap="gray", vmin=0, vmax=255)
        axis.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.3)
    figure.savefig(out, dpi=90, bbox_inches="tight")
    pyplot.close(figure)


def _frames(found: dict[str, Any], data_path: Path | None) -> list[tuple[str, Frame]]:
    dataset = open_dataset(found["data"], path=data_path)
    samples = {sample.name: sample for sample in (*dataset.train, *dataset.test)}  # whichever split the reports had
    chosen = [*list(found["anomalous"])[:SHOWN_AT_MOST], *list(found["normal"])[:_ACROSS]]
    return [(f"{Path(name).stem}, {samples[name].kind}", samples[name].read()) for name in chosen]


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="Find the images that every bundle misjudges.")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT")
    parser.add_argument("--data-path", type=Path, help="file of a data set that no package brings")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for misjudged.json")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw them")
    given = parser.parse_args(arguments)
    try:
        path = require_writable(given.out) / "misjudged.json"
        result = summarise([read_scores(report) for report in given.reports])
        if given.picture is not None:
            require_writable(given.picture.absolute().parent)
            draw(_frames(result, given.data_path), given.picture)
    except GanspectError as error:
        print(f"misjudged: {error}", file=sys.stderr)
        return 2
    write_json(path, result)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
