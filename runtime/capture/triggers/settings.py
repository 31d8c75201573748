"""The `trigger` of a camera in a station file."""

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from ganspect.runtime.broker.settings import BrokerSettings, single_topic
from ganspect.runtime.pins import PinName
from ganspect.sections import Section

Edge: TypeAlias = Literal["rising", "falling", "both"]


class _TriggerSettings(Section):
    """What every trigger has.

    Attributes:
        wait_s: how long a signal waits for its frame; a part that got none by then is missed: it was not inspected.
    """

    wait_s: Annotated[float, Field(gt=0, le=60)] = 2.0


class HttpTriggerSettings(_TriggerSettings):
    """Signals that come as a POST to the station's page."""

    kind: Literal["http"]


class MqttTriggerSettings(_TriggerSettings, BrokerSettings):
    """Signals that come as messages; the payload is the part's name, of 128 characters at most, or empty.

    Attributes:
        topic: that is subscribed with QoS 1; `{station}` and `{camera}` stand for the names.
    """

    kind: Literal["mqtt"]
    topic: Annotated[str, AfterValidator(single_topic)] = "ganspect/{station}/{camera}/trigger"


class PinTriggerSettings(_TriggerSettings):
    """Signals that are edges of a pin.

    Attributes:
        pin: a file that holds 0 or 1, such as /sys/class/gpio/gpio12/value, or a line of a chip through libgpiod (extra
            `gpio`), such as /dev/gpiochip0:12.
        edge: which change of the level is a signal.
        poll_ms: how often a file is read; a pulse must last longer. A chip's line tells by itself.
        debounce_ms: a level counts once it has lasted so long; the signal's time is that of the edge.
    """

    kind: Literal["pin"]
    pin: PinName
    edge: Edge = "rising"
    poll_ms: Annotated[float, Field(ge=0.5, le=1000)] = 2.0
    debounce_ms: Annotated[float, Field(ge=0, le=1000)] = 5.0


TriggerSettings: TypeAlias = Annotated[
    HttpTriggerSettings | MqttTriggerSettings | PinTriggerSettings, Field(discriminator="kind")
]
