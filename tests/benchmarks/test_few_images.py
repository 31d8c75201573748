"""A data set with few normal pictures, as a folder that every command takes."""

from pathlib import Path

import numpy as np
from few_images import write_few

from ganspect.datasets import Dataset, Sample, open_dataset


def test_some_normal_images_and_all_test_images_with_their_masks_are_written(
    mvtec_folder: Path, tmp_path: Path
) -> None:
    whole = open_dataset(str(mvtec_folder))
    write_few(whole, tmp_path / "few", 5, 0)
    few = open_dataset(str(tmp_path / "few"))
    assert (len(few.train), len(few.test)) == (5, len(whole.test))
    drawn = [sample.read().tobytes() for sample in few.train]
    assert set(drawn) < {sample.read().tobytes() for sample in whole.train}
    kinds = [
        [(sample.kind, sample.label) for sample in sorted(of.test, key=lambda one: one.name)] for of in (few, whole)
    ]
    assert sorted(kinds[0]) == sorted(kinds[1])
    masks = [sample.read_mask() for sample in few.test if sample.label and sample.read_mask is not None]
    assert len(masks) == sum(sample.label for sample in whole.test)
    assert all(mask.any() for mask in masks)


def test_the_seed_decides_which_and_a_folder_that_is_whole_stays(mvtec_folder: Path, tmp_path: Path) -> None:
    whole = open_dataset(str(mvtec_folder))

    def names(folder: str, seed: int) -> list[str]:
        write_few(whole, tmp_path / folder, 4, seed)
        return sorted(path.name for path in (tmp_path / folder / "train/good").iterdir())

    assert names("a", 1) == names("b", 1) != names("c", 2)
    assert names("a", 2) == names("b", 1)  # it was there


def test_colour_comes_back_as_it_was(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    one = Dataset("one", (Sample("one", 0, "good", lambda: frame),), ())
    write_few(one, tmp_path / "few", 60, 0)
    (sample,) = open_dataset(str(tmp_path / "few")).train
    assert np.array_equal(sample.read(), frame)
