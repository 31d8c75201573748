import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from ganspect.errors import OutputError
from ganspect.files import (
    new_file,
    new_folder,
    require_replaceable,
    require_writable,
    sha256_of,
    write_atomically,
    write_json,
)

MARKER = "manifest.json"


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def _write_half(target: Path) -> None:
    with new_folder(target, what=MARKER) as partial:
        (partial / MARKER).write_text("new")
        raise RuntimeError("broken")


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert _hidden(tmp_path) == []


def test_a_full_disk_keeps_the_old_file_and_says_so(tmp_path, monkeypatch):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*a\.txt: No space left on device; free some space"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert _hidden(tmp_path) == []


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        write_atomically(tmp_path / "absent" / "a.txt", b"new")


def test_a_large_file_appears_only_when_its_block_ends_and_one_that_fails_never(tmp_path):
    path = tmp_path / "big.csv"
    with new_file(path) as partial:
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"

    def fail(error: BaseException) -> None:
        with new_file(path) as partial:
            partial.write_text("more")
            raise error

    with pytest.raises(OutputError, match=r"cannot write .*big\.csv: No space left"):
        fail(OSError(28, "No space left on device"))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"value": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"value": float("nan")})
    assert target.read_text() == '{\n  "value": 1\n}\n'


def test_a_new_folder_appears_only_when_its_block_ends(tmp_path):
    target = tmp_path / "bundle"
    with new_folder(target, what=MARKER) as partial:
        (partial / MARKER).write_text("{}")
        assert not target.exists()
    assert (target / MARKER).is_file()
    assert _hidden(tmp_path) == []


def test_a_folder_whose_block_fails_never_appears_and_the_old_one_stays(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / MARKER).write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        _write_half(target)
    assert (target / MARKER).read_text() == "old"
    assert _hidden(tmp_path) == []


def test_an_older_folder_of_the_same_kind_is_replaced_whole(tmp_path):
    target = tmp_path / "bundle"
    target.mkdir()
    (target / MARKER).write_text("old")
    (target / "stale.onnx").write_text("old")
    with new_folder(target, what=MARKER) as partial:
        (partial / MARKER).write_text("new")
    assert [path.name for path in target.iterdir()] == [MARKER]
    assert (target / MARKER).read_text() == "new"


def test_a_folder_gets_the_permissions_of_the_umask(tmp_path):
    mask = os.umask(0o022)
    try:
        with new_folder(tmp_path / "bundle", what=MARKER):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / "bundle").stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_made_changes_the_umask_of_no_other_thread(tmp_path, monkeypatch):
    def change(mask: int) -> int:
        raise AssertionError("it is the whole process's")

    monkeypatch.setattr(os, "umask", change)
    with new_folder(tmp_path / "bundle", what=MARKER):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_leaves_no_folder_that_looks_whole(tmp_path, number):
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom ganspect.files import new_folder\n"
        f"with new_folder(Path(sys.argv[1]), what={MARKER!r}) as partial:\n"
        f"    (partial / {MARKER!r}).write_text('half')\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
    )
    target = tmp_path / "bundle"
    ended = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert ended.returncode == -number
    assert not target.exists()
    assert all(name.startswith(".bundle.partial") for name in _hidden(tmp_path))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(OutputError, match="is a file, a folder was expected; choose another --out"):
        require_replaceable(tmp_path / "bundle", marker=MARKER)


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"holds other files and no manifest\.json; choose an empty or new folder"),
        new_folder(tmp_path / "photos", what=MARKER),
    ):
        pass
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_an_empty_or_absent_folder_may_be_used(tmp_path):
    require_replaceable(tmp_path, marker=MARKER)
    require_replaceable(tmp_path / "absent", marker=MARKER)


def test_a_writable_folder_is_created_and_left_empty(tmp_path):
    folder = require_writable(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write into .*file is no folder; choose another one"):
        require_writable(tmp_path / "file" / "out")


def test_a_nearly_full_disk_is_found_before_work_starts(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(1 << 40, 1 << 40, 7 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="has 7 MB left, at least 50 MB are needed; free some space"):
        require_writable(tmp_path)


def test_sha256_is_that_of_the_whole_file(tmp_path):
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "weights.bin").write_bytes(content)
    assert sha256_of(tmp_path / "weights.bin") == hashlib.sha256(content).hexdigest()
