"""Verdicts that are owed, made by hand."""

from ganspect.runtime.sinks.forwarder import Owed
from tests.runtime.history.entries import entry


def owed(*numbers: int, camera: str = "left") -> list[Owed]:
    """Return what a sink gets of these frames."""
    entries = [(number, entry(number, camera=camera)) for number in numbers]
    return [Owed(number, one.uid, one.camera, one.verdict, one.line) for number, one in entries]
