"""The `sinks` of a station file."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from ganspect.runtime.broker.settings import BrokerSettings, single_topic
from ganspect.sections import Section

VerdictKind: TypeAlias = Literal["normal", "anomalous", "undecided"]
SinkName = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]


class _SinkSettings(Section):
    """What every sink has.

    Attributes:
        name: under which the history notes how far it has come; absent: its kind. No two sinks may share one.
        verdicts: kinds that go there; absent: all.
    """

    name: SinkName | None = None
    verdicts: tuple[VerdictKind, ...] = ()


class JsonLinesSettings(_SinkSettings):
    """JSON lines in files that rotate.

    Attributes:
        folder: relative to the data folder.
        rotate_mb: size at which a file is put aside.
        keep_files: files that were put aside and are kept.
    """

    kind: Literal["jsonl"]
    folder: Path = Path("results")
    rotate_mb: Annotated[float, Field(gt=0)] = 64.0
    keep_files: Annotated[int, Field(ge=1)] = 20


class PicturesSettings(_SinkSettings):
    """Pictures of frames with their heat maps.

    Attributes:
        folder: relative to the data folder.
        quota_mb: that they may take; the oldest go first.
        verdicts: kinds of which pictures are kept.
    """

    kind: Literal["pictures"]
    folder: Path = Path("pictures")
    quota_mb: Annotated[float, Field(gt=0)] = 1000.0
    verdicts: tuple[VerdictKind, ...] = ("anomalous", "undecided")


class WebhookSettings(_SinkSettings):
    """A POST of JSON for each verdict.

    Attributes:
        url: http or https.
        timeout_s: for an answer.
        token_env: environment variable that holds a token, sent as `Authorization: Bearer`; absent: none.
    """

    kind: Literal["webhook"]
    url: str
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    token_env: str | None = None

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or any(sign.isspace() for sign in url):
            raise ValueError("the url of a webhook begins with http:// or https://, names a host and has no spaces")
        if parts.port == 0:
            raise ValueError("the url of a webhook has a port that is none")
        return url


class MqttSettings(_SinkSettings, BrokerSettings):
    """Messages to an MQTT broker with QoS 1.

    Attributes:
        topic: of verdicts; `{station}` and `{camera}` stand for the names.
        status_topic: `online` or `offline`, retained; `{station}` stands for the name.
        timeout_s: for the connection and for acknowledgements.
    """

    kind: Literal["mqtt"]
    topic: Annotated[str, AfterValidator(single_topic)] = "ganspect/{station}/{camera}/verdict"
    status_topic: Annotated[str, AfterValidator(single_topic)] = "ganspect/{station}/status"
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0


SinkSettings: TypeAlias = Annotated[
    JsonLinesSettings | PicturesSettings | WebhookSettings | MqttSettings, Field(discriminator="kind")
]
