"""The lines that the measuring processes and their parent exchange: one JSON object each, over stdin and stdout.

{"do": "measure", "mode": "search", "batch": 1, "steps": 20, "seconds": 0.4}
{"ok": {"samples_ms": [...], "iterations": 20.0, "peak_rss_mb": 153.2}}
{"error": {"kind": "BundleError", "message": "..."}}
"""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO, TypeAlias

from ganspect import errors
from ganspect.errors import DeviceError, GanspectError

Message: TypeAlias = dict[str, Any]


def reserve_stdout() -> TextIO:
    """Return standard output for messages alone; whatever else is printed goes to standard error from now on."""
    sys.stdout.flush()
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return messages


def send(file: TextIO, message: Mapping[str, Any]) -> None:
    """Write a message and let it go."""
    file.write(json.dumps(message) + "\n")
    file.flush()


def error_message(error: Exception) -> Message:
    """Return an error as a message; one that was not raised on purpose says its own kind in the sentence."""
    if isinstance(error, GanspectError):
        return {"error": {"kind": type(error).__name__, "message": str(error)}}
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")[:300]
    return {"error": {"kind": "DeviceError", "message": f"{type(error).__name__}: {text}"}}


def result_of(message: Mapping[str, Any]) -> Message:
    """Return the result in a reply.

    Raises:
        GanspectError: the reply is an error; of the kind that it was in the other process.
    """
    if "error" not in message:
        result: Message = message["ok"]
        return result
    kind = getattr(errors, message["error"]["kind"], DeviceError)
    raise kind(message["error"]["message"])
