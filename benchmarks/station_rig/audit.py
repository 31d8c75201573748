"""Counts what was lost and what came twice, from what somebody outside of the station has seen.

A verdict is acknowledged when a reader has seen it in the history, when the file that it is of has moved to `done`, or
when it was delivered. Lost is what was acknowledged and is not in the history in the end, what is in the history and
was never delivered, and a file that was offered and never judged.

findings = audit(evidence); print(findings.lost, findings.duplicates)
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

_NOT_SENT = ("number", "label", "labelled_ns")
"""What the history adds to a record."""


@dataclass(frozen=True)
class Evidence:
    """What was seen of a station.

    Attributes:
        seen: ids that a reader found in the history at any time.
        history: its records in the end.
        offered: names of the files that were put into the watched folder.
        done: names of those that moved to `done`.
        failed: names of those that moved to `failed`.
        deliveries: the lines that each sink has brought, in order.
    """

    seen: Iterable[str]
    history: Sequence[Mapping[str, Any]]
    offered: Iterable[str]
    done: Iterable[str]
    failed: Iterable[str]
    deliveries: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Findings:
    """What came out.

    Attributes:
        gone: ids that were in the history and are not there any more.
        done_without_verdict: files that moved to `done` and have no verdict.
        delivered_and_gone: ids that a sink has brought and the history has not.
        never_delivered: verdicts that a sink should have brought and has not, over all sinks.
        never_judged: files that were offered, and neither have a verdict nor moved to `failed`.
        duplicates: deliveries of what the same sink had delivered before, under the same id and with the same content.
        judged_twice: frames that have two verdicts with different ids.
        contradictory: deliveries whose content is not that of their id in the history.
    """

    gone: int
    done_without_verdict: int
    delivered_and_gone: int
    never_delivered: int
    never_judged: int
    duplicates: int
    judged_twice: int
    contradictory: int

    @property
    def lost(self) -> int:
        """Return all losses."""
        counted = asdict(self)
        return sum(counted[name] for name in LOSSES)

    @property
    def passed(self) -> bool:
        """Return whether nothing was lost, and nothing came twice but under one id."""
        return self.lost == self.judged_twice == self.contradictory == 0


LOSSES = ("gone", "done_without_verdict", "delivered_and_gone", "never_delivered", "never_judged")
"""Findings that are losses."""


def audit(evidence: Evidence) -> Findings:
    """Compare what was seen with what is there."""
    kept = {record["id"]: record for record in evidence.history}
    judged = {PurePath(record["source"]).name for record in evidence.history}
    delivered = {
        sink: [(json.loads(line)["id"], line) for line in lines] for sink, lines in evidence.deliveries.items()
    }
    ids = {sink: {uid for uid, _ in lines} for sink, lines in delivered.items()}
    offered = set(evidence.offered)
    return Findings(
        gone=len(set(evidence.seen) - set(kept)),
        done_without_verdict=len(set(evidence.done) - judged),
        delivered_and_gone=len(set().union(*ids.values()) - set(kept)),
        never_delivered=sum(len(set(kept) - found) for found in ids.values()),
        never_judged=len(offered - judged - set(evidence.failed)),
        duplicates=sum(len(lines) - len(ids[sink]) for sink, lines in delivered.items()),
        judged_twice=_judged_twice(evidence.history),
        contradictory=sum(
            uid in kept and json.loads(line) != _as_sent(kept[uid])
            for lines in delivered.values()
            for uid, line in lines
        ),
    )


def _judged_twice(history: Sequence[Mapping[str, Any]]) -> int:
    """Return how many frames too many have a verdict.

    A file in a watched folder is one frame, whoever judges it; a camera's frame is known by its number and the time
    when it came, since numbers begin anew with each start.
    """
    frames = Counter(
        (record["camera"], record["source"], record["source_timestamp_ns"])
        if record["source"].endswith(".png")
        else (record["camera"], record["sequence"], record["timestamp_ns"])
        for record in history
    )
    return sum(count - 1 for count in frames.values())


def _as_sent(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in _NOT_SENT}
