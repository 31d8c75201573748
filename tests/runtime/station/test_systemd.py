"""The unit of configs/, under the real systemd: started, hung, killed, reloaded and stopped."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.station.systemd_machine import ROOT, SystemdMachine, systemd_is_missing
from tests.runtime.station.test_station import MAIN
from tests.runtime.waiting import wait_for

UNIT = "ganspect.service"
# What differs from the unit as it is shipped: where the program lies, and how long a hang may last. Tests may run from
# a home folder or from /tmp, which the unit hides.
DIFFERENCE = """[Service]
ExecStart=
ExecStart={python} /etc/ganspect/main.py run /etc/ganspect/station.yaml
Environment=PYTHONPATH={root}
WatchdogSec=3
ProtectHome=read-only
BindReadOnlyPaths={root}
"""
STATION = """name: line3
bundle: /var/lib/ganspect/bundle
data: /var/lib/ganspect/line3
inspection: {backend: onnxruntime, threads: 1}
cameras: [{name: upper, source: /var/lib/ganspect/line.avi, loop: true, frames_per_s: 5}]
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[SystemdMachine]:
    if reason := systemd_is_missing():
        pytest.skip(reason)
    folder = tmp_path / "machine"
    folder.mkdir()
    made = SystemdMachine(folder)
    try:
        if not made.wait_until_up():
            pytest.skip(f"systemd does not run here: {made.log.read_text()[-500:]}")
        yield made
    finally:
        made.close()


def install(machine: SystemdMachine, bundle: Path, video: Path) -> None:
    """Do what the head of the unit says, and step ten of docs/station.md."""
    etc, state, units = (machine.root / name for name in ("etc/ganspect", "var/lib/ganspect", "etc/systemd/system"))
    etc.mkdir()
    state.mkdir()
    shutil.copytree(bundle, state / "bundle")
    shutil.copy(video, state / "line.avi")
    (etc / "station.yaml").write_text(STATION)
    (etc / "main.py").write_text(MAIN)
    shutil.copy(ROOT / "configs" / UNIT, units / UNIT)
    (units / f"{UNIT}.d").mkdir()
    (units / f"{UNIT}.d/difference.conf").write_text(DIFFERENCE.format(python=sys.executable, root=ROOT))
    for place in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        for parent in place.parents:
            inside = machine.root / parent.relative_to("/")
            inside.chmod(inside.stat().st_mode | 0o011)
    assert machine.run("useradd", "--system", "--groups", "video", "ganspect").returncode == 0
    assert machine.run("systemctl", "daemon-reload").returncode == 0


def verdicts(machine: SystemdMachine) -> int:
    counted = "import sqlite3; print(sqlite3.connect('/var/lib/ganspect/line3/history.sqlite').execute("
    ended = machine.run(sys.executable, "-c", f"{counted}'SELECT count(*) FROM verdicts').fetchone()[0])")
    return int(ended.stdout)


def journal(machine: SystemdMachine) -> str:
    return machine.run("journalctl", "--unit", UNIT, "--output", "cat", "--no-pager").stdout


def test_a_station_is_a_service_that_systemd_keeps_alive(machine, tiny_bundle, video_file):
    install(machine, tiny_bundle, video_file)
    started = machine.run("systemctl", "start", UNIT)
    assert started.returncode == 0, journal(machine)
    # It is ready when the command returns, as the unit's user, with nothing but its own folder to write to.
    assert machine.shown(UNIT, "ActiveState") == "active"
    assert machine.shown(UNIT, "StatusText").startswith("inspecting with bundle ")
    first = machine.shown(UNIT, "MainPID")
    state = machine.run("grep", "-E", "^(Uid|CapEff|NoNewPrivs)", f"/proc/{first}/status").stdout
    assert "\nCapEff:\t0000000000000000" in state
    assert "Uid:\t0" not in state
    assert " / ro," in machine.run("cat", f"/proc/{first}/mountinfo").stdout
    wait_for(lambda: verdicts(machine) > 3, "it judges", 60)

    assert machine.run("systemctl", "reload", UNIT).returncode == 0
    wait_for(lambda: machine.shown(UNIT, "ActiveState") == "active", "it has reloaded", 60)
    assert "the bundle is loaded anew" in journal(machine)
    assert machine.shown(UNIT, "MainPID") == first

    machine.run("kill", "-STOP", first)
    wait_for(lambda: machine.shown(UNIT, "NRestarts") == "1", "the watchdog ends a station that hangs", 90)
    wait_for(lambda: machine.shown(UNIT, "ActiveState") == "active", "it is back", 90)
    second = machine.shown(UNIT, "MainPID")
    assert second != first

    machine.run("kill", "-KILL", second)
    wait_for(lambda: machine.shown(UNIT, "NRestarts") == "2", "a station that was killed starts again", 90)
    wait_for(lambda: machine.shown(UNIT, "ActiveState") == "active", "it is back", 90)
    had = verdicts(machine)
    wait_for(lambda: verdicts(machine) > had, "it judges again", 60)

    assert machine.run("systemctl", "stop", UNIT).returncode == 0
    assert (machine.shown(UNIT, "ActiveState"), machine.shown(UNIT, "Result")) == ("inactive", "success")
    assert machine.shown(UNIT, "ExecMainStatus") == "0"
