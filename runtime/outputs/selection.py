"""The outputs of a station, by their settings; the module of each is imported only when it is asked for.

outputs = Outputs(settings.outputs, station="line3", cameras=["left"])
station.observers.insert(0, outputs.judged)
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ganspect.extras import extra
from ganspect.runtime.capture.buffers import Arrival, Signal
from ganspect.runtime.judged import Judged
from ganspect.runtime.outputs.medium import Medium, Part
from ganspect.runtime.outputs.output import Output, Rules
from ganspect.runtime.outputs.pin import FileLevel, Level, Pin
from ganspect.runtime.outputs.settings import (
    ModbusOutputSettings,
    MqttOutputSettings,
    OutputSettings,
)
from ganspect.runtime.outputs.status import OutputStatus
from ganspect.runtime.pins import ChipLine, read_pin

UNSEEN = "unseen"


@dataclass(frozen=True)
class _Wired:
    output: Output
    cameras: Collection[str]
    verdicts: Collection[str]


class Outputs:
    """All outputs of a station; none of its methods waits or raises, but `close`."""

    def __init__(self, settings: Sequence[OutputSettings], *, station: str, cameras: Collection[str]) -> None:
        """Open them; those that are away are tried for ever.

        Args:
            settings: of the station file.
            station: its name.
            cameras: of the station.

        Raises:
            ConfigError: an environment variable with a password is not set.
            MissingDependencyError: the package for one is not installed.
        """
        self._wired: list[_Wired] = []
        try:
            for one in settings:
                output = Output(one.name or one.kind, one.kind, _medium(one, station), _rules(one))
                self._wired.append(_Wired(output, frozenset(one.cameras or cameras), frozenset(one.verdicts)))
        except BaseException:
            self.close()
            raise

    def judged(self, judged: Judged) -> None:
        """Let a part be rejected if its verdict says so."""
        arrival, entry = judged.arrival, judged.entry
        part = _part(arrival.camera, entry.verdict, arrival.signal, arrival.arrived_ns, entry.uid)
        for wired in self._wired:
            if part.camera in wired.cameras and part.verdict in wired.verdicts:
                wired.output.offer(part)

    def missed(self, camera: str, signal: Signal) -> None:
        """Let a part be rejected that got no frame."""
        self._unseen(_part(camera, UNSEEN, signal, signal.given_ns))

    def unusable(self, arrival: Arrival) -> None:
        """Let a part be rejected whose frame cannot be judged."""
        self._unseen(_part(arrival.camera, UNSEEN, arrival.signal, arrival.arrived_ns))

    def feed(self, unwell: Mapping[str, str]) -> None:
        """Say that inspection goes on; an output rests while one of its cameras sees nothing.

        Args:
            unwell: cameras that see nothing, or whose trigger is away, and why.
        """
        for wired in self._wired:
            reason = next((f"camera {name}: {why}" for name, why in unwell.items() if name in wired.cameras), "")
            if reason:
                wired.output.rest(reason)
            else:
                wired.output.feed()

    def rest(self, reason: str) -> None:
        """Let all go into their safe state until they are fed again."""
        for wired in self._wired:
            wired.output.rest(reason)

    def status(self) -> list[OutputStatus]:
        """Return how they are."""
        return [wired.output.status() for wired in self._wired]

    def close(self) -> None:
        """Reject what is on its way, and end in the safe state, all at once."""
        for wired in self._wired:
            wired.output.ask_to_close()
        for wired in self._wired:
            wired.output.close()

    def _unseen(self, part: Part) -> None:
        for wired in self._wired:
            if part.camera in wired.cameras:
                wired.output.offer(part)


def _part(camera: str, verdict: str, signal: Signal | None, arrived_ns: int, uid: str = "") -> Part:
    if signal is None:
        return Part(camera, verdict, "", uid, arrived_ns)
    return Part(camera, verdict, signal.name, uid, signal.given_ns)


def _rules(one: OutputSettings) -> Rules:
    rules = {name: getattr(one, name) for name in ("delay_ms", "give_up_ms", "heartbeat_ms", "unfed_ms")}
    if isinstance(one, MqttOutputSettings):
        return Rules(**rules, pulse_ms=0.0)
    return Rules(**rules, pulse_ms=one.pulse_ms, safe_rejects=one.safe == "reject")


def _medium(one: OutputSettings, station: str) -> Medium:
    if isinstance(one, ModbusOutputSettings):
        with extra("modbus"):
            from ganspect.runtime.outputs.modbus import Modbus

        return Modbus(
            one.host,
            port=one.port,
            device_id=one.device_id,
            coil=one.coil,
            heartbeat_register=one.heartbeat_register,
            timeout_s=one.timeout_ms / 1e3,
        )
    if isinstance(one, MqttOutputSettings):
        return _mqtt(one, station)
    high = one.active == "high"
    rests_high = high == (one.safe == "reject")
    heartbeat = None if one.heartbeat_pin is None else _level(one.heartbeat_pin, initially_high=False)
    return Pin(_level(one.pin, initially_high=rests_high), active_high=high, heartbeat=heartbeat)


def _mqtt(one: MqttOutputSettings, station: str) -> Medium:
    with extra("station"):
        from ganspect.runtime.outputs.mqtt import MqttReject

    broker = one.broker(f"ganspect-{station}-output-{one.name or one.kind}", timeout_s=one.timeout_ms / 1e3)
    topic, heartbeat = (text.replace("{station}", station) for text in (one.topic, one.heartbeat_topic))
    return MqttReject(broker, topic=topic, heartbeat_topic=heartbeat)


def _level(name: str, *, initially_high: bool) -> Level:
    pin = read_pin(name)
    if not isinstance(pin, ChipLine):
        return FileLevel(pin)
    with extra("gpio"):
        from ganspect.runtime.outputs.gpio import GpioLevel

    return GpioLevel(pin, initially_high=initially_high)
