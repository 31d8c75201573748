"""The keys of a station file that say which MQTT broker, and how to get in."""

from typing import Annotated

from pydantic import Field, model_validator

from ganspect.sections import Section


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

    host: str
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


def publishable(topic: str) -> str:
    """Return a topic that can be published to.

    Raises:
        ValueError: it is empty or has wildcards.
    """
    if not topic or any(sign in topic for sign in "+#\0"):
        raise ValueError(f"{topic!r} cannot be published to; a topic has neither '+' nor '#'")
    return topic
