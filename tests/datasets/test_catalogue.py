import sys
from pathlib import Path

import pytest

from ganspect.datasets import open_dataset
from ganspect.datasets.catalogue import absolute_source
from ganspect.errors import DataError, MissingDependencyError


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist; give a folder"):
        open_dataset(str(tmp_path / "gone"))


def test_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match="no data set and no folder called 'elvp:mono'; did you mean 'elpv'"):
        open_dataset("elvp:mono")


def test_a_file_that_is_no_npz(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.zip is a file, but no \.npz"):
        open_dataset(str(tmp_path / "a.zip"))


def test_elpv_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    monkeypatch.delitem(sys.modules, "ganspect.datasets.elpv", raising=False)
    with pytest.raises(MissingDependencyError, match=r"pip install 'ganspect\[demo\]'"):
        open_dataset("elpv:mono")


def test_folders_become_absolute_and_names_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_source("images") == str(tmp_path / "images")
    assert absolute_source("mnist:3") == "mnist:3"
