"""The page's server: a thread of its own beside the inspection, on a port that is taken before anything starts.

with Page.bound(settings, folder) as page, page.serving(station):
    print(page.address)
"""

import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from ganspect.errors import ConfigError, GanspectError
from ganspect.runtime.page.access import Access, Guard, refuse
from ganspect.runtime.page.actions import Actions
from ganspect.runtime.page.api import Api
from ganspect.runtime.page.connection import Connection
from ganspect.runtime.page.files import ROUTES
from ganspect.runtime.page.login import Login
from ganspect.runtime.page.pictures import LivePictures
from ganspect.runtime.page.series import Series
from ganspect.runtime.page.settings import PageSettings
from ganspect.runtime.station.station import Station

_log = logging.getLogger("ganspect.station")
# What fails in the page is said by `Guard`, once and not for each request.
logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
_CONNECTIONS = 256
_HEADERS_BYTES = 16 << 10
_GONE_AFTER_MS = 15_000
_STARTS_WITHIN_S = 10.0
_ENDS_WITHIN_S = 5.0


class Page:
    """A station's page.

    Attributes:
        address: to open in a browser.
    """

    def __init__(self, settings: PageSettings, listening: socket.socket, folder: Path) -> None:
        """Take a socket that listens; `Page.bound` makes one."""
        self._settings = settings
        self._listening = listening
        self._tls = _tls_files(settings, folder)
        self._token = settings.token()
        scheme = "https" if self._tls else "http"
        self.address = f"{scheme}://{_shown(settings.host)}:{listening.getsockname()[1]}/"

    @classmethod
    def bound(cls, settings: PageSettings, folder: Path) -> "Page":
        """Take the port, and check token and certificate.

        Args:
            settings: of the station file.
            folder: that the certificate's path is relative to.

        Raises:
            ConfigError: the port is in use or not to be had, the token is none, the certificate cannot be used.
        """
        listening = _listen(settings.host, settings.port)
        try:
            return cls(settings, listening, folder)
        except BaseException:
            listening.close()
            raise

    @contextmanager
    def serving(self, station: Station) -> Iterator[None]:
        """Answer for a station while the block runs.

        Raises:
            ConfigError: the server does not start.
        """
        live, series = LivePictures(lambda: station.inspector), Series(tuple(station.cameras.feeds))
        api = Api(station, live, series, pictures_per_s=self._settings.pictures_per_s)
        server = uvicorn.Server(self._config(api, Actions(station)))
        thread = threading.Thread(target=self._run, args=(server,), name="page", daemon=True)
        thread.start()
        watching = [live.judged, series.judged]
        station.observers += watching
        try:
            self._wait_until_started(server, thread)
            yield
        finally:
            api.ending.set()
            server.should_exit = True
            thread.join(_ENDS_WITHIN_S)
            live.close()
            station.observers = [one for one in station.observers if one not in watching]

    def close(self) -> None:
        """Give the port back."""
        self._listening.close()

    def __enter__(self) -> "Page":
        """Return the page."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        self.close()

    def _config(self, api: Api, actions: Actions) -> uvicorn.Config:
        secure, port = bool(self._tls) or self._settings.behind_proxy, self._listening.getsockname()[1]
        access = Access(port=port, token=self._token, secure=secure, hosts=self._settings.hosts)
        app = Starlette(
            routes=[*ROUTES, *Login(access).routes(), *api.routes(), *actions.routes()],
            exception_handlers={GanspectError: _unavailable},
        )
        return uvicorn.Config(
            Guard(app, access),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEADERS_BYTES,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=2,
            ssl_certfile=self._tls[0] if self._tls else None,
            ssl_keyfile=self._tls[1] if self._tls else None,
        )

    def _run(self, server: uvicorn.Server) -> None:
        try:
            server.run(sockets=[self._listening])
        except Exception:  # the line goes on without its page
            _log.exception("the page has ended")

    def _wait_until_started(self, server: uvicorn.Server, thread: threading.Thread) -> None:
        end_s = time.monotonic() + _STARTS_WITHIN_S
        while not server.started:
            if time.monotonic() > end_s or not thread.is_alive():
                raise ConfigError(f"the page does not start on {self.address}; see the log above")
            time.sleep(0.01)


async def _unavailable(request: Request, error: Exception) -> Response:
    """Answer where the history cannot be read: with a sentence."""
    return refuse(503, str(error))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port)
        listening = socket.create_server((host, port), family=family, backlog=_CONNECTIONS)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS)  # connections inherit it
        return listening
    except (TypeError, UnicodeError) as error:
        raise ConfigError(
            f"page.host {host!r} is no address; give one of this machine's, or 0.0.0.0 for all"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} of {host} is in use; choose another page.port in the station file, or stop what uses it"
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigError(f"port {port} needs root; choose one from 1024 up as page.port") from error
        raise ConfigError(f"page.host {host!r} is no address of this machine; give one, or 0.0.0.0 for all") from error


def _tls_files(settings: PageSettings, folder: Path) -> tuple[Path, Path] | None:
    if settings.certificate is None or settings.key is None:
        return None
    certificate, key = folder / settings.certificate.expanduser(), folder / settings.key.expanduser()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"page.certificate {certificate} and page.key {key} cannot be used ({_why(error)}); give PEM files of a "
            "certificate and its private key"
        ) from error
    return certificate, key


def _why(error: OSError) -> str:
    return "they are no PEM files, or no pair" if isinstance(error, ssl.SSLError) else str(error.strerror)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
