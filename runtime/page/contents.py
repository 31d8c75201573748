"""A request's content, read within bounds of size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

_WITHIN_S = 5.0


async def content_of(request: Request, *, most: int) -> bytes | None:
    """Return a request's content, or None where it is larger than `most` bytes, takes too long, or is cut off."""
    try:
        return await asyncio.wait_for(_read(request, most), _WITHIN_S)
    except (ClientDisconnect, asyncio.TimeoutError):
        return None


async def _read(request: Request, most: int) -> bytes | None:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > most:
            return None
    return content
