"""Connections of the page that are closed when nothing comes of them, so that idle ones keep nobody out."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

_LOOK_S = 10.0


class Connection(H11Protocol):
    """An HTTP/1.1 connection that is closed when a request has not come whole within some ten seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look after it."""
        super().connection_made(transport)
        self._look = self.loop.call_later(_LOOK_S, self._look_after)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        self._look.cancel()
        super().connection_lost(exc)

    def _look_after(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # there is none before the first request
        answers = cycle is not None and not cycle.response_complete
        if not answers and self.timeout_keep_alive_task is None:
            self.transport.close()
            return
        self._look = self.loop.call_later(_LOOK_S, self._look_after)
