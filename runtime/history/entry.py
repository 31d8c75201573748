"""One verdict as the history keeps it and every sink sends it.

entry = Entry.of(arrival, verdict, mode="search", bundle="3f2a…")
print(entry.uid, entry.camera, entry.verdict)
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from ganspect.records import Mode
from ganspect.runtime.capture.buffers import Arrival
from ganspect.runtime.results import to_record
from ganspect.runtime.verdict import Verdict


@dataclass(frozen=True)
class Entry:
    """A verdict.

    Attributes:
        uid: 32 hexadecimal digits, never given to two frames; who gets an entry more than once tells by it.
        camera: its name.
        timestamp_ns: time of day when the frame came.
        verdict: `normal`, `anomalous` or `undecided`.
        record: everything as JSON values: the keys of results.jsonl, and `id`, `camera`, `sequence`, `signal`,
            `bundle`. `timestamp_ns` is when the frame came; `source_timestamp_ns` what its source says: a position in
            a video, the time of a file.
    """

    uid: str
    camera: str
    timestamp_ns: int
    verdict: str
    record: dict[str, Any]

    @classmethod
    def of(cls, arrival: Arrival, verdict: Verdict, *, mode: Mode, bundle: str, waited_ms: float) -> "Entry":
        """Make an entry of what was just decided.

        Args:
            arrival: the frame.
            verdict: on it.
            mode: the latent search, or the encoder's score alone.
            bundle: which bundle judged, by the hash of its manifest.
            waited_ms: from the frame's arrival until its inspection began.
        """
        uid = _uid(arrival)
        record = to_record(arrival.shot, verdict, mode)
        # A camera's wait for its next frame is none of the verdict's latency; the frame's wait for its turn is.
        record["latency_ms"] = {
            **{name: round(ms, 3) for name, ms in verdict.latency_ms.items()},
            "waited": round(waited_ms, 3),
            "total": round(verdict.latency_ms["total"] + waited_ms, 3),
        }
        record["source_timestamp_ns"], record["timestamp_ns"] = record["timestamp_ns"], arrival.timestamp_ns
        signal = arrival.signal
        head = {
            "id": uid,
            "camera": arrival.camera,
            "sequence": arrival.sequence,
            "signal": None if signal is None else signal.name,
            "bundle": bundle,
        }
        return cls(uid, arrival.camera, arrival.timestamp_ns, verdict.verdict, {**head, **record})

    @property
    def line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(self.record, allow_nan=False)


def _uid(arrival: Arrival) -> str:
    """Return a new id; that of a frame which can be read again after a crash is the same then."""
    known_as = arrival.shot.identity
    return (uuid.uuid5(uuid.NAMESPACE_OID, f"{arrival.camera} {known_as}") if known_as else uuid.uuid4()).hex
