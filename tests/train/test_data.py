import shutil
from pathlib import Path

import numpy as np
import pytest

from ganspect.datasets import open_dataset
from ganspect.errors import ConfigError, DataError
from ganspect.opencv import cv2
from ganspect.sections import parse
from ganspect.train.data import TrainingData, load_training_data
from ganspect.train.fanogan import FanoganRecipe


def load(folder: Path, **sections: object) -> TrainingData:
    recipe = parse({"system": "fanogan", "image": {"size_hw": [28, 28]}, **sections}, FanoganRecipe, origin="a.yaml")
    return load_training_data(recipe, open_dataset(str(folder)))


def normal_folder(path: Path, mvtec_folder: Path, count: int = 24) -> Path:
    path.mkdir()
    for image in sorted((mvtec_folder / "train/good").iterdir())[:count]:
        shutil.copy(image, path)
    return path


def test_training_and_held_out_share_no_image(mvtec_folder: Path) -> None:
    record = load(mvtec_folder).record
    assert [record.n_training, len(record.fingerprints), len(record.held_out)] == [19, 19, 5]
    assert not set(record.fingerprints) & set(record.held_out)


def test_unreadable_images_are_left_out_counted_and_named(mvtec_folder: Path, tmp_path: Path) -> None:
    folder = normal_folder(tmp_path / "images", mvtec_folder)
    (folder / "100.png").write_bytes(b"")
    cv2.imwrite(str(folder / "101.png"), np.zeros((40, 40), np.uint16))
    cv2.imwrite(str(folder / "102.png"), np.zeros((40, 40, 4), np.uint8))
    data = load(folder)
    assert data.record.n_skipped == 3
    assert [image.name for image in data.skipped] == ["100.png", "101.png", "102.png"]
    assert "8 bit" in data.skipped[1].reason


def test_copies_count_once_so_that_none_is_trained_on_and_held_out(mvtec_folder: Path, tmp_path: Path) -> None:
    folder = normal_folder(tmp_path / "images", mvtec_folder, 12)
    for image in sorted(folder.iterdir()):
        shutil.copy(image, folder / f"copy_{image.name}")
    data = load(folder)
    assert data.record.n_training + len(data.record.held_out) == 12
    assert data.skipped[0].reason == "copy_000.png has the same pixels as 000.png"


def test_no_image_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 normal images of .* can be used; the first: .*a\.png is empty"):
        load(tmp_path)


def test_too_few_images(mvtec_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="7 usable normal images"):
        load(normal_folder(tmp_path / "images", mvtec_folder, 7))


def test_patches_for_a_model_of_whole_images(mvtec_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.patches_per_image trains on patches"):
        load(mvtec_folder, data={"patches_per_image": 4})


def test_whole_images_for_a_model_of_tiles(mvtec_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"image\.fit 'tiles' inspects patches"):
        load(mvtec_folder, image={"size_hw": [28, 28], "fit": "tiles"})


def test_images_smaller_than_a_patch_are_enlarged(mvtec_folder: Path) -> None:
    data = load(mvtec_folder, image={"size_hw": [64, 28], "fit": "tiles"}, data={"patches_per_image": 2})
    assert data.batches.plain(3).shape == (3, 1, 64, 28)
    assert data.batches.sizes.tolist()[0] == [64, 48]
