from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ganspect.datasets import open_dataset
from ganspect.errors import DataError

GREY = np.arange(4 * 8 * 9, dtype=np.uint8).reshape((4, 8, 9))


def write_npz(path: Path, **changes: Any) -> str:
    arrays: dict[str, Any] = {"x_normal_train": GREY, "x_test": GREY[:3], "y_test": np.array([0, 1, 2])}
    kept = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
    np.savez(path / "parts.npz", **kept)
    return str(path / "parts.npz")


def write_mnist(folder: Path, **changes: Any) -> Path:
    arrays = {"x_train": GREY, "y_train": np.array([3, 1, 3, 2]), "x_test": GREY[:2], "y_test": np.array([3, 1])}
    np.savez(folder / "mnist.npz", **{**arrays, **changes})
    return folder / "mnist.npz"


def test_npz(tmp_path: Path) -> None:
    dataset = open_dataset(write_npz(tmp_path, mask_test=(GREY[:3] > 60).astype(np.uint8)))
    assert [len(dataset.train), [sample.label for sample in dataset.test]] == [4, [0, 1, 1]]
    assert np.array_equal(dataset.train[2].read(), GREY[2])
    assert dataset.test[1].read_mask is not None
    assert np.array_equal(dataset.test[1].read_mask(), GREY[1] > 60)
    assert [sample.name for sample in dataset.test] == ["test/0", "test/1", "test/2"]


def test_rgb_comes_in_opencv_order(tmp_path: Path) -> None:
    rgb = np.stack([GREY, GREY * 0, GREY * 0 + 7], -1)
    sample = open_dataset(write_npz(tmp_path, x_normal_train=rgb)).train[1]
    assert np.array_equal(sample.read()[..., 2], GREY[1])
    assert (sample.read()[..., 0] == 7).all()


def test_missing_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks y_test"):
        open_dataset(write_npz(tmp_path, y_test=None))


def test_wrong_dtype(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x_test' holds float64"):
        open_dataset(write_npz(tmp_path, x_test=GREY.astype(float)))


@pytest.mark.parametrize("shape", [(4, 72), (4, 8, 9, 1), (4, 8, 9, 4)])
def test_wrong_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"'x_normal_train' has shape \(4, "):
        open_dataset(write_npz(tmp_path, x_normal_train=np.zeros(shape, np.uint8)))


def test_wrong_number_of_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'y_test' is int64 of shape \(2,\), expected 3 integers"):
        open_dataset(write_npz(tmp_path, y_test=np.array([0, 1])))


def test_wrong_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'mask_test' is uint8"):
        open_dataset(write_npz(tmp_path, mask_test=GREY))


def test_kinds_of_defects_have_their_names(tmp_path: Path) -> None:
    given = {
        "y_test": np.array([0, 1, 1]),
        "type_test": np.array([0, 2, 1]),
        "type_names": np.array(["x", "dent", "crack"]),
    }
    dataset = open_dataset(write_npz(tmp_path, **given))
    assert [sample.kind for sample in dataset.test] == ["good", "crack", "dent"]
    assert [sample.kind for sample in open_dataset(write_npz(tmp_path, y_test=given["y_test"])).test][1] == "anomalous"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"type_test": np.array([0, 1, 3])}, r"'type_test' has values from 0 to 3, but 'type_names' has 2 names"),
        ({"type_test": np.array([0, 1])}, r"'type_test' is int64 of shape \(2,\), expected 3 integers"),
        ({"type_names": np.array([1, 2])}, r"'type_names' is int64 of shape \(2,\), expected one row of texts"),
    ],
)
def test_kinds_that_do_not_fit_are_refused(tmp_path: Path, wrong: dict[str, np.ndarray], message: str) -> None:
    given = {"type_test": np.array([0, 1, 1]), "type_names": np.array(["good", "dent"])}
    with pytest.raises(DataError, match=message):
        open_dataset(write_npz(tmp_path, **(given | wrong)))


def test_no_normal_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x_normal_train' is empty"):
        open_dataset(write_npz(tmp_path, x_normal_train=GREY[:0]))


def test_damaged_file(tmp_path: Path) -> None:
    path = Path(write_npz(tmp_path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"no readable \.npz"):
        open_dataset(str(path))


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no readable \.npz file of plain arrays"):
        open_dataset(write_npz(tmp_path, y_test=np.array([object()])))


def test_mnist_has_one_normal_class_and_the_whole_test_set(tmp_path: Path) -> None:
    dataset = open_dataset("mnist:3", path=write_mnist(tmp_path))
    assert [sample.name for sample in dataset.train] == ["train/0", "train/2"]
    assert [(sample.label, sample.kind) for sample in dataset.test] == [(0, "good"), (1, "1")]


def test_the_environment_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANSPECT_FASHION_MNIST", str(write_mnist(tmp_path)))
    assert len(open_dataset("fashion-mnist:2").train) == 1


def test_mnist_without_a_digit_has_that_digit_as_the_anomaly(tmp_path: Path) -> None:
    one, others = (open_dataset(source, path=write_mnist(tmp_path)) for source in ("mnist:3", "mnist:not-3"))
    assert not {sample.name for sample in one.train} & {sample.name for sample in others.train}
    assert len(one.train) + len(others.train) == len(np.load(tmp_path / "mnist.npz")["y_train"])
    assert [1 - sample.label for sample in one.test] == [sample.label for sample in others.test]
    assert {sample.kind for sample in others.test if sample.label} == {"3"}
    assert {sample.kind for sample in others.test if not sample.label} == {"good"}


@pytest.mark.parametrize(
    "source", ["mnist:not-", "mnist:not-10", "mnist:3-not", "mnist:10", "mnist:", "mnist", "mnist:-1", "mnist:²"]
)
def test_digit_out_of_range(source: str) -> None:
    with pytest.raises(DataError, match="names no class from 0 to 9"):
        open_dataset(source)


def test_no_file_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANSPECT_MNIST", raising=False)
    with pytest.raises(DataError, match=r"no file was given; give it with --set data\.path=FILE"):
        open_dataset("mnist:3")


def test_file_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npz is not there"):
        open_dataset("mnist:3", path=tmp_path / "gone.npz")
