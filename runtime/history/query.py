"""Which verdicts of the history somebody wants.

Query(camera="left", verdict="anomalous", since_ns=…)
"""

import re
from dataclasses import dataclass

from ganspect.errors import ConfigError

_LARGEST = 2**63


@dataclass(frozen=True)
class Query:
    """A choice of verdicts.

    Attributes:
        camera: its name; None: all.
        verdict: `normal`, `anomalous` or `undecided`; None: all.
        since_ns: time of day from which on; None: from the first.
        until_ns: time of day before which; None: to the last.
        limit: how many at most, the newest; None: all.
        before: number in the history before which; None: to the last. For going back page by page.
        flagged: those that are anomalous or undecided only.
        uid: the one with this id.
        uid_begin: those whose id begins so, in lower case.
        label: what a person said: `normal`, `anomalous`, or `none` where nobody did; None: all.
        disagree: only those whose label contradicts the verdict; `undecided` counts as anomalous.
    """

    camera: str | None = None
    verdict: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int | None = None
    before: int | None = None
    flagged: bool = False
    uid: str | None = None
    uid_begin: str | None = None
    label: str | None = None
    disagree: bool = False

    def __post_init__(self) -> None:
        """Refuse what no verdict can have.

        Raises:
            ConfigError: a camera that no station can name, a begin that no id has, or a number beyond what SQLite can
                count.
        """
        if self.camera is not None and not self.camera.isprintable():
            raise ConfigError(f"{self.camera!r} is no name of a camera; give one of the station file's")
        if self.uid_begin is not None and not re.fullmatch("[0-9a-f]{1,32}", self.uid_begin):
            raise ConfigError(f"{self.uid_begin!r} begins no id; give its first signs, which are 0 to 9 and a to f")
        for name in ("since_ns", "until_ns", "limit", "before"):
            if not -_LARGEST <= (getattr(self, name) or 0) < _LARGEST:
                raise ConfigError(f"{name.removesuffix('_ns')} is beyond what can be counted; give less")

    @property
    def where(self) -> tuple[str, list[object]]:
        """Return SQL's WHERE clause, empty where nothing is asked, and its values."""
        asked = {
            "camera = ?": self.camera,
            "verdict = ?": self.verdict,
            "timestamp_ns >= ?": self.since_ns,
            "timestamp_ns < ?": self.until_ns,
            "number < ?": self.before,
            "verdict <> ?": "normal" if self.flagged else None,
            "uid = ?": self.uid,
            "uid >= ?": self.uid_begin,
            "uid < ?": None if self.uid_begin is None else f"{self.uid_begin}g",  # after every digit of an id
            "label = ?": None if self.label == "none" else self.label,
        }
        given = {clause: value for clause, value in asked.items() if value is not None}
        clauses = list(given)
        if self.label == "none":
            clauses.append("label IS NULL")
        if self.disagree:
            clauses.append("label IS NOT NULL AND (label = 'normal') != (verdict = 'normal')")
        return (f"WHERE {' AND '.join(clauses)}" if clauses else "", list(given.values()))


ALL = Query()
"""Every verdict."""
