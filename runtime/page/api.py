"""What the page answers to those who look: state and events, pictures, verdicts, metrics.

GET  /api/state                      everything that the page shows
GET  /api/events                     the same once a second, as server-sent events, with the charts' new points
GET  /api/cameras/NAME/live.jpg      ?view=plain|heat|both, the newest frame, X-Verdict says of which verdict; 204: none
GET  /api/verdicts                   ?before=NUMBER&camera=NAME&flagged=1&limit=30, the newest first
GET  /api/verdicts/ID/picture.jpg    frame and heat map of a flagged part
"""

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ganspect.errors import GanspectError
from ganspect.runtime.history.query import Query
from ganspect.runtime.page.access import refuse
from ganspect.runtime.page.health import health_of
from ganspect.runtime.page.metrics import CONTENT_TYPE, Metrics
from ganspect.runtime.page.pictures import LivePictures, View
from ganspect.runtime.page.series import Series
from ganspect.runtime.page.state import States, about
from ganspect.runtime.station.station import Station

_EVENT_S = 1.0
_EVENTS = 300
_LOOKERS = 16
_MOST = 100
_UID = re.compile("[0-9a-f]{32}")

Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers for one station.

    Attributes:
        ending: set when the page closes, so that streams of events end.
    """

    def __init__(self, station: Station, live: LivePictures, series: Series, *, pictures_per_s: float) -> None:
        """Look at a station."""
        self.ending = threading.Event()
        self._station = station
        self._live = live
        self._series = series
        self._states = States(station, series, live, pictures_per_s=pictures_per_s)
        self._metrics = Metrics(station)
        self._lookers = 0

    def routes(self) -> list[Route]:
        """Return what is answered, by address."""
        return [
            Route("/healthz", self._healthz),
            Route("/metrics", self._metrics_text),
            Route("/api/state", self._state),
            Route("/api/events", self._events),
            Route("/api/cameras/{camera}/live.jpg", self._live_picture),
            Route("/api/verdicts", self._verdicts),
            Route("/api/verdicts/{uid}/picture.jpg", self._picture),
        ]

    async def _healthz(self, request: Request) -> Response:
        ok = (await run_in_threadpool(health_of, self._station)).ok
        return JSONResponse({"status": "ok" if ok else "failing"}, 200 if ok else 503)

    async def _metrics_text(self, request: Request) -> Response:
        return Response(await run_in_threadpool(self._metrics.text), headers={"Content-Type": CONTENT_TYPE})

    async def _state(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._states.now))

    async def _events(self, request: Request) -> Response:
        if self._lookers >= _LOOKERS:
            return refuse(503, f"{_LOOKERS} browsers look at this page already; close one")
        return StreamingResponse(self._told(), media_type="text/event-stream")

    async def _told(self) -> AsyncIterator[str]:
        self._lookers += 1
        seen = dict.fromkeys(self._station.cameras.feeds, 0)
        try:
            yield "retry: 500\n\n"  # ms until the browser comes back
            # Not for ever: the browser comes back by itself, and one that is gone is found out.
            for _ in range(_EVENTS):
                if self.ending.is_set():
                    return
                state = await run_in_threadpool(self._states.now)
                points = {camera: self._series.since(camera, number) for camera, number in seen.items()}
                seen.update({camera: int(found[-1]["number"] or 0) for camera, found in points.items() if found})
                yield f"data: {json.dumps({**state, 'points': points}, allow_nan=False)}\n\n"
                await self._pass(_EVENT_S)
        finally:
            self._lookers -= 1

    async def _pass(self, seconds: float) -> None:
        """Wait, and no longer than until the page closes."""
        for _ in range(round(seconds / 0.1)):
            if self.ending.is_set():
                return
            await asyncio.sleep(0.1)

    async def _live_picture(self, request: Request) -> Response:
        camera, view = request.path_params["camera"], request.query_params.get("view", "heat")
        if camera not in self._station.cameras.feeds:
            return refuse(404, "there is no such camera")
        if view not in get_args(View):
            return refuse(400, f"view is one of {', '.join(get_args(View))}")
        judged = self._live.newest(camera)
        if judged is None or request.query_params.get("seen") == judged.entry.uid + view:
            return Response(status_code=204)  # nothing, or nothing new since this browser last asked
        try:
            content = await run_in_threadpool(self._live.picture, judged, cast(View, view))
        except GanspectError as error:
            return refuse(404, str(error))
        return Response(content, media_type="image/jpeg", headers={"X-Verdict": json.dumps(about(judged))})

    async def _verdicts(self, request: Request) -> Response:
        asked = request.query_params
        before, limit = asked.get("before"), asked.get("limit", "30")
        if not _is_count(limit) or not (before is None or _is_count(before)):
            return refuse(400, "before and limit are whole numbers")
        query = Query(
            camera=asked.get("camera"),
            flagged=asked.get("flagged") == "1",
            before=None if before is None else int(before),
            limit=max(1, min(int(limit), _MOST)),
        )
        found = await run_in_threadpool(lambda: list(self._station.history.records(query)))
        return JSONResponse({"verdicts": list(reversed(found))})

    async def _picture(self, request: Request) -> Response:
        uid = request.path_params["uid"]
        content = await run_in_threadpool(self._kept_picture, uid) if _UID.fullmatch(uid) else None
        if content is None:
            return refuse(404, "there is no picture of this verdict")
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    def _kept_picture(self, uid: str) -> bytes | None:
        """Return the picture in memory, or the one that a sink has kept."""
        content = self._live.flagged(uid)
        if content is not None or not self._station.sinks.pictures:
            return content
        for record in self._station.history.records(Query(uid=uid)):
            for sink in self._station.sinks.pictures:
                with contextlib.suppress(OSError):
                    return sink.heat_path(record["camera"], record["timestamp_ns"], uid).read_bytes()
        return None


def _is_count(text: str) -> bool:
    return re.fullmatch("[0-9]{1,15}", text) is not None
