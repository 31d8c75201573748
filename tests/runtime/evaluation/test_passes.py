from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.datasets import open_dataset
from ganspect.preprocess import to_tiles
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.evaluation.readout import Readout
from ganspect.runtime.inspector import tile_grid
from ganspect.runtime.search import LatentSearch
from tests.runtime.evaluation.conftest import SCORES_OF_FANOGAN, rows_of


def test_scores_after_the_last_step_are_those_of_the_point_that_comes_next(
    report: Any, tiny_bundle: Path, mvtec_folder: Path
) -> None:
    rows = rows_of(report.folder)
    bundle, test = open_bundle(tiny_bundle), open_dataset(str(mvtec_folder)).test
    assert [sample.name for sample in test] == [row["name"] for row in rows]
    tiles = np.concatenate([to_tiles(sample.read(), tile_grid(bundle)).images for sample in test])
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        search, readout = LatentSearch(bundle, backend), Readout(bundle, backend)
        found, further = search.full(tiles, steps=5), search.full(tiles, steps=6)
        expected = readout.scores(readout.represent(tiles), found.points)
    for name in SCORES_OF_FANOGAN:
        last = np.array([float(row[f"last_{name}"]) for row in rows])
        np.testing.assert_allclose(last, expected[name], rtol=1e-3)
    last = np.array([float(row["last_residual_mean"]) for row in rows])
    np.testing.assert_allclose(np.minimum(found.score, last), further.score, rtol=1e-3)
    assert not np.allclose(last, [float(row["search_residual_mean"]) for row in rows], rtol=1e-3)
    labels = np.array([sample.label for sample in test])
    difference = np.subtract.outer(last[labels == 1], last[labels == 0])
    at_last = report.metrics["scores"]["residual_mean"]["at_last"]
    assert at_last["auroc"]["value"] == pytest.approx((difference > 0).mean())
    assert report.metrics["scores"]["encoder"]["at_last"] == {"auroc": None}
