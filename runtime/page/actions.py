"""What may be done on the page, or by a program that has its token.

POST /api/verdicts/ID/label          {"label": "normal" | "anomalous" | null}
POST /api/pause                      {"paused": true}
POST /api/good                       {"on": true}: begin a good period, false: end it
POST /api/reload                     {}: take the bundle and its calibration anew
POST /api/cameras/NAME/signal        {"part": "4711"}: a part is in front of a camera whose trigger is `http`
"""

import json
import logging
import re
from collections.abc import Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ganspect.errors import GanspectError
from ganspect.runtime.page.access import refuse
from ganspect.runtime.page.contents import content_of
from ganspect.runtime.station.station import Station

_LARGEST_BODY = 4 << 10
_UID = re.compile("[0-9a-f]{32}")
_log = logging.getLogger("ganspect.station")


class Actions:
    """Does what an operator asks for."""

    def __init__(self, station: Station) -> None:
        """Act on a station."""
        self._station = station

    def routes(self) -> list[Route]:
        """Return what is answered, by address."""
        answers = {
            "/api/verdicts/{uid}/label": self._label,
            "/api/pause": self._pause,
            "/api/good": self._good,
            "/api/reload": self._reload,
            "/api/cameras/{camera}/signal": self._signal,
        }
        return [Route(path, answer, methods=["POST"]) for path, answer in answers.items()]

    async def _label(self, request: Request) -> Response:
        given = await _body_of(request, {"label"})
        if given is None or given["label"] not in ("normal", "anomalous", None):
            return refuse(400, 'give {"label": "normal"}, {"label": "anomalous"} or {"label": null}')
        uid, label = request.path_params["uid"], given["label"]
        if not _UID.fullmatch(uid):
            return refuse(404, "there is no such verdict on disk")
        try:
            there = await run_in_threadpool(self._station.history.label, uid, label)
        except GanspectError as error:
            return refuse(503, str(error))
        if not there:
            return refuse(404, "there is no such verdict on disk")
        _log.info("verdict %s was labelled %s on the page", uid, label)
        return JSONResponse({"id": uid, "label": label})

    async def _pause(self, request: Request) -> Response:
        given = await _body_of(request, {"paused"})
        if given is None or not isinstance(given["paused"], bool):
            return refuse(400, 'give {"paused": true} or {"paused": false}')
        self._station.pause(given["paused"])
        return JSONResponse({"paused": self._station.paused})

    async def _good(self, request: Request) -> Response:
        given = await _body_of(request, {"on"})
        if given is None or not isinstance(given["on"], bool):
            return refuse(400, 'give {"on": true} or {"on": false}')
        period = self._station.good_period
        try:
            status = await run_in_threadpool(period.begin if given["on"] else period.end)
        except GanspectError as error:
            return refuse(409, str(error))
        return JSONResponse({"state": status.state, "name": status.name})

    async def _reload(self, request: Request) -> Response:
        if await _body_of(request, ()) is None:
            return refuse(400, "give {}")
        self._station.reload()
        return JSONResponse({"state": "asked"}, 202)

    async def _signal(self, request: Request) -> Response:
        given = await _body_of(request, {"part"})
        if given is None or not isinstance(given["part"], str):
            return refuse(400, 'give {"part": "its name"}; the name may be empty')
        try:
            # Here and not in a thread of the pool: the moment of the signal counts, and nothing in it waits.
            signal = self._station.cameras.signal(request.path_params["camera"], given["part"])
        except GanspectError as error:
            return refuse(409, str(error))
        return JSONResponse({"part": signal.name}, 202)


async def _body_of(request: Request, keys: Iterable[str]) -> dict[str, Any] | None:
    """Return a request's JSON object, or None where it is none, is too large, or has other keys."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return None
    content = await content_of(request, most=_LARGEST_BODY)
    try:
        given = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) and set(given) == set(keys) else None
