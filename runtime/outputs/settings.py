"""The `outputs` of a station file."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from ganspect.runtime.broker.settings import BrokerSettings, Host, single_topic
from ganspect.runtime.pins import PinName
from ganspect.runtime.sinks.settings import SinkName, VerdictKind
from ganspect.sections import Section

Address: TypeAlias = Annotated[int, Field(ge=0, le=65_535)]
Millis: TypeAlias = Annotated[float, Field(gt=0, le=60_000)]


class _OutputSettings(Section):
    """What every output has.

    Attributes:
        name: in logs, metrics and on the page; absent: its kind. No two outputs may share one.
        cameras: whose verdicts act; absent: all.
        verdicts: kinds that reject a part. A part that nobody has seen is rejected whatever stands here.
        delay_ms: from the part's signal, or from its frame's arrival where the camera has no trigger, to the action. A
            verdict that comes later acts at once and is counted as late. 0: always at once.
        give_up_ms: how long an action that cannot be carried out is tried; later it would hit another part.
        heartbeat_ms: between two beats of the heartbeat.
        unfed_ms: without a turn of the station's loop the heartbeat stops, and the output goes into its safe state.
    """

    name: SinkName | None = None
    cameras: tuple[str, ...] = ()
    verdicts: tuple[VerdictKind, ...] = ("anomalous", "undecided")
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] = 0.0
    give_up_ms: Millis = 1000.0
    heartbeat_ms: Millis = 500.0
    unfed_ms: Millis = 3000.0


class _LevelSettings(_OutputSettings):
    """What an output has that is a level: it is active while a part is rejected.

    Attributes:
        pulse_ms: how long; parts that follow each other faster share one pulse.
        safe: level while nobody inspects (paused, stopped, a camera or its trigger away): `rest`, or `reject`, which
            throws everything out.
    """

    pulse_ms: Millis = 200.0
    safe: Literal["rest", "reject"] = "rest"


class ModbusOutputSettings(_LevelSettings):
    """A coil of a PLC through Modbus TCP (extra `modbus`).

    Attributes:
        host: of the PLC.
        port: of the PLC.
        device_id: of the PLC behind a gateway.
        coil: address that is written, from 0.
        heartbeat_register: address of the holding register that counts up, from 0; absent: no heartbeat.
        timeout_ms: for an answer.
    """

    kind: Literal["modbus"]
    host: Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 502
    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    coil: Address
    heartbeat_register: Address | None = None
    timeout_ms: Millis = 500.0


class PinOutputSettings(_LevelSettings):
    """A pin.

    Attributes:
        pin: a file that takes 0 or 1, such as /sys/class/gpio/gpio12/value, or a line of a chip through libgpiod (extra
            `gpio`), such as /dev/gpiochip0:12.
        active: which level rejects.
        heartbeat_pin: one that changes its level with each beat, for a watchdog relay; absent: no heartbeat.
    """

    kind: Literal["pin"]
    pin: PinName
    active: Literal["high", "low"] = "high"
    heartbeat_pin: PinName | None = None

    @model_validator(mode="after")
    def _two(self) -> "PinOutputSettings":
        if self.pin == self.heartbeat_pin:
            raise ValueError("pin and heartbeat_pin are the same; give the heartbeat a pin of its own")
        return self


class MqttOutputSettings(_OutputSettings, BrokerSettings):
    """A message for each part that is to be rejected, with QoS 1.

    Attributes:
        topic: of these messages; `{station}` and `{camera}` stand for the names.
        heartbeat_topic: a number that counts up, retained; `safe` while nobody inspects, `offline` after the end, also
            a crash (the broker says that one). `{station}` stands for the name.
        timeout_ms: for the connection and for acknowledgements.
    """

    kind: Literal["mqtt"]
    topic: Annotated[str, AfterValidator(single_topic)] = "ganspect/{station}/{camera}/reject"
    heartbeat_topic: Annotated[str, AfterValidator(single_topic)] = "ganspect/{station}/heartbeat"
    timeout_ms: Millis = 2000.0


OutputSettings: TypeAlias = Annotated[
    ModbusOutputSettings | PinOutputSettings | MqttOutputSettings, Field(discriminator="kind")
]
