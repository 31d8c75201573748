"""A camera's trigger by its settings; the module of each is imported only when it is asked for.

open_trigger(settings.cameras[0].trigger, camera="left", station="line3", give=buffer.signal).start()
"""

from ganspect.extras import extra
from ganspect.runtime.capture.triggers.pin import PinTrigger
from ganspect.runtime.capture.triggers.settings import (
    HttpTriggerSettings,
    MqttTriggerSettings,
    PinTriggerSettings,
    TriggerSettings,
)
from ganspect.runtime.capture.triggers.trigger import Give, Trigger
from ganspect.runtime.pins import ChipLine, read_pin

_TIMEOUT_S = 3.0


def open_trigger(settings: TriggerSettings, *, camera: str, station: str, give: Give) -> Trigger:
    """Return a trigger that is not started yet.

    Args:
        settings: of the station file.
        camera: that it is of.
        station: whose camera that is.
        give: takes its signals.

    Raises:
        SourceError: the pin is not there.
        ConfigError: an environment variable with a password is not set.
        MissingDependencyError: the package for it is not installed.
    """
    if isinstance(settings, HttpTriggerSettings):
        return Trigger(camera, give)
    if isinstance(settings, MqttTriggerSettings):
        return _mqtt(settings, camera, station, give)
    return _pin(settings, camera, give)


def _mqtt(settings: MqttTriggerSettings, camera: str, station: str, give: Give) -> Trigger:
    with extra("station"):
        from ganspect.runtime.capture.triggers.mqtt import MqttTrigger

    broker = settings.broker(f"ganspect-{station}-trigger-{camera}", timeout_s=_TIMEOUT_S)
    topic = settings.topic.replace("{station}", station).replace("{camera}", camera)
    return MqttTrigger(camera, give, broker, topic)


def _pin(settings: PinTriggerSettings, camera: str, give: Give) -> Trigger:
    pin, edge, debounce_ms = read_pin(settings.pin), settings.edge, settings.debounce_ms
    if not isinstance(pin, ChipLine):
        return PinTrigger(camera, give, pin, edge=edge, poll_ms=settings.poll_ms, debounce_ms=debounce_ms)
    with extra("gpio"):
        from ganspect.runtime.capture.triggers.gpio import GpioTrigger

    return GpioTrigger(camera, give, pin, edge=edge, debounce_ms=debounce_ms)
