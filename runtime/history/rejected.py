"""rejected.jsonl: verdicts that no history can hold, put aside beside it, so that the others go on and none vanishes.

Rejected(Path("station/rejected.jsonl")).put_aside(entry, "ValueError: …")
"""

import json
import os
import time
from pathlib import Path

from ganspect.errors import OutputError
from ganspect.runtime.history.entry import Entry

REJECTED = "rejected.jsonl"
_MOST_BYTES = 64 << 20
_MOST_CHARACTERS = 100_000


class Rejected:
    """The file; made when the first entry comes.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is opened."""
        self.path = path

    def put_aside(self, entry: Entry, reason: str) -> bool:
        """Append an entry, on disk when this returns.

        Returns:
            Whether it was written: where 64 MB are there already it is not, since something is wrong with all of them.

        Raises:
            OutputError: the disk is full, or the file cannot be written.
        """
        line = (_line(entry, reason) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                return self._append(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}; free some space") from error

    def _append(self, descriptor: int, line: bytes) -> bool:
        end = os.fstat(descriptor).st_size
        if end + len(line) > _MOST_BYTES:
            return False
        if os.write(descriptor, line) < len(line):
            os.ftruncate(descriptor, end)
            raise OutputError(f"cannot write {self.path}: the disk is full; free some space")
        os.fsync(descriptor)
        return True


def _line(entry: Entry, reason: str) -> str:
    head = {"rejected_ns": time.time_ns(), "reason": reason, "id": repr(entry.uid), "camera": repr(entry.camera)}
    try:
        return json.dumps({**head, "record": entry.record}, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # the fault may be that it is no JSON
        return json.dumps({**head, "record": repr(entry.record)[:_MOST_CHARACTERS]})
