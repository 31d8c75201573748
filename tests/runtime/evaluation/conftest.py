"""One evaluation of the tiny bundle, made once and looked at by many tests."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ganspect.runtime.evaluation import evaluate_bundle

SCORES_OF_FANOGAN = {
    *("anogan", "anogan_sum", "fanogan", "feature_distance"),
    *("residual_mean", "residual_worst", "residual_calibrated", "residual_contrast", "residual_peak"),
    "latent_mahalanobis",
}
"""What a generator and plain features can compute: no logits, no pairs, no second encoder."""


class Report(NamedTuple):
    """What an evaluation wrote and returned."""

    folder: Path
    metrics: dict[str, Any]


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the lines of a report's scores.csv."""
    return list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, mvtec_folder: Path) -> Report:
    """Search mode with a curve of all twelve images."""
    out = tmp_path_factory.mktemp("evaluations") / "report"
    metrics = evaluate_bundle(tiny_bundle, str(mvtec_folder), out, curve=True, curve_iterations=(1, 3, 5))
    return Report(out, metrics)


@pytest.fixture
def changed_manifest(copy: Callable[[Path], Path]) -> Callable[..., Path]:
    """Return a function that copies a bundle and sets keys of a section of its manifest."""

    def change(bundle: Path, section: str, **keys: Any) -> Path:
        copied = copy(bundle)
        manifest = json.loads((copied / "manifest.json").read_text())
        manifest[section].update(keys)
        (copied / "manifest.json").write_text(json.dumps(manifest))
        return copied

    return change
