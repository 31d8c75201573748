"""What the page answers, asked of a real server beside a running station."""

import http.client
import io
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ganspect.errors import OutputError
from ganspect.opencv import cv2
from ganspect.runtime.history import Query
from ganspect.runtime.outputs.status import OutputStatus
from ganspect.runtime.page.files import _FILES
from ganspect.runtime.page.health import health_of
from ganspect.runtime.station.summary import show_summary
from tests.runtime.page.served import wait_for

TOKEN = "correct horse battery"


@pytest.fixture
def running(serve):
    with serve("sinks: [{kind: pictures, verdicts: [normal, anomalous, undecided]}]") as served:
        wait_for(lambda: served.station.recorder.kept > 6, "verdicts come")
        yield served


def test_state_metrics_and_health_agree_with_the_station(running):
    state = running.json("/api/state")
    assert [camera["name"] for camera in state["cameras"]] == ["left", "right"]
    assert {camera["state"] for camera in state["cameras"]} == {"live"}
    assert state["threshold"] == running.station.inspector.threshold
    assert state["kept"] > 6
    status, headers, content = running.ask("GET", "/metrics")
    names = {line.split("{")[0].split(" ")[0] for line in content.decode().splitlines() if not line.startswith("#")}
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert names
    assert all(name.startswith("ganspect_") for name in names)
    figures = dict(line.rsplit(" ", 1) for line in content.decode().splitlines() if not line.startswith("#"))
    judged = sum(float(value) for name, value in figures.items() if name.startswith("ganspect_verdicts_total{"))
    in_bins = sum(float(value) for name, value in figures.items() if name.startswith("ganspect_latency_seconds_count"))
    assert judged == in_bins >= float(figures["ganspect_verdicts_kept_total"]) > 6
    assert figures['ganspect_camera_state{camera="left",state="live"}'] == "1.0"
    assert running.ask("GET", "/healthz")[0] == 200
    assert state["retention"]["used_mb"] > 0
    assert state["judging"]["size"] == float(figures["ganspect_batch_size"])
    assert float(figures["ganspect_history_bytes"]) > 0
    assert figures["ganspect_verdicts_put_aside_total"] == "0.0"


def test_what_happens_to_verdicts_later_is_a_problem_but_no_failure(running, monkeypatch):
    monkeypatch.setattr(running.station.recorder, "rejected", 2)
    monkeypatch.setattr(running.station.retention, "error", "no space left")
    monkeypatch.setattr(running.station.retention, "waits_for", "mqtt")
    health = health_of(running.station)
    assert health.ok
    said = "\n".join(health.problems)
    assert "the history does not take were put aside or lost: 2" in said
    assert "old verdicts cannot be removed: no space left" in said
    assert "until sink mqtt has delivered them" in said
    content = running.ask("GET", "/metrics")[2].decode()
    for line in ("verdicts_put_aside_total 2.0", "retention_fails 1.0", "retention_waits 1.0"):
        assert f"ganspect_{line}" in content


def test_a_camera_whose_frames_cannot_be_judged_is_a_problem(running, monkeypatch):
    monkeypatch.setattr(running.station.counts, "failing", lambda: {"left": (3, "4 channels")})
    assert health_of(running.station).problems == ["camera left: its last 3 frames could not be judged: 4 channels"]


def test_an_output_or_sink_that_does_not_work_is_a_problem(running, monkeypatch):
    dead = OutputStatus("ejector", "modbus", "", False, 0, 0, 1, 17, 0, 0, None, None, "the PLC cannot be reached")
    monkeypatch.setattr(running.station.outputs, "status", lambda: [dead])
    monkeypatch.setattr(running.station.sinks, "failing", lambda: {"mes": "it is away"})
    assert health_of(running.station).problems == [
        "output ejector rejects nothing: the PLC cannot be reached; 18 parts went by",
        "sink mes does not deliver: it is away",
    ]
    printed = Console(file=io.StringIO(), width=200)
    show_summary(running.station, printed)
    assert "output ejector: 0 parts rejected, 0 of them late, 18 NOT rejected" in printed.file.getvalue()
    assert "sink mes owes verdicts, to be delivered after the next start: it is away" in printed.file.getvalue()


def test_a_search_that_runs_out_of_time_is_a_problem(running, monkeypatch):
    monkeypatch.setattr(running.station.counts, "hurried", lambda: {"left": 0.72})
    assert health_of(running.station).problems[0].startswith("camera left: 72% of its last verdicts are undecided")


def test_what_a_server_refuses_for_good_is_a_problem(running, monkeypatch):
    monkeypatch.setattr(running.station.sinks, "refused", lambda: {"mes": 7})
    health = health_of(running.station)
    assert (health.ok, health.problems) == (
        True,
        ["sink mes: the server refused 7 verdicts for good; the log says why"],
    )


def test_a_full_disk_and_a_loop_that_hangs_are_unhealthy(running, monkeypatch):
    failing = monkeypatch.context
    with failing() as patch:
        patch.setattr(running.station.history, "append", lambda _: (_ for _ in ()).throw(OutputError("disk is full")))
        wait_for(lambda: running.ask("GET", "/healthz")[0] == 503, "the alarm is seen")
        assert any("disk is full" in problem for problem in running.json("/api/state")["problems"])
    wait_for(lambda: running.ask("GET", "/healthz")[0] == 200, "it recovers")
    with failing() as patch:
        patch.setattr("ganspect.runtime.page.health._HANGS_AFTER_S", -1)
        assert running.ask("GET", "/healthz")[0] == 503


def test_events_bring_the_state_and_the_points_of_the_charts_once(running):
    connection = http.client.HTTPConnection(running.host, running.port, timeout=10)
    connection.request("GET", "/api/events")
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    while len(events) < 3:
        line = answer.readline()
        if line.startswith(b"data: "):
            events.append(json.loads(line[6:]))
    connection.close()
    seconds = [[point["number"] for point in event["points"]["left"]] for event in events]
    assert seconds[0]
    assert seconds[2][0] >= seconds[0][-1]
    assert events[0]["points"]["left"][0]["threshold"] == running.station.inspector.threshold


def test_the_newest_frame_in_each_view(running):
    wide = {}
    for view in ("plain", "heat", "both"):
        status, headers, content = running.ask("GET", f"/api/cameras/left/live.jpg?view={view}")
        assert status == 200
        assert headers["content-type"] == "image/jpeg"
        wide[view] = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape[1]
        about = json.loads(headers["x-verdict"])
        assert about["verdict"] in ("normal", "anomalous", "undecided")
    assert wide["both"] == 2 * wide["heat"] == 2 * wide["plain"]

    def asked_again() -> int:
        _, headers, _ = running.ask("GET", "/api/cameras/left/live.jpg?view=heat")
        seen = json.loads(headers["x-verdict"])["id"] + "heat"
        return running.ask("GET", f"/api/cameras/left/live.jpg?view=heat&seen={seen}")[0]

    running.station.pause(True)
    wait_for(lambda: asked_again() == 204, "no frame comes any more, and the one that was seen is not sent again")
    assert running.ask("GET", "/api/cameras/none/live.jpg")[0] == 404
    assert running.ask("GET", "/api/cameras/left/live.jpg?view=x")[0] == 400


def test_verdicts_page_by_page_the_newest_first(running):
    running.station.pause(True)
    wait_for(lambda: not running.station.recorder.held, "all are kept")
    first = running.json("/api/verdicts?limit=3")["verdicts"]
    then = running.json(f"/api/verdicts?limit=3&before={first[-1]['number']}")["verdicts"]
    numbers = [record["number"] for record in first + then]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 6
    left = running.json("/api/verdicts?camera=left&limit=100")["verdicts"]
    assert {record["camera"] for record in left} == {"left"}
    assert all(record["anomalous"] for record in running.json("/api/verdicts?flagged=1")["verdicts"])
    for wrong in ("limit=x", "before=-1", "before=9999999999999999"):
        assert running.ask("GET", f"/api/verdicts?{wrong}")[0] == 400


def test_a_label_is_kept_and_can_be_taken_back(running):
    uid = running.json("/api/verdicts?limit=1")["verdicts"][0]["id"]
    for label in ("normal", "anomalous", None):
        assert running.ask("POST", f"/api/verdicts/{uid}/label", content={"label": label})[0] == 200
        assert next(running.station.history.records(Query(uid=uid)))["label"] == label
    for wrong in ({"label": "x"}, {}, {"label": None, "more": 1}, [], "text", b"{", b"[" * 3000):
        assert running.ask("POST", f"/api/verdicts/{uid}/label", content=wrong)[0] == 400
    assert running.ask("POST", f"/api/verdicts/{'0' * 32}/label", content={"label": None})[0] == 404


def test_pause_and_go_on(running):
    assert running.ask("POST", "/api/pause", content={"paused": True})[0] == 200
    assert running.station.paused
    assert running.json("/api/state")["paused"] in (True, False)
    assert running.ask("POST", "/api/pause", content={"paused": False})[0] == 200
    assert not running.station.paused
    assert running.ask("POST", "/api/pause", content={"paused": 1})[0] == 400
    assert running.ask("GET", "/api/pause")[0] == 405


def test_a_good_period_and_a_bundle_taken_anew(running):
    status, _, content = running.ask("POST", "/api/good", content={"on": True})
    assert status == 200
    name = json.loads(content)["name"]
    assert running.ask("POST", "/api/good", content={"on": True})[0] == 200
    wait_for(lambda: running.json("/api/state")["good"]["frames"] > 2, "frames are kept")
    assert running.ask("POST", "/api/good", content={"on": False})[0] == 200
    good = wait_for(lambda: (good := running.json("/api/state")["good"])["complete"] and good, "the period is whole")
    assert good["name"] == name
    assert Path(good["folder"]).is_dir()
    assert running.ask("POST", "/api/reload", content={})[0] == 202
    wait_for(lambda: running.json("/api/state")["swap"]["swapped"] == 1, "it is taken")
    for path in ("/api/good", "/api/reload"):
        assert running.ask("POST", path, content={"x": 1})[0] == 400


def test_a_signal_takes_a_frame_of_its_camera_only_where_the_file_says_so(serve, video_file):
    camera = f"name: gate, source: {video_file}, loop: true, paced: true, policy: trigger, trigger: {{kind: http}}"
    with serve(f"  - {{{camera}}}") as served:
        wait_for(lambda: served.station.cameras.feeds["gate"].status().state == "live", "it is live")
        assert served.ask("POST", "/api/cameras/gate/signal", content={"part": "4711"})[0] == 202
        found = wait_for(lambda: served.json("/api/verdicts?camera=gate")["verdicts"], "the part is judged")
        assert [record["signal"] for record in found] == ["4711"]
        assert b'ganspect_trigger_signals_total{camera="gate"} 1.0' in served.ask("GET", "/metrics")[2]
        assert served.ask("POST", "/api/cameras/left/signal", content={"part": ""})[0] == 409
        assert served.ask("POST", "/api/cameras/gate/signal", content={"part": "x" * 200})[0] == 409
        assert served.ask("POST", "/api/cameras/gate/signal", content={"part": 1})[0] == 400


def test_who_sends_nothing_keeps_nobody_out(serve, monkeypatch):
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    monkeypatch.setattr("ganspect.runtime.page.connection._LOOK_S", 0.3)
    monkeypatch.setattr("ganspect.runtime.page.contents._WITHIN_S", 0.5)
    with serve(token_env="PAGE_TOKEN") as served:
        silent = [socket.create_connection((served.host, served.port), timeout=10) for _ in range(70)]
        half = socket.create_connection((served.host, served.port), timeout=10)
        half.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        right = f"token={TOKEN.replace(' ', '+')}".encode()
        assert served.ask("POST", "/login", content=right, headers=form)[0] == 303
        assert served.ask("GET", "/healthz")[0] == 200
        assert silent[0].recv(10) == b"", "it is closed"
        assert b" 401 " in half.recv(100)
        for connection in (*silent, half):
            connection.close()


def test_pictures_come_from_memory_or_from_the_sink(running, monkeypatch):
    def kept():
        return [path for path in Path(running.station.settings.data).rglob("*_heat.jpg")]

    path = wait_for(kept, "a picture is kept")[0]
    uid = path.stem.split("_")[-2]
    wait_for(lambda: any(True for _ in running.station.history.records(Query(uid=uid))), "its verdict is on disk")
    in_memory = running.ask("GET", f"/api/verdicts/{uid}/picture.jpg")
    monkeypatch.setattr("ganspect.runtime.page.pictures.LivePictures.flagged", lambda self, uid: None)
    status, _, content = running.ask("GET", f"/api/verdicts/{uid}/picture.jpg")
    assert in_memory[0] == status == 200
    assert content == path.read_bytes()
    assert running.ask("GET", f"/api/verdicts/{'0' * 32}/picture.jpg")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/server.py", "//etc/passwd", "/../etc/passwd",
        "/static/..%5cserver.py", "/api/verdicts/..%2f..%2fx/picture.jpg", "/api/verdicts/%00/picture.jpg",
    ],
)  # fmt: skip
def test_nothing_else_is_served(running, path):
    status, _, content = running.ask("GET", path)
    assert status in (400, 404)
    assert b"import" not in content


def test_requests_are_bounded(running):
    big = {"Content-Length": str(1 << 30)}
    assert running.ask("POST", "/api/pause", content=b"{}", headers=big)[0] == 413
    assert running.ask("POST", "/api/pause", headers={"Transfer-Encoding": "chunked"})[0] == 413
    assert running.ask("POST", "/api/pause", content=b" " * 8000)[0] == 400
    with socket.create_connection((running.host, running.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


def test_another_page_can_neither_change_nor_read_anything(running):
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert running.ask("POST", "/api/pause", content={"paused": True}, headers=headers)[0] == 403
    assert not running.station.paused
    status, headers, _ = running.ask("GET", "/api/state", headers={"Host": "evil.example"})
    assert status == 421
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    plain = {"Content-Type": "text/plain"}
    assert running.ask("POST", "/api/pause", content=b'{"paused": true}', headers=plain)[0] == 400


def test_a_token_is_asked_for(serve, monkeypatch):
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    monkeypatch.setattr("ganspect.runtime.page.login._WRONG_S", 0.05)
    with serve(token_env="PAGE_TOKEN") as served:
        for path in ("/api/state", "/metrics", "/api/events", "/api/verdicts", "/api/cameras/left/live.jpg"):
            assert served.ask("GET", path)[0] == 401
        assert served.ask("POST", "/api/pause", content={"paused": True})[0] == 401
        assert served.ask("GET", "/healthz")[0] == 200
        status, headers, _ = served.ask("GET", "/")
        assert status == 303
        assert headers["location"] == "/login"
        assert served.ask("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200
        for given, said in (("Bearer wrong", b"not the right one"), ("Basic d3Jvbmc=", b"a token is needed")):
            status, _, content = served.ask("GET", "/metrics", headers={"Authorization": given})
            assert status == 401
            assert said in content
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, content = served.ask("POST", "/login", content=b"token=wrong", headers=form)
        assert status == 401
        assert b'role="alert" hidden' in served.ask("GET", "/login")[2]
        assert b'role="alert">That was not the token' in content
        assert "set-cookie" not in headers
        right = f"token={TOKEN.replace(' ', '+')}".encode()
        status, headers, _ = served.ask("POST", "/login", content=right, headers=form)
        assert status == 303
        assert all(word in headers["set-cookie"] for word in ("HttpOnly", "SameSite=strict"))
        session = headers["set-cookie"].split(";")[0]
        name = session.split("=")[0]
        assert name == f"ganspect_{served.port}"
        for host in ("x/static/?", "[", "localhost/healthz?"):
            assert served.ask("GET", "/api/state", headers={"Host": host})[0] == 401
        assert served.ask("GET", "/api/state", headers={"Cookie": session})[0] == 200
        until, signature = session.split("=")[1].split(".")
        for forged in (f"{int(until) + 1}.{signature}", f"1.{signature}", "", ".", "x.y"):
            assert served.ask("GET", "/api/state", headers={"Cookie": f"{name}={forged}"})[0] == 401


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed, which makes a certificate")
def test_https_with_the_given_certificate(serve, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "page.key", "-out", tmp_path / "page.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    with serve(certificate=Path("page.crt"), key=Path("page.key")) as served:
        assert served.address.startswith("https://")
        trusting = ssl.create_default_context(cafile=tmp_path / "page.crt")
        connection = http.client.HTTPSConnection("localhost", served.port, timeout=10, context=trusting)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_addresses_with_passwords_are_shown_without(serve):
    with serve("  - {name: away, source: 'rtsp://admin:hunter2@127.0.0.1:9/1', open_timeout_s: 1}") as served:

        def lost() -> bytes:
            content = served.ask("GET", "/api/state")[2]
            return content if b"was refused, or is no stream" in content else b""

        content = wait_for(lost, "the camera is lost") + served.ask("GET", "/metrics")[2]
        assert b"hunter2" not in content
        assert b"***@127.0.0.1:9" in content


def test_the_page_s_files_are_in_the_package():
    assert {"index.html", "login.html", "page.css", "app.js", "icon.svg"} <= set(_FILES)
