"""Verdicts to a web address: a POST each, JSON, with the verdict's id as Idempotency-Key.

Webhook("https://mes.example/verdicts", timeout_s=5, token="…").send(owed)
"""

import base64
import logging
import urllib.error
import urllib.request
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from ganspect.redaction import hide
from ganspect.runtime.rarely import Rarely
from ganspect.runtime.sinks.forwarder import Owed

_log = logging.getLogger("ganspect.station")
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
"""Answers that say that this very verdict will never be taken; the others may change, and are tried again."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A verdict goes where it was meant to go, its token too."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Webhook:
    """Sends verdicts one by one.

    Attributes:
        refused: verdicts that the server will never take, by its own word.
    """

    def __init__(self, url: str, *, timeout_s: float, token: str | None = None) -> None:
        """Take the address; nothing is sent yet.

        Args:
            url: http or https; a user and password in it are sent as basic authorization.
            timeout_s: for an answer.
            token: sent as `Authorization: Bearer` instead; None: none.
        """
        self.refused = 0
        self._rarely = Rarely()
        self._url, login = _without_login(url)
        parts = urlsplit(self._url)
        self._shown = f"{parts.scheme}://{parts.netloc}"
        # Addresses of webhooks are secrets as a whole: some services put their token into the path.
        hide(f"{parts.path}?{parts.query}" if parts.query else parts.path if len(parts.path) > 8 else None)
        hide(login)
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json", "User-Agent": "ganspect"}
        if token is not None or login is not None:
            self._headers["Authorization"] = f"Basic {login}" if token is None else f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, owed: Sequence[Owed]) -> None:
        """Send a batch.

        Raises:
            OSError: no answer, or one that is no success.
        """
        for one in owed:
            self._post(one)

    def _post(self, one: Owed) -> None:
        headers = {**self._headers, "Idempotency-Key": one.uid}
        request = urllib.request.Request(self._url, data=one.line.encode(), headers=headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(1 << 16)
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _REFUSED:
                    raise OSError(f"{self._shown} answered {error.code} {error.reason}") from None
            self.refused += 1
            answer, before = f"{error.code} {error.reason}", f"{self._shown} refuses verdict {one.uid}: "
            self._rarely.log(logging.ERROR, self._shown, answer, before=before)


def _without_login(url: str) -> tuple[str, str | None]:
    """Return an address without user and password, and these as basic authorization wants them."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    return parts._replace(netloc=host).geturl(), base64.b64encode(unquote(login).encode()).decode()
