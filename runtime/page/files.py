"""The files of the page itself, read once; nothing else is ever served from the disk by name."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ganspect.runtime.page.access import refuse

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_FILES = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}


def page_of(name: str, status: int = 200, *, alert: bool = False) -> Response:
    """Return one of the page's files as an answer, with or without the alert that is hidden in it."""
    kind = _TYPES[Path(name).suffix]
    content = _FILES[name].replace(b' role="alert" hidden', b' role="alert"') if alert else _FILES[name]
    return Response(content, status, media_type=f"{kind}; charset=utf-8")


async def _index(request: Request) -> Response:
    return page_of("index.html")


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    return page_of(name) if name in _FILES else refuse(404, "there is no such file")


ROUTES = [Route("/", _index), Route("/static/{name}", _static)]
"""The page and its parts."""
