"""What systemd is told: a real datagram socket in its place."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ganspect.errors import OutputError
from ganspect.runtime.station.notify import Supervisor
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from tests.runtime.station.test_station import MAIN, ROOT, wait_for

UNIT = ROOT / "configs/ganspect.service"


class Listener:
    """Stands where systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        threading.Thread(target=self._listen, daemon=True).start()

    def count(self, line: str) -> int:
        return sum(line in message.splitlines() for message in self.heard)

    def statuses(self) -> list[str]:
        lines = [line for message in self.heard for line in message.splitlines()]
        return [line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.heard.append(message.decode())


@pytest.fixture(params=["path", "abstract"])
def listener(request, tmp_path: Path) -> Iterator[Listener]:
    made = Listener(f"@ganspect-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Iterator[Listener]:
    """A listener for a station in this process, whose watchdog bites after 200 ms."""
    made = Listener(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", made.address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setattr("ganspect.runtime.station.station._LOOK_S", 0.05)
    yield made
    made.close()


@pytest.fixture
def station(tmp_path: Path, tiny_bundle: Path, video_file: Path, here: Listener) -> Iterator[Callable[[str], Station]]:
    """Return a function that runs a station with a source in a thread."""
    stopping, running = threading.Event(), []

    def start(source: str = "") -> Station:
        file = tmp_path / "station.yaml"
        camera = f"{{name: line, source: '{source or video_file}', loop: {str(not source).lower()}, open_timeout_s: 1}}"
        inspection = "{backend: onnxruntime, threads: 1}"
        file.write_text(f"bundle: {tiny_bundle}\ndata: data\ninspection: {inspection}\ncameras: [{camera}]\n")
        made = Station.open(read_station(file), tmp_path)
        thread = threading.Thread(target=made.run, args=(stopping,))
        thread.start()
        running.extend([thread, made])
        return made

    yield start
    stopping.set()
    running[0].join(20)
    running[1].close()


def fed(listener: Listener, within_s: float = 5) -> bool:
    """Return whether the watchdog, which is fed every 100 ms, hears two more times in time."""
    begin, end_s = listener.count("WATCHDOG=1"), time.monotonic() + within_s
    while listener.count("WATCHDOG=1") < begin + 2 and time.monotonic() < end_s:
        time.sleep(0.01)
    return listener.count("WATCHDOG=1") >= begin + 2


def test_a_station_says_when_it_is_ready_reloads_and_stops(listener, tmp_path, tiny_bundle, video_file):
    file = tmp_path / "station.yaml"
    file.write_text(f"bundle: {tiny_bundle}\ndata: data\ncameras: [{{name: a, source: {video_file}, loop: true}}]\n")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", str(file)],
        cwd=ROOT,
        env={**os.environ, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "400000"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        wait_for(lambda: listener.count("READY=1") == 1 and listener.count("WATCHDOG=1") > 2, "it is ready and alive")
        assert any(status.startswith("inspecting with bundle ") for status in listener.statuses())
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: listener.count("READY=1") == 2, "it has reloaded")
        reloading = next(message for message in listener.heard if message.startswith("RELOADING=1"))
        begun_us = int(reloading.partition("\nMONOTONIC_USEC=")[2])
        assert 0 < time.monotonic() - begun_us / 1e6 < 60
        process.terminate()
        assert process.wait(20) == 0, process.stderr.read()
        assert listener.count("STOPPING=1") == 1
        assert listener.heard[0].startswith("READY=1")
    finally:
        process.kill()
        process.communicate()


def test_a_hung_inference_is_not_covered_up(station, here, monkeypatch):
    running = station()
    assert fed(here)
    hung, goes_on = threading.Event(), threading.Event()
    inspect = running.inspector.inspect

    def hang(frame):
        hung.set()
        goes_on.wait()
        return inspect(frame)

    monkeypatch.setattr(running.inspector, "inspect", hang)
    assert hung.wait(5)
    try:
        running.reload()  # a thread that still lives feeds nothing
        wait_for(lambda: running.swap.status().state == "ready", "the next bundle is loaded")
        assert not fed(here, within_s=0.6)
    finally:
        goes_on.set()
    assert fed(here)


def test_a_full_disk_does_not_trip_the_watchdog(station, here, monkeypatch):
    running = station()
    monkeypatch.setattr("ganspect.runtime.station.station._STOPPING_S", 0.3)
    running.recorder._most = 3
    append = running.history.append
    monkeypatch.setattr(running.history, "append", lambda _: (_ for _ in ()).throw(OutputError("the disk is full")))
    wait_for(lambda: running.recorder.held == 3 and running.recorder.alarm, "the disk is full")
    assert fed(here)
    wait_for(lambda: any("verdicts are held" in status for status in here.statuses()), "the status says so")
    monkeypatch.setattr(running.history, "append", append)


def test_a_lost_camera_and_a_pause_do_not_trip_the_watchdog(station, here):
    running = station("rtsp://127.0.0.1:9/1")
    wait_for(lambda: any("line is lost" in status for status in here.statuses()), "the status says so")
    assert fed(here)
    running.pause(True)
    assert fed(here)
    wait_for(lambda: here.statuses()[-1].startswith("paused, bundle "), "the status says so")


def test_nothing_is_sent_where_nobody_listens_and_a_silent_listener_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervisor = Supervisor.of_environment()
    supervisor.ready()
    supervisor.alive("fine")
    supervisor.close()
    gone = Supervisor(str(tmp_path / "nobody"), watchdog_s=1)
    gone.ready()
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.bind(str(tmp_path / "full"))
    deaf = Supervisor(str(tmp_path / "full"))
    for number in range(2000):  # far more than a socket holds
        deaf.alive(f"status {number}")
    for one in (gone, deaf, full):
        one.close()


def test_the_watchdog_of_another_process_is_left_alone(monkeypatch, here):
    monkeypatch.setenv("WATCHDOG_PID", "1")
    supervisor = Supervisor.of_environment()
    supervisor.ready()
    supervisor.alive()
    wait_for(lambda: here.count("READY=1") == 1, "it is ready")
    assert here.count("WATCHDOG=1") == 0
    supervisor.close()


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # What it starts is not installed here, and systemd-analyze would say so.
    unit = UNIT.read_text(encoding="utf-8").replace("/opt/ganspect/.venv/bin/ganspect", sys.executable)
    (tmp_path / UNIT.name).write_text(unit)
    (tmp_path / UNIT.name).chmod(0o644)  # whatever the umask is
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "WatchdogSec=" in unit
    assert "Type=notify\n" in unit
