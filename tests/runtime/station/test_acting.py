"""The station as a whole between a line's signals and a PLC: real broker, real Modbus server, real pins."""

import threading
from pathlib import Path

import pytest
from paho.mqtt.publish import single
from station_rig.receivers import NO_BROKER, Broker

from ganspect.errors import SignalError
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from ganspect.runtime.station.summary import summary_table
from tests.runtime.conftest import set_threshold
from tests.runtime.waiting import wait_for

CAMERA = "loop: true, paced: true, policy: trigger"


class Running:
    """A station whose loop runs in a thread."""

    def __init__(self, path: Path) -> None:
        self.station = Station.open(read_station(path), path.parent)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.station.run, args=(self._stopping,))
        self._thread.start()
        wait_for(lambda: self.output().safe == "", "it acts")

    def output(self):
        return self.station.outputs.status()[0]

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(20)
        self.station.close()


@pytest.fixture
def started(tmp_path, tiny_bundle, video_file, copy, request):
    """Return a function that starts a station whose every part is anomalous, or none is."""

    def start(camera: str, output: str, *, threshold: float = -1.0) -> Running:
        bundle = set_threshold(copy(tiny_bundle), threshold)
        path = tmp_path / "station.yaml"
        path.write_text(
            f"bundle: {bundle}\ndata: data\ninspection: {{backend: onnxruntime, threads: 1}}\n"
            f"cameras:\n  - {{name: left, source: {video_file}, {camera}}}\noutputs:\n  - {{{output}}}\n"
        )
        running = Running(path)
        request.addfinalizer(running.stop)
        return running

    return start


def to(plc, **more: object) -> str:
    keys = {"pulse_ms": 30, "heartbeat_ms": 50, "unfed_ms": 1500, **more}
    rest = "".join(f", {key}: {value}" for key, value in keys.items())
    return f"kind: modbus, host: 127.0.0.1, port: {plc.port}, coil: 3, heartbeat_register: 7{rest}"


def stands_still(plc) -> None:
    """Wait until the heartbeat has been still for a while that is many beats long."""
    still = threading.Event()
    for _ in range(50):
        before = len(plc.beats())
        still.wait(0.4)
        if len(plc.beats()) == before:
            return
    pytest.fail("the heartbeat goes on")


@pytest.mark.skipif(bool(NO_BROKER), reason=NO_BROKER)
def test_a_signal_over_mqtt_becomes_a_frame_a_verdict_and_a_coil(started, plc, tmp_path):
    broker = Broker(tmp_path)
    try:
        trigger = f"trigger: {{kind: mqtt, host: 127.0.0.1, port: {broker.port}}}"
        running = started(f"{CAMERA}, {trigger}", to(plc, delay_ms=1500))
        judged = []
        running.station.observers.append(judged.append)
        single("ganspect/station/left/trigger", b"part 7", qos=1, hostname="127.0.0.1", port=broker.port)
        wait_for(lambda: plc.coil()[-2:] == [1, 0], "the part is rejected")
        assert [one.entry.record["signal"] for one in judged] == ["part 7"], "one signal, one frame"
        signal = judged[0].arrival.signal
        set_ns = next(write.at_ns for write in plc.writes if (write.function, write.value) == (5, 1))
        assert 1500 <= (set_ns - signal.given_ns) / 1e6 < 1900
        acted = running.output()
        assert acted.rejected == 1
        assert 1500 <= acted.delay_p50_ms < 1900
        assert acted.late == (acted.delay_p50_ms > 1520), "beside other tests it may be, and is counted"
    finally:
        broker.stop()


def test_a_normal_part_is_not_rejected(started, plc):
    running = started(f"{CAMERA}, trigger: {{kind: http}}", to(plc), threshold=1e9)
    running.station.cameras.signal("left", "good")
    wait_for(lambda: running.station.counts.of("left").verdicts["normal"] == 1, "it is judged")
    running.stop()
    assert 1 not in plc.coil()
    assert running.output().rejected == 0


def test_a_part_that_nobody_has_seen_is_rejected_counted_and_said(started, plc, caplog):
    # At ten frames a second a signal that waits for a millisecond gets one only by chance.
    running = started(f"{CAMERA}, trigger: {{kind: http, wait_s: 0.001}}", to(plc), threshold=1e9)
    for number in range(5):
        running.station.cameras.signal("left", f"part {number}")
    wait_for(lambda: running.station.cameras.trigger_status()[0].missed >= 4, "they are missed")
    wait_for(lambda: running.output().rejected >= 4 and 1 in plc.coil(), "they are rejected")
    wait_for(lambda: "parts were not inspected, no frame came for their signals" in caplog.text, "it is said")
    assert running.station.cameras.trigger_status()[0].signals == 5
    table = summary_table(running.station)
    assert "missed" in [column.header for column in table.columns]


def test_a_frame_that_cannot_be_judged_is_a_part_that_nobody_has_seen(started, plc):
    camera = f"{CAMERA}, trigger: {{kind: http}}, roi_xyxy: [0, 0, 4000, 4000]"
    running = started(camera, to(plc), threshold=1e9)
    running.station.cameras.signal("left")
    wait_for(lambda: running.output().rejected == 1, "it is rejected")


def test_the_heartbeat_stops_while_inspection_is_paused(started, plc):
    running = started(f"{CAMERA}, trigger: {{kind: http}}", to(plc, safe="reject"), threshold=1e9)
    wait_for(lambda: len(plc.beats()) > 3 and plc.coil()[-1] == 0, "it beats")
    running.station.pause(True)
    wait_for(lambda: plc.coil()[-1] == 1, "everything is rejected")
    assert running.output().safe == "inspection is paused"
    stands_still(plc)
    running.station.cameras.signal("left", "in the pause")
    wait_for(lambda: running.output().rejected == 1, "a part that comes meanwhile is not inspected")
    beats = len(plc.beats())
    running.station.pause(False)
    wait_for(lambda: len(plc.beats()) > beats and plc.coil()[-1] == 0, "it beats again")
    assert running.station.counts.of("left").verdicts.total() == 0, "no frame of the pause is judged afterwards"


def test_the_heartbeat_stops_when_the_loop_hangs(started, plc, monkeypatch):
    running = started(f"{CAMERA}, trigger: {{kind: http}}", to(plc, safe="reject", unfed_ms=300), threshold=1e9)
    released, judge = threading.Event(), running.station.inspector.inspect

    def hang(frame):
        released.wait(20)
        return judge(frame)

    monkeypatch.setattr(running.station.inspector, "inspect", hang)
    running.station.cameras.signal("left")
    wait_for(lambda: running.output().safe == "the station's loop hangs", "it is noticed")
    wait_for(lambda: plc.coil()[-1] == 1, "everything is rejected")
    stands_still(plc)
    beats = len(plc.beats())
    released.set()
    wait_for(lambda: len(plc.beats()) > beats, "it goes on")


def test_the_output_is_safe_when_the_station_has_stopped(started, plc):
    running = started(f"{CAMERA}, trigger: {{kind: http}}", to(plc, safe="reject"), threshold=1e9)
    wait_for(lambda: plc.coil() and plc.coil()[-1] == 0, "it acts")
    running.stop()
    wait_for(lambda: plc.coil()[-1] == 1, "everything is rejected")
    stands_still(plc)
    assert running.output().safe == "the station stops"


def test_the_output_is_safe_while_the_trigger_is_away(started, tmp_path):
    pin, ejector = tmp_path / "gpio12", tmp_path / "gpio13"
    pin.write_text("0")
    ejector.write_text("0")
    running = started(f"{CAMERA}, trigger: {{kind: pin, pin: {pin}}}", f"kind: pin, pin: {ejector}, safe: reject")
    wait_for(lambda: ejector.read_text() == "0", "it acts")
    with pin.open("r+b", buffering=0) as file:
        file.write(b"1")
    wait_for(lambda: running.output().rejected == 1, "an edge is a part")
    pin.unlink()
    wait_for(lambda: running.output().safe == "camera left: its trigger is away", "it is safe")
    wait_for(lambda: ejector.read_text() == "1", "everything is rejected")


def test_without_a_trigger_each_frame_counts_from_its_arrival(started, plc):
    running = started("loop: true, paced: true, policy: latest", to(plc))
    wait_for(lambda: running.output().rejected > 2, "frames are rejected")
    assert 0 < running.output().delay_p50_ms < 5000


@pytest.mark.parametrize(
    ("camera", "name", "said"),
    [
        ("rigth", "", "there is no camera 'rigth'; give one of left"),
        ("left", "a" * 129, "the name of a part has 128 printable characters at most"),
        ("left", "a\nb", "the name of a part has 128 printable characters at most"),
    ],
)
def test_signals_that_are_none(station_cameras, camera, name, said):
    with pytest.raises(SignalError, match=said):
        station_cameras("trigger: {kind: http}, policy: trigger").signal(camera, name)


def test_a_camera_without_an_http_trigger_takes_no_signals(station_cameras):
    with pytest.raises(SignalError, match="camera left takes no signals by HTTP; give it trigger:"):
        station_cameras("policy: latest").signal("left")


@pytest.fixture
def station_cameras(tmp_path, video_file):
    """Return a function that makes the cameras of a station; none is opened."""
    from ganspect.runtime.station.cameras import Cameras

    def make(camera: str) -> Cameras:
        path = tmp_path / "station.yaml"
        path.write_text(
            "bundle: b\ndata: d\ncameras:\n"
            f"  - {{name: left, source: {video_file}, loop: true, paced: true, {camera}}}\n"
        )
        return Cameras(read_station(path).cameras, tmp_path, lambda status: None)

    return make
