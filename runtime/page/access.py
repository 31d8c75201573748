"""Who may call the page: tokens, sessions, hosts, origins, and the headers that every answer has.

app = Guard(app, Access(port=8765, token=None, secure=False, hosts=("line3.plant",)))

A page without a token answers only under this machine's own names: else a page from elsewhere could let its own name
point here and read along in the operator's browser. Whatever changes something must come from the page itself.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import time
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ganspect.errors import one_line
from ganspect.runtime.page.settings import is_own
from ganspect.runtime.rarely import Rarely

SESSION_S = 12 * 3600
_LARGEST_BODY = 16 << 10
_TAKEN_WITHIN_S = 15.0
_log = logging.getLogger("ganspect.station")
_OPEN = ("/healthz", "/login")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Access:
    """Decides who may call.

    Attributes:
        secure: whether browsers reach the page by HTTPS.
        cookie: name of the session's cookie; browsers share cookies between the ports of a machine.
    """

    def __init__(self, *, port: int, token: str | None, secure: bool, hosts: tuple[str, ...]) -> None:
        """Take what the station file says.

        Args:
            port: that the page listens on.
            token: that callers must have; None: none.
            secure: whether browsers reach the page by HTTPS.
            hosts: names beside this machine's own under which a page without a token may be called.
        """
        self.secure = secure
        self.cookie = f"ganspect_{port}"
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)

    def knows(self, token: str) -> bool:
        """Return whether a token is the right one, in a time that does not tell."""
        return self._token is None or hmac.compare_digest(token.encode(), self._token.encode())

    def session(self) -> str:
        """Return a cookie's value that stands for the token for twelve hours."""
        until = str(int(time.time()) + SESSION_S)
        return f"{until}.{self._signature(until)}"

    def admits(self, request: Request) -> bool:
        """Return whether a caller has the token, or a session that stands for it."""
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(given.strip())
        until, _, signature = request.cookies.get(self.cookie, "").partition(".")
        fresh = re.fullmatch("[0-9]{1,12}", until) is not None and int(until) > time.time()
        return fresh and hmac.compare_digest(signature.encode(), self._signature(until).encode())

    def is_called_by_name(self, request: Request) -> bool:
        """Return whether the page is called under a name that it answers to."""
        if self._token is not None:
            return True
        host = _host_of(f"//{request.headers.get('host', '')}")
        return host is not None and (is_own(host) or host in self._hosts)

    def _signature(self, until: str) -> str:
        return hmac.new((self._token or "").encode(), f"page session {until}".encode(), hashlib.sha256).hexdigest()


class Guard:
    """Lets through who may call, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand before an application."""
        self._app = app
        self._access = access
        self._rarely = Rarely()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await asyncio.wait_for(send(message), _TAKEN_WITHIN_S)  # one who does not read holds nothing for ever

        request = Request(scope)
        try:
            await (self._refusal(request) or self._app)(scope, receive, send_with_headers)
        except (ClientDisconnect, asyncio.TimeoutError, OSError):
            return  # whoever asked is gone, or does not read
        except Exception as error:
            self._tell(f"the page failed on {scope['path']!r}: {one_line(error)}")

    def _refusal(self, request: Request) -> Response | None:
        if not self._access.is_called_by_name(request):
            return refuse(421, "this page does not answer to that name; add it to page.hosts in the station file")
        if request.method not in ("GET", "HEAD"):
            if not _from_the_page(request):
                return refuse(403, "another page's request was refused")
            length = request.headers.get("content-length", "")
            if not re.fullmatch("[0-9]{1,9}", length) or int(length) > _LARGEST_BODY:
                return refuse(413, f"a request needs a Content-Length of {_LARGEST_BODY} or less")
        # What is routed by, and not the address that a caller's Host header may have a part in.
        path = request.scope["path"]
        if path in _OPEN or path.startswith("/static/") or self._access.admits(request):
            return None
        if path == "/" and request.method == "GET":
            return RedirectResponse("/login", 303)
        given = request.headers.get("authorization")
        if given is not None:
            self._tell(f"a wrong token was given from {request.client.host if request.client else 'nowhere'}")
        bearer = given is not None and given.partition(" ")[0].lower() == "bearer"
        reason = "the token that was given is not the right one" if bearer else "a token is needed"
        return JSONResponse({"error": reason}, 401, {"WWW-Authenticate": "Bearer"})

    def _tell(self, words: str) -> None:
        self._rarely.log(logging.WARNING, "page", words, before="page: ")


def refuse(status: int, reason: str) -> JSONResponse:
    """Return an answer that says why not."""
    return JSONResponse({"error": reason}, status)


def _from_the_page(request: Request) -> bool:
    """Return whether a request that changes something comes from this page, or from no page at all (a program)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    except ValueError:
        return False


def _host_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
