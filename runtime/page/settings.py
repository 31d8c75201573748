"""The `page` of a station file: where it is served, and to whom.

page: {host: 0.0.0.0, token_env: GANSPECT_TOKEN, certificate: page.crt, key: page.key}
"""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ganspect.errors import ConfigError
from ganspect.runtime.secret import secret_of
from ganspect.sections import Section

_LEAST_TOKEN = 16


class PageSettings(Section):
    """A page in the browser, with `/metrics` for Prometheus and `/healthz`.

    Attributes:
        host: address that it listens on. Anything but this machine's own (127.0.0.1, localhost, ::1) needs
            `token_env`, and `certificate` and `key` or `behind_proxy`.
        port: that it listens on; 0: a free one, which is printed.
        token_env: environment variable that holds the token which a browser is asked for, and which programs send as
            `Authorization: Bearer`; 16 characters or more. Absent: none is asked for.
        certificate: PEM file for HTTPS, relative to the station file.
        key: PEM file of its private key, likewise.
        behind_proxy: a proxy does HTTPS, so that the page itself need not; needs `token_env`, since others reach it.
        hosts: names under which browsers may call a page without a token, beside this machine's own.
        pictures_per_s: of the live view, of each camera, at most.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    token_env: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    pictures_per_s: Annotated[float, Field(gt=0, le=30)] = 4.0

    @model_validator(mode="after")
    def _guarded(self) -> "PageSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or neither")
        if is_own(self.host) and not self.behind_proxy:
            return self
        if self.token_env is None:
            where = "behind a proxy" if self.behind_proxy else f"on {self.host}"
            raise ValueError(
                f"a page {where} can be reached from other machines; name an environment variable with a token "
                "in token_env, or leave out host and behind_proxy"
            )
        if self.certificate is None and not self.behind_proxy:
            raise ValueError(
                f"a page on {self.host} would send its token in the clear; give certificate and key, or say "
                "behind_proxy: true where a proxy does HTTPS"
            )
        return self

    def token(self) -> str | None:
        """Return the token that callers must have, None where none is asked for.

        Raises:
            ConfigError: its environment variable is not set, or holds too little.
        """
        token = secret_of(self.token_env)
        if token is not None and (len(token) < _LEAST_TOKEN or not token.isascii()):
            raise ConfigError(
                f"the token in {self.token_env} has {len(token)} characters; give {_LEAST_TOKEN} or more of ASCII, "
                "such as openssl rand -hex 16 prints"
            )
        return token


def is_own(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
