"""A measuring process from the inside: one request on each line of standard input, one reply on standard output.

    serve(Session)

    {"do": "open", ...}                  {"ok": {...}}
    {"do": "measure", "frames": 40}      {"ok": {"ms": [...], "peak_memory_mb": 153.2}}
    {"do": "judge", "images": "test.npz", "out": "scores.npz"}
    {"do": "anything else"}              {"error": "one sentence"}

Needs NumPy alone, so that a process holds what it measures and nothing else.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Judged = tuple[float, Array | None]
"""A score, and an anomaly map (h,w) where the model has one; higher is more anomalous."""


class Session(Protocol):
    """A model that is ready to judge."""

    @property
    def frames(self) -> Sequence[Array]:
        """Return frames as a camera gives them: (H,W) grey or (H,W,3) BGR uint8."""
        ...

    def score(self, frame: Array) -> float:
        """Return the score of a frame; this is what is timed."""
        ...

    def judge(self, image: Array) -> Judged:
        """Return what the model says of an image (h,w,C) uint8 of its own size, grey or RGB."""
        ...


def serve(open_session: Callable[[Mapping[str, Any]], Session]) -> None:
    """Answer requests until standard input ends.

    Args:
        open_session: takes the request `open`, and returns what it asks for.
    """
    replies = _reserve_stdout()
    session: Session | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "open":
                session = open_session(request)
                reply: dict[str, Any] = {"ok": {"frames": len(session.frames)}}
            elif session is None:
                raise ValueError(f"'{request['do']}' was asked before 'open'")
            else:
                reply = {"ok": _answer(session, request)}
        except Exception as error:  # whatever ends a measurement is a reason to be recorded
            reply = {"error": reason_of(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def reason_of(error: BaseException) -> str:
    """Return what an error says, on one line: the one that it was raised from, where there is one."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [text.strip() for text in str(error).splitlines() if text.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:300]


def _answer(session: Session, request: Mapping[str, Any]) -> dict[str, Any]:
    if request["do"] == "measure":
        return {"ms": measured(session, request["frames"]), "peak_memory_mb": peak_memory_mb()}
    if request["do"] == "judge":
        return judge_all(session, Path(request["images"]), Path(request["out"]))
    raise ValueError(f"nothing is known of '{request['do']}'")


def measured(session: Session, count: int) -> list[float]:
    """Return the milliseconds from a frame in memory to its score, of `count` frames one after the other."""
    taken = []
    for index in range(count):
        frame = session.frames[index % len(session.frames)]
        begin_ns = time.perf_counter_ns()
        session.score(frame)
        taken.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return taken


def judge_all(session: Session, images: Path, out: Path) -> dict[str, Any]:
    """Judge the images of a file, and write `scores` (n,) and, where the model has any, `maps` (n,h,w)."""
    with np.load(images) as content:
        judged = [session.judge(image) for image in content["images"]]
    maps = [found for _, found in judged if found is not None]
    arrays = {"scores": np.array([score for score, _ in judged], np.float64)}
    if maps:
        arrays["maps"] = np.stack(maps).astype(np.float32)
    np.savez(out, **arrays)  # type: ignore[arg-type]  # NumPy's types take the names for `allow_pickle`
    return {"images": len(judged)}


def read_frames(path: Path) -> list[Array]:
    """Return the frames of a file that `peering.splits` wrote, in their order."""
    with np.load(path) as content:
        return [content[name] for name in sorted(content.files)]


def peak_memory_mb() -> float:
    """Return the most memory that this process ever held, in MB of 10^6 bytes.

    Not ru_maxrss, in which Linux counts what the parent held when it started this process.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmHWM")


def _reserve_stdout() -> Any:
    """Return standard output for replies alone; whatever else is printed goes to standard error from now on."""
    sys.stdout.flush()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies
