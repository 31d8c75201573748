"""A station with its page, as tests call it."""

import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ganspect.runtime.station.station import Station


class Served:
    """A station and its page."""

    def __init__(self, station: Station, address: str) -> None:
        self.station = station
        self.address = address
        parts = urlsplit(address)
        self.host, self.port = parts.hostname or "", parts.port or 0

    def ask(
        self, method: str, path: str, *, content: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request; `content` as JSON where it is no bytes."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body=body, headers={**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, _, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 20) -> Any:
    end_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end_s, what
        time.sleep(0.02)
    return found
