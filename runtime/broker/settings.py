"""A broker, and the keys of a station file that say which, and how to get in."""

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from ganspect.runtime.secret import secret_of
from ganspect.sections import Section


@dataclass(frozen=True)
class Broker:
    """A broker, and who asks to be let in.

    Attributes:
        host: of the broker.
        port: of the broker.
        client_id: two connections must not share one.
        username: None: none.
        password: None: none.
        tls: whether the connection is encrypted, and the broker's certificate checked.
        timeout_s: for the connection, and for an acknowledgement.
    """

    host: str
    port: int = 1883
    client_id: str = "ganspect"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    timeout_s: float = 10.0


def _host(text: str) -> str:
    if not re.fullmatch(r"[^\s/@]{1,253}", text) or re.fullmatch(r"[^:]*:[0-9]*", text):
        raise ValueError(f"{text!r} is no host; give its name or address alone, without scheme, login and port")
    return text


Host: TypeAlias = Annotated[str, AfterValidator(_host)]
"""The name or address of a machine, IPv6 too."""


class BrokerSettings(Section):
    """An MQTT broker.

    Attributes:
        host: of the broker.
        port: of the broker.
        client_id: of this connection on the broker; absent: made of the station's name. No two may share one.
        username: absent: none.
        password_env: environment variable that holds the password.
        tls: whether the connection is encrypted.
    """

    host: Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    client_id: str | None = None
    username: str | None = None
    password_env: str | None = None
    tls: bool = False

    @model_validator(mode="after")
    def _login(self) -> "BrokerSettings":
        if self.password_env is not None and self.username is None:
            raise ValueError("password_env is given without username; give both or neither")
        return self

    def broker(self, client_id: str, *, timeout_s: float) -> Broker:
        """Return the broker with its password.

        Args:
            client_id: where the station file gives none.
            timeout_s: for the connection, and for an acknowledgement.

        Raises:
            ConfigError: the environment variable with the password is not set.
        """
        return Broker(
            self.host,
            self.port,
            self.client_id or client_id,
            self.username,
            secret_of(self.password_env),
            self.tls,
            timeout_s,
        )


def single_topic(topic: str) -> str:
    """Return a topic that names one and not many.

    Raises:
        ValueError: it is empty or has wildcards.
    """
    if not topic or any(sign in topic for sign in "+#\0"):
        raise ValueError(f"{topic!r} is no single topic; give one without '+' and '#'")
    return topic
