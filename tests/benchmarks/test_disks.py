"""Disks that can be filled: what this machine allows, and what is left where nobody may mount."""

import pytest
from station_rig import disks
from station_rig.disks import small_disk
from station_rig.limited import limit_by

from ganspect.errors import OutputError
from ganspect.runtime.history import History
from tests.runtime.history.entries import entry


def test_a_disk_is_full_until_it_is_freed(tmp_path):
    with small_disk(tmp_path) as disk:
        if "pages" in disk.kind:
            pytest.skip("nobody may mount here")
        disk.data.mkdir()
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.data / "some").write_bytes(b"x" * 8192)
        disk.free()
        (disk.data / "some").write_bytes(b"x" * 8192)
    assert not list((tmp_path / "disk").iterdir())


def test_where_nobody_may_mount_sqlites_limit_of_pages_fills_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr(disks.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(History, "append", History.append)
    with small_disk(tmp_path) as disk:
        assert disk.kind == "SQLite's limit of pages"
        limit_by(tmp_path / "full")
        with History.open(disk.data / "history.sqlite") as history:
            history.append([entry(0)])
            disk.fill()
            with pytest.raises(OutputError, match="full"):
                history.append([entry(number) for number in range(1, 200)])
            disk.free()
            history.append([entry(number) for number in range(1, 200)])
            assert sum(history.count().values()) == 200
