"""The station's log: a line an event on standard error, for a person or a journal; credentials never get into it."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ganspect.redaction import redacted

ROOT = "ganspect"


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            entry["error"] = redacted(self.formatException(record.exc_info))
        return json.dumps(entry)


@contextmanager
def set_up_logs(*, as_json: bool = False) -> Iterator[None]:
    """Send the log to standard error while the block runs.

    Args:
        as_json: one JSON object a line, for a log collector; else `time level message`.
    """
    logger, handler = logging.getLogger(ROOT), logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Plain("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
