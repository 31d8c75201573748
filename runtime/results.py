"""results.jsonl: one line a frame, there as soon as the frame is decided, and never half a line.

tail -f out/results.jsonl | grep --line-buffered '"anomalous": true'
"""

import json
import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from ganspect.errors import OutputError
from ganspect.files import plain_json, require_replaceable, require_writable
from ganspect.runtime.capture import Shot
from ganspect.runtime.verdict import Verdict

RESULTS = "results.jsonl"
SUMMARY = "summary.json"
VIDEO = "overlay.mp4"
PICTURES = "anomalies"

KEYS = (
    "source",
    "frame",
    "timestamp_ns",
    "mode",
    "verdict",
    "anomalous",
    "score",
    "start_score",
    "threshold",
    "outcome",
    "steps",
    "regions",
    "latency_ms",
)
"""Keys of a line, in order."""


def to_record(shot: Shot, verdict: Verdict, mode: str) -> dict[str, Any]:
    """Return a line of results.jsonl: JSON values only, null where a score is not finite.

    `latency_ms.total` runs from the request for the frame to its verdict, so it includes `capture`.
    """
    latency_ms = {"capture": shot.capture_ms, **verdict.latency_ms}
    latency_ms["total"] += shot.capture_ms
    values = (
        shot.source,
        shot.frame_index,
        shot.timestamp_ns,
        mode,
        verdict.verdict,
        verdict.anomalous,
        _finite(verdict.score),
        _finite(verdict.start_score),
        verdict.threshold,
        verdict.outcome,
        verdict.steps,
        [{"xyxy": list(region.xyxy), "area_px": region.area_px, "peak": region.peak} for region in verdict.regions],
        {name: round(value, 3) for name, value in latency_ms.items()},
    )
    return dict(zip(KEYS, values, strict=True))


class ResultsFile:
    """Writes lines, each with one call, so that a reader or a killed process sees whole lines only."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            OutputError: it exists or cannot be created.
        """
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def write(self, record: dict[str, Any]) -> None:
        """Append one record.

        Raises:
            OutputError: the disk is full; what was written of the line is taken back.
        """
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        end = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) < len(line):
                os.ftruncate(self._descriptor, end)
                raise OutputError(f"cannot write {self._path}: the disk is full; free some space and screen again")
        except OSError as error:
            raise _cannot_write(self._path, error) from error

    def __enter__(self) -> "ResultsFile":
        """Return the file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        os.close(self._descriptor)


def require_ours(folder: Path) -> None:
    """Prove before work starts that results can be written into a folder and replace only an older run's.

    Raises:
        OutputError: the folder holds anything else than a run of `ganspect screen`, or cannot be written.
    """
    require_replaceable(folder, marker=RESULTS)
    require_writable(folder)
    if (folder / RESULTS).exists() and not _is_ours(folder / RESULTS):
        raise OutputError(
            f"{folder / RESULTS} was not written by 'ganspect screen' and is left alone; choose another --out"
        )


def remove_older(folder: Path) -> None:
    """Remove what an older run left, so that nothing of it can be taken for the new one's; other files stay.

    Raises:
        OutputError: a file cannot be removed.
    """
    try:
        for path in (folder / SUMMARY, folder / VIDEO, *(folder / PICTURES).glob("*.png"), *folder.glob(f".{VIDEO}*")):
            path.unlink(missing_ok=True)
        (folder / RESULTS).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
        return not line or set(plain_json(line)) == set(KEYS)
    except (OSError, ValueError, TypeError):
        return False


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}; free some space or choose another folder")
