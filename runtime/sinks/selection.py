"""The sinks of a station, opened by their settings; the module of each is imported only when it is asked for.

sinks = Sinks(settings.sinks, data=folder, station="line3", history=history, inspector=inspector)
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from ganspect.extras import extra
from ganspect.runtime.history.store import History
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.judged import Judged
from ganspect.runtime.secret import secret_of
from ganspect.runtime.sinks.forwarder import Forwarder, SinkStatus
from ganspect.runtime.sinks.jsonl import JsonLines
from ganspect.runtime.sinks.pictures import Pictures
from ganspect.runtime.sinks.settings import (
    JsonLinesSettings,
    MqttSettings,
    PicturesSettings,
    SinkSettings,
    WebhookSettings,
)
from ganspect.runtime.sinks.webhook import Webhook

_MB = 1 << 20


class Sinks:
    """All sinks of a station.

    Attributes:
        forwarders: those that deliver from the history.
        pictures: those that write pictures.
    """

    def __init__(
        self, settings: Sequence[SinkSettings], *, data: Path, station: str, history: History, inspector: Inspector
    ) -> None:
        """Open them.

        Args:
            settings: of the station file.
            data: folder that their folders are relative to.
            station: its name.
            history: what they deliver.
            inspector: for the pictures.

        Raises:
            OutputError: a folder cannot be written.
            ConfigError: an environment variable with a secret is not set.
            MissingDependencyError: MQTT, and its package is not installed.
        """
        self.forwarders: list[Forwarder] = []
        self.pictures: list[Pictures] = []
        self._closing: list[Callable[[], None]] = []
        try:
            for one in settings:
                if isinstance(one, PicturesSettings):
                    self.pictures.append(_pictures(one, data, inspector))
                else:
                    self.forwarders.append(self._forwarder(one, data, station, history))
        except BaseException:
            self.close()
            raise

    def offer(self, judged: Judged) -> None:
        """Give a frame that was just judged to those who keep pictures; never waits."""
        for pictures in self.pictures:
            pictures.offer(judged.entry, judged.frame, judged.verdict)

    def follow(self, inspector: Inspector) -> None:
        """Draw pictures of frames that come from now on as another inspector sees them."""
        for pictures in self.pictures:
            pictures.follow(inspector.grid, inspector.heat_scale())

    def notify(self) -> None:
        """Say that new verdicts are on disk."""
        for forwarder in self.forwarders:
            forwarder.notify()

    def status(self) -> list[SinkStatus]:
        """Return how the sinks are that deliver from the history."""
        return [forwarder.status() for forwarder in self.forwarders]

    def failing(self) -> dict[str, str]:
        """Return the sinks that do not deliver at this moment, and why; never looks into the history."""
        return {one.name: one.error for one in self.forwarders if one.error}

    def refused(self) -> dict[str, int]:
        """Return the sinks whose receiver has refused verdicts for good, and how many; never looks into the history."""
        return {one.name: one.refused() for one in self.forwarders if one.refused()}

    def close(self) -> None:
        """Deliver what goes at once, and end."""
        for forwarder in self.forwarders:
            forwarder.close()
        for pictures in self.pictures:
            pictures.close()
        for close in self._closing:
            close()
        self._closing.clear()

    def _forwarder(
        self, one: JsonLinesSettings | WebhookSettings | MqttSettings, data: Path, station: str, history: History
    ) -> Forwarder:
        name = one.name or one.kind
        if isinstance(one, JsonLinesSettings):
            folder = data / one.folder.expanduser()
            lines = JsonLines(folder, rotate_bytes=round(one.rotate_mb * _MB), keep=one.keep_files)
            return Forwarder(name, history, lines.send, verdicts=one.verdicts)
        if isinstance(one, WebhookSettings):
            webhook = Webhook(one.url, timeout_s=one.timeout_s, token=secret_of(one.token_env))
            # One by one, so that what a server has taken is noted before the next one may fail.
            return Forwarder(
                *(name, history, webhook.send), verdicts=one.verdicts, batch=1, refused=lambda: webhook.refused
            )
        with extra("station"):
            from ganspect.runtime.sinks.mqtt import Mqtt

        broker = one.broker(f"ganspect-{station}", timeout_s=one.timeout_s)
        topic, status_topic = (text.replace("{station}", station) for text in (one.topic, one.status_topic))
        mqtt = Mqtt(broker, topic=topic, status_topic=status_topic)
        self._closing.append(mqtt.close)
        return Forwarder(name, history, mqtt.send, verdicts=one.verdicts, idle=mqtt.stay_connected)


def _pictures(settings: PicturesSettings, data: Path, inspector: Inspector) -> Pictures:
    return Pictures(
        data / settings.folder.expanduser(),
        inspector.grid,
        heat_scale=inspector.heat_scale(),
        quota_bytes=round(settings.quota_mb * _MB),
        verdicts=settings.verdicts,
        name=settings.name or settings.kind,
    )
