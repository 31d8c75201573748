"""Texts without credentials: for logs, messages, pages and results.

hide("hunter2")                                   # never shown again, in whatever it turns up
print(redacted("rtsp://admin:secret@cam/1?key=x"))  # rtsp://***@cam/1?key=***

Two nets: secrets that were named are replaced wherever they turn up, and whatever looks like a credential is hidden.
"""

import re

HIDDEN = "***"
_LEAST = 3
"""Shorter texts are not hidden by themselves: they would tear holes into every message."""

_SECRETS: set[str] = set()
# Repetitions are bounded, or a long text of the right signs would take time for each pair of them.
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30}:/{1,2})[^\s]{0,4000}@")
_QUERY = re.compile(r"(://[^\s\"']{0,4000}?\?)([^\s\"']+)")
_NAMED = re.compile(
    r"(?i)\b((?:user|login|pw|pwd|pass|passwd|password|token|secret|api[-_]?key|key|auth)(?:[-_][a-z]{1,40})?\s{0,9}=\s{0,9})[^\s&;,\"'*]+"
)


def hide(secret: str | None) -> None:
    """Let a secret never be shown from now on, in this process."""
    if secret is not None and len(secret) >= _LEAST:
        _SECRETS.add(secret)


def redacted(text: str) -> str:
    """Return a text without secrets: those named to `hide`, users and passwords of addresses, values of queries."""
    for secret in sorted(_SECRETS, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _LOGIN.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(lambda found: found[1] + _without_values(found[2]), text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)


def _without_values(query: str) -> str:
    return re.sub(r"=[^&;]*", f"={HIDDEN}", query) if "=" in query else HIDDEN
