import pytest

from ganspect.datasets import fingerprint, open_dataset
from ganspect.errors import DataError

pytest.importorskip("elpv_dataset", reason="needs the package elpv-dataset")


def test_four_fifths_of_the_normal_cells_are_for_training() -> None:
    dataset = open_dataset("elpv:mono")
    assert len(dataset.train) == 470
    assert sum(sample.label == 0 for sample in dataset.test) == 118
    assert sum(sample.label == 1 for sample in dataset.test) == 313
    assert all(sample.label == 0 for sample in dataset.train)


def test_the_split_depends_on_its_seed_alone() -> None:
    def names(seed: int) -> list[str]:
        return [sample.name for sample in open_dataset("elpv:poly", split_seed=seed).train]

    assert names(0) == names(0) != names(1)


def test_both_kinds() -> None:
    both = open_dataset("elpv")
    assert len(both.train) + len(both.test) == 2223


def test_cells_are_read_as_stored() -> None:
    first, second = open_dataset("elpv:mono").train[:2]
    assert first.read().shape == (300, 300)
    assert fingerprint(first.read()) != fingerprint(second.read())


def test_unknown_kind() -> None:
    with pytest.raises(DataError, match="no cells of kind 'momo'; did you mean 'mono'"):
        open_dataset("elpv:momo")
