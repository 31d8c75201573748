from pathlib import Path

import numpy as np
import pytest

from ganspect.datasets import open_dataset, read_samples
from ganspect.errors import DataError
from ganspect.opencv import cv2


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((8, 9), np.uint8))


def test_mvtec_layout(mvtec_folder: Path) -> None:
    dataset = open_dataset(str(mvtec_folder))
    assert [len(dataset.train), len(dataset.test)] == [24, 12]
    assert {(sample.label, sample.kind) for sample in dataset.test} == {(0, "good"), (1, "scratch")}
    assert dataset.train[0].name == "train/good/000.png"
    assert len({sample.name for sample in (*dataset.train, *dataset.test)}) == 36


def test_masks_are_true_on_the_defect_and_empty_on_good_images(mvtec_folder: Path) -> None:
    for sample in open_dataset(str(mvtec_folder)).test:
        assert sample.read_mask is not None
        mask = sample.read_mask()
        assert mask.dtype == np.bool_
        assert mask.shape == sample.read().shape[:2]
        assert mask.any() == bool(sample.label)


def test_without_ground_truth_there_are_no_masks(tmp_path: Path) -> None:
    for name in ("train/good/a.png", "test/good/a.png", "test/hole/a.png"):
        write_image(tmp_path / name)
    assert all(sample.read_mask is None for sample in open_dataset(str(tmp_path)).test)


def test_test_may_be_absent(tmp_path: Path) -> None:
    write_image(tmp_path / "train/good/a.png")
    assert open_dataset(str(tmp_path)).test == ()


def test_a_flat_folder_is_all_normal(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png")
    write_image(tmp_path / "a.png")
    dataset = open_dataset(str(tmp_path))
    assert [sample.name for sample in dataset.train] == ["a.png", "b.png"]
    assert dataset.test == ()


def test_unreadable_images_are_named_and_left_out(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    frames, skipped = read_samples(open_dataset(str(tmp_path)).train)
    assert [sample.name for sample, _ in frames] == ["a.png"]
    assert [image.name for image in skipped] == ["b.png"]
    assert "b.png is empty" in skipped[0].reason


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize("folder", ["train/good", "train/bad", "test/good"])
def test_no_normal_images(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(DataError, match="no normal images: its train/good is absent or empty"):
        open_dataset(str(tmp_path))
