"""The tiny bundle with its score graph in INT8, proved as an export would."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.export.precision.proving import prove
from ganspect.records import CalibrationRecord
from tests.conftest import texture
from tests.runtime.conftest import set_threshold


def lift(folder: Path) -> CalibrationRecord:
    """Lift a bundle's thresholds by a tenth, as far as well-trained networks leave between them and normal scores.

    Those of the tiny bundle lie within a percent, where any lower precision is of no use.
    """
    record = open_bundle(folder).require_calibration()
    assert record.encoder is not None
    set_threshold(folder, 1.1 * record.search.value)
    set_threshold(folder, 1.1 * record.encoder.value, mode="encoder")
    return open_bundle(folder).require_calibration()


@pytest.fixture(scope="session")
def int8_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("int8") / "bundle")
    lift(folder)
    random = np.random.default_rng(20)
    prove(folder, ["int8"], [texture(random) for _ in range(6)])
    return folder
