"""ELPV: 2,624 solar cells in electroluminescence, 300x300 grey, with a defect probability (CC BY-NC-SA 4.0).

    pip install 'ganspect[demo]'; ganspect train configs/fanogan_elpv_mono.yaml --out run

Buerhop-Lutz et al. 2018; Deitsch et al. 2019. The images lie inside the package `elpv-dataset`. Cells of
probability 0 are normal, of probability 1 anomalous; those that the experts doubted (1/3, 2/3) are left out.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import elpv_dataset
import numpy as np

from ganspect.datasets.images import read_image
from ganspect.datasets.samples import Dataset, Sample
from ganspect.errors import DataError
from ganspect.sections import nearest

KINDS = ("mono", "poly")
TRAINING_SHARE = 0.8


class _Cell(NamedTuple):
    name: str
    probability: float
    kind: str


def load_elpv(name: str, kind: str | None, split_seed: int) -> Dataset:
    """List the cells: 80% of the normal ones to train on, the others and the defective ones to test on.

    Args:
        name: as the user wrote it.
        kind: `mono`, `poly`, or None for both.
        split_seed: the permutation's.

    Raises:
        DataError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise DataError(f"ELPV has no cells of kind {kind!r}; {nearest(kind, list(KINDS))}")
    folder = Path(elpv_dataset.__file__).parent / "data"
    cells = [cell for cell in _cells(folder) if kind in (None, cell.kind)]
    normal = [cell for cell in cells if cell.probability == 0]
    defective = [cell for cell in cells if cell.probability == 1]
    order = np.random.default_rng(split_seed).permutation(len(normal))
    shuffled = [normal[index] for index in order]
    training = round(TRAINING_SHARE * len(normal))
    return Dataset(
        name,
        tuple(_sample(folder, cell) for cell in shuffled[:training]),
        tuple(_sample(folder, cell) for cell in [*shuffled[training:], *defective]),
    )


def _cells(folder: Path) -> list[_Cell]:
    lines = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    return [_Cell(name, float(probability), kind) for name, probability, kind in rows]


def _sample(folder: Path, cell: _Cell) -> Sample:
    label = int(cell.probability)
    return Sample(cell.name, label, "defective" if label else "good", partial(read_image, folder / cell.name))
