"""The page's requests: methods, addresses, headers and bodies that no browser sends, given to the real application.

The history, the cameras and the good periods behind it are real; what judges is not there, since nothing here asks it.
"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

from hypothesis import strategies
from hypothesis.strategies import SearchStrategy
from starlette.applications import Starlette

from fuzzing.artefacts import entries, write_history
from fuzzing.target import SECRET, FaultError, Target
from fuzzing.values import changed_bytes, hostile_texts
from ganspect.errors import GanspectError
from ganspect.runtime.good_period import GoodPeriod
from ganspect.runtime.good_period.settings import GoodPeriodSettings
from ganspect.runtime.history import History
from ganspect.runtime.page.access import Access, Guard
from ganspect.runtime.page.actions import Actions
from ganspect.runtime.page.api import Api
from ganspect.runtime.page.files import ROUTES
from ganspect.runtime.page.login import Login
from ganspect.runtime.page.series import Series
from ganspect.runtime.station.cameras import Cameras
from ganspect.runtime.station.settings import CameraSettings
from ganspect.runtime.station.station import Station

_HEADERS = ("content-type", "content-length", "cookie", "authorization", "origin", "sec-fetch-site", "host", "range")
_BODIES = [b'{"label": "normal"}', b'{"paused": true}', b'{"on": false}', b"{}", b'{"part": "4711"}', b"token=abc"]


def requests(folder: Path) -> Target:
    """Return the target of the page's requests, of callers with and without the token."""
    token = f"{SECRET}-token"
    application = _application(folder, token)

    def run(request: tuple[str, str, dict[str, str], bytes, bool]) -> None:
        method, address, headers, body, known = request
        own = {"authorization": f"Bearer {token}", "content-type": "application/json"} if known else {}
        status, content = asyncio.run(_answer(application, method, address, {**own, **headers}, body))
        if status >= 500 or SECRET.encode() in content or b"Traceback" in content:
            raise FaultError(f"{status} for {method} {address!r}: {content[:200]!r}")
        if status >= 400:
            raise GanspectError(f"{status} {content.decode('utf-8', 'replace')}")

    uid = entries(1)[0].uid
    known = ("/", "/healthz", "/metrics", "/login", "/static/app.js", "/api/verdicts", "/api/pause", "/api/good")
    more = (f"/api/verdicts/{uid}/label", f"/api/verdicts/{uid}/picture.jpg", "/api/cameras/gate/signal", "/api/reload")
    paths = strategies.one_of(strategies.sampled_from(known + more), hostile_texts().map(lambda text: f"/api/{text}"))
    queries = strategies.one_of(
        strategies.just(""),
        hostile_texts().map(lambda text: f"?before={text}&limit={text}&camera={text}&flagged=1"),
        strategies.integers(-5, 10**30).map(lambda number: f"?limit={number}&before={number}"),
    )
    none: SearchStrategy[dict[str, str]] = strategies.just({})
    hostile = strategies.dictionaries(strategies.sampled_from(_HEADERS), hostile_texts(), max_size=4)
    headers = strategies.one_of(none, hostile)
    methods = strategies.sampled_from(("GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"))
    addresses = strategies.tuples(paths, queries).map("".join)
    return Target(
        "page",
        strategies.tuples(
            methods, addresses, headers, changed_bytes(_BODIES), strategies.sampled_from((True, True, True, False))
        ),
        run,
    )


def _application(folder: Path, token: str) -> Guard:
    write_history(folder / "history.sqlite")
    history = History.open(folder / "history.sqlite")
    trigger = {"policy": "trigger", "trigger": {"kind": "http"}}
    gate = CameraSettings.model_validate({"name": "gate", "source": "rtsp://127.0.0.1:9/1", **trigger})
    cameras = Cameras((gate,), folder, lambda status: None, station="fuzzed", on_missed=lambda camera, signal: None)
    station = SimpleNamespace(
        history=history,
        cameras=cameras,
        good_period=GoodPeriod(GoodPeriodSettings(), data=folder, station="fuzzed", bundle="0"),
        sinks=SimpleNamespace(pictures=[], status=lambda: []),
        recorder=SimpleNamespace(alarm=""),
        pause=lambda paused: None,
        paused=False,
        reload=lambda: None,
        turned_s=float("inf"),
    )
    known, series = cast(Station, station), Series(("gate",))
    live = SimpleNamespace(newest=lambda camera: None, flagged=lambda uid: None)
    access = Access(port=80, token=token, secure=False, hosts=())
    login = Login(access)
    api = Api(known, cast(Any, live), series, pictures_per_s=4.0)
    served = [
        route for route in api.routes() if route.path not in ("/metrics", "/api/state", "/api/events", "/healthz")
    ]
    return Guard(Starlette(routes=[*ROUTES, *login.routes(), *served, *Actions(known).routes()]), access)


async def _answer(
    application: Guard, method: str, address: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    path, _, query = address.partition("?")
    length = {"content-length": str(len(body))} if body else {}
    raw = {name: value.encode("utf-8", "replace") for name, value in {**length, **headers}.items()}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path.encode("utf-8", "replace").decode(),
        "raw_path": quote(path.encode("utf-8", "replace")).encode(),
        "query_string": quote(query.encode("utf-8", "replace"), safe="=&").encode(),
        "headers": [(name.encode(), value) for name, value in raw.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }
    told: list[dict[str, Any]] = []
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(given, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        told.append(message)

    await application(scope, cast(Any, receive), send)
    return told[0]["status"], b"".join(message.get("body", b"") for message in told)
