"""The form that asks for a token, and the session that a right one begins."""

import asyncio
import logging
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ganspect.runtime.page.access import SESSION_S, Access, refuse
from ganspect.runtime.page.contents import content_of
from ganspect.runtime.page.files import page_of

_WRONG_S = 1.0
_WAITING = 8
_LARGEST_BODY = 4 << 10
_log = logging.getLogger("ganspect.station")


class Login:
    """Takes tokens, one a second at most once they are wrong."""

    def __init__(self, access: Access) -> None:
        """Ask an access."""
        self._access = access
        self._turn = asyncio.Lock()
        self._tries = 0

    def routes(self) -> list[Route]:
        """Return what is answered, by address."""
        return [Route("/login", self._form), Route("/login", self._enter, methods=["POST"])]

    async def _form(self, request: Request) -> Response:
        return page_of("login.html")

    async def _enter(self, request: Request) -> Response:
        if self._tries >= _WAITING:
            return refuse(429, "too many tries at once; try again in a moment")
        self._tries += 1
        try:
            given = await _token_of(request)  # before the turn: a slow caller must not keep the others out
            async with self._turn:
                right = self._access.knows(given)
                if not right:
                    await asyncio.sleep(_WRONG_S)
        finally:
            self._tries -= 1
        if not right:
            _log.warning("page: a wrong token was given from %s", request.client.host if request.client else "nowhere")
            return page_of("login.html", 401, alert=True)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._access.cookie,
            self._access.session(),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=self._access.secure,
        )
        return answer


async def _token_of(request: Request) -> str:
    content = await content_of(request, most=_LARGEST_BODY) or b""
    return parse_qs(content.decode("ascii", "replace"), max_num_fields=4).get("token", [""])[0].strip()
