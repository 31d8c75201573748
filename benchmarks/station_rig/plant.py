"""A small plant around one real station: a camera, a folder of parts, a broker, a web server, and a witness.

with Plant.open(folder, bundle) as plant:
    plant.wait_until_well()
    plant.web.hang()
    findings = plant.finish()
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from station_rig.audit import Evidence, Findings, audit
from station_rig.clock import Clock
from station_rig.disks import SmallDisk, small_disk
from station_rig.evidence import Log, Seen, Witness, read_history, read_lines
from station_rig.mqtt_tap import MqttTap
from station_rig.parts import PartFeeder, Picture, normal_part, scratched_part
from station_rig.process import MAIN, StationProcess
from station_rig.receivers import BROKER, Broker, Subscriber, WebServer, web_server
from station_rig.streams import MjpegServer, RtspServer, as_jpeg

FRAMES_PER_S = 15.0
FILES_PER_S = 4.0
CAMERA, PARTS = "line", "parts"
_FILE = """name: rig
bundle: {bundle}
data: {data}
inspection: {{backend: onnxruntime, threads: 1}}
cameras:
  - {{name: line, source: '{source}', open_timeout_s: 2, read_timeout_s: 1, stalled_after_s: 0.5}}
  - {{name: parts, source: 'watch:{parts}'}}
sinks:
  - {{kind: jsonl, rotate_mb: 0.5, keep_files: 10000}}
  - {{kind: pictures, quota_mb: 2}}
  - {{kind: webhook, url: '{url}', timeout_s: 1}}
"""
_BROKER_SINK = "  - {{kind: mqtt, host: 127.0.0.1, port: {port}, timeout_s: 2}}\n"


@dataclass
class MqttSide:
    """A broker with who listens to it, and what stands between it and the station.

    Attributes:
        broker: a real one.
        tap: knows what it has acknowledged.
        subscriber: hears what it passes on.
        heard: by the subscriber.
    """

    broker: Broker
    tap: MqttTap
    subscriber: Subscriber
    heard: Log

    def stop(self) -> None:
        """Kill the broker."""
        self.broker.stop()
        self.tap.close()

    def start(self) -> None:
        """Start it again."""
        self.broker.start()
        self.tap.open()


@dataclass
class Plant:
    """What stands around a station.

    Attributes:
        folder: of everything.
        station: its process.
        data: its data folder.
        mjpeg: server of the camera `line`, unless that is by RTSP.
        web: server of its webhook.
        feeder: drops files into its folder of parts.
        witness: reads its history.
        logs: what the other side has taken, by the sinks' names: what the web server will not forget, what the broker
            has acknowledged. That of jsonl is in its files.
        rtsp: server of the camera, if it is by RTSP.
        mqtt: the broker's side; None where none is installed.
        disk: a small one, if the data lie there.
        clock: the station's own, if it has one.
        torn: lines of the jsonl sink that a kill has torn, known after `finish`.
        delivered: deliveries of each sink, known after `finish`.
        statuses: with which the station ended when it was asked to.
    """

    folder: Path
    station: StationProcess
    data: Path
    mjpeg: MjpegServer
    web: WebServer
    feeder: PartFeeder
    witness: Witness
    logs: Mapping[str, Log]
    rtsp: RtspServer | None = None
    mqtt: MqttSide | None = None
    disk: SmallDisk | None = None
    clock: Clock | None = None
    torn: int = 0
    delivered: dict[str, int] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, bundle: Path, *, rtsp: bool = False, disk: bool = False, clock: bool = False
    ) -> Iterator["Plant"]:
        """Start everything.

        Args:
            folder: an empty one.
            bundle: small, see `make_tiny_bundle`.
            rtsp: whether the camera is by RTSP.
            disk: whether the station's data lie on a disk that can be filled.
            clock: whether its clock can be set back.
        """
        with ExitStack() as opened:
            parts = folder / "parts"
            parts.mkdir(parents=True)
            own_disk = opened.enter_context(small_disk(folder)) if disk else None
            own_clock = Clock(folder) if clock else None
            mjpeg = opened.enter_context(MjpegServer(_pictures(), frames_per_s=FRAMES_PER_S))
            rtsp_server = RtspServer() if rtsp else None
            if rtsp_server is not None:
                opened.callback(rtsp_server.kill)
            logs = {"webhook": Log()}
            web = opened.enter_context(web_server())
            web.heard = logs["webhook"].hear
            mqtt = None
            if BROKER:
                logs["mqtt"] = Log()
                mqtt = _mqtt(folder, logs["mqtt"], opened)
            data = own_disk.data if own_disk else folder / "data"
            text = _FILE.format(
                bundle=bundle,
                data=data,
                source=rtsp_server.url if rtsp_server else mjpeg.url,
                parts=parts,
                url=web.url,
            ) + (_BROKER_SINK.format(port=mqtt.tap.port) if mqtt else "")
            file = folder / "station.yaml"
            file.write_text(text)
            station = StationProcess(
                file,
                folder / "station.log",
                program=own_disk.program if own_disk else MAIN,
                environment=own_clock.environment if own_clock else None,
            )
            opened.callback(station.kill)
            witness = Witness(data / "history.sqlite")
            opened.callback(witness.stop)
            station.start()
            feeder = opened.enter_context(PartFeeder(parts, _parts(), files_per_s=FILES_PER_S))
            yield cls(
                *(folder, station, data, mjpeg, web, feeder, witness, logs),
                *(rtsp_server, mqtt, own_disk, own_clock),
            )

    def wait_until_well(self, timeout_s: float = 60.0) -> None:
        """Wait until verdicts of both cameras, and each sink's deliveries, come.

        Raises:
            RuntimeError: they do not.
        """
        self.station.wait_until_running(timeout_s)
        for camera in (CAMERA, PARTS):
            self._require(self.witness, partial(_is_of, camera), f"verdicts of {camera}")
        for name, log in self.logs.items():
            self._require(log, lambda seen: True, f"deliveries by {name}")

    def finish(self) -> Findings:
        """Let everything come to its end, stop the station, and count.

        What a station owes when it stops it delivers after its next start, so it is started again until nothing is
        owed, three times at most: what is not there then is lost.
        """
        self.feeder.stop()
        _wait(lambda: not list((self.folder / "parts").glob("*.png")), 60)
        for attempt in range(4):
            self.statuses.append(self.station.stop())
            findings = audit(self.evidence())
            if not findings.never_delivered or attempt == 3:
                break
            self.station.start()
            self.station.wait_until_running()
            _wait(self._all_delivered, 20)
        self.witness.stop()
        return findings

    @property
    def forgotten_by_broker(self) -> int:
        """Return how many verdicts the broker has acknowledged and never passed on."""
        if self.mqtt is None:
            return 0
        return len({seen.uid for seen in self.logs["mqtt"].seen} - {seen.uid for seen in self.mqtt.heard.seen})

    def evidence(self) -> Evidence:
        """Return what was seen of the station so far."""
        lines, self.torn = read_lines(self.data / "results")
        deliveries = {"jsonl": lines, **{name: list(log.lines) for name, log in self.logs.items()}}
        self.delivered = {name: len(found) for name, found in deliveries.items()}
        parts = self.folder / "parts"
        return Evidence(
            seen=[seen.uid for seen in self.witness.seen],
            history=read_history(self.data / "history.sqlite"),
            offered=self.feeder.offered,
            done=[path.name for path in (parts / "done").glob("*.png")],
            failed=[path.name for path in (parts / "failed").glob("*.png")],
            deliveries=deliveries,
        )

    def _all_delivered(self) -> bool:
        known = {seen.uid for seen in self.witness.seen}
        return all(len({seen.uid for seen in list(log.seen)}) >= len(known) - 50 for log in self.logs.values())

    def _require(self, log: Log, matches: Callable[[Seen], bool], what: str) -> None:
        if log.wait_for(matches, since=0, timeout_s=60) is None:
            raise RuntimeError(f"no {what} within a minute; the log is {self.station.log.read_text()[-2000:]}")


def _mqtt(folder: Path, acknowledged: Log, opened: ExitStack) -> MqttSide:
    broker, heard = Broker(folder, remembers=True), Log()
    opened.callback(broker.stop)
    subscriber = Subscriber(broker.port, heard.hear)
    opened.callback(subscriber.close)
    broker.save()
    tap = opened.enter_context(MqttTap(broker.port, acknowledged.hear))
    return MqttSide(broker, tap, subscriber, heard)


def _pictures() -> dict[str, list[bytes]]:
    """Return what the camera shows: normal parts at one size, scratched ones at another, to be told by the verdict."""
    random = np.random.default_rng(1)
    return {
        "small": [as_jpeg(normal_part(random, (120, 160))) for _ in range(8)],
        "large": [as_jpeg(scratched_part(random, (240, 320))) for _ in range(8)],
    }


def _parts() -> list[Picture]:
    random = np.random.default_rng(2)
    return [normal_part(random) for _ in range(6)] + [scratched_part(random) for _ in range(2)]


def _is_of(camera: str, seen: Seen) -> bool:
    return seen.camera == camera


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True
