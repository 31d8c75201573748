"""A page of sections, rendered to one HTML file that needs no network; what the sections say is not its business.

html = render(Page(title="elpv:mono", ...))
"""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

Tone: TypeAlias = Literal["plain", "good", "bad"]


@dataclass(frozen=True)
class Card:
    """One figure of the first screen: what it is, its value, and a sentence on how to read it."""

    label: str
    value: str
    detail: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Drawing:
    """An SVG with what it shows, for those who see it and for those who do not."""

    svg: str
    caption: str
    wide: bool = False

    @property
    def uri(self) -> str:
        """Return the drawing as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first column names the row, `strong` marks the rows that are deployed."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Case:
    """One image: data URIs of its pictures, and what was said of it."""

    image: str
    reconstruction: str
    residual: str
    name: str
    verdict: str
    right: bool
    detail: str


@dataclass(frozen=True)
class Gallery:
    """Cases of one kind."""

    title: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it; empty parts are left out."""

    title: str
    lead: str = ""
    drawings: tuple[Drawing, ...] = ()
    table: Table | None = None
    galleries: tuple[Gallery, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """The whole page: a first screen with headline, warnings and cards, then sections."""

    title: str
    subtitle: str
    headline: str
    tone: Tone
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    footer: str
    warnings: tuple[str, ...] = ()


def render(page: Page) -> str:
    """Return the page as HTML with style and pictures inside; all text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(page=page)
