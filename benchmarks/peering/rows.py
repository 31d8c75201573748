"""peers.json: what was measured so far, a row for each model as it was run, and what failed.

rows = Rows.open(out / "peers.json", smoke=False)
rows.add(row)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganspect import __version__
from ganspect.errors import GanspectError, OutputError
from ganspect.files import write_json
from ganspect.runtime.machine import cpu_flags, machine
from peering.catalogue import REFERENCE, settings
from peering.figures import Figures
from peering.processes import Turns

_SAME = ("processor", "cores")
"""Of the machine: a file goes on only where these are as they were."""


@dataclass(frozen=True)
class Key:
    """What tells rows apart.

    Attributes:
        dataset: the data set as commands take it.
        seed: seed of split and training.
        name: the model's name, such as padim or linear.
        runner: `anomalib`, its own inferencer; `none`, the engine alone; `ganspect`, its Inspector.
        backend: `openvino`, `onnxruntime` or `torch`.
        precision: `fp32` or `bf16`.
    """

    dataset: str
    seed: int
    name: str
    runner: str
    backend: str
    precision: str

    @property
    def is_reference(self) -> bool:
        """Return whether every latency of its data set is divided by this one's."""
        return (self.name, self.runner, self.backend, self.precision) == REFERENCE

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.name} on {self.dataset}, seed {self.seed}: {self.runner}, {self.backend} {self.precision}"


@dataclass(frozen=True)
class Made:
    """What is known of a model before it is timed.

    Attributes:
        figures: accuracy of its scores and maps in this precision.
        model_bytes: size of the files that are deployed.
        installed_bytes: size of all that must be installed to run it like this.
        training_s: seconds of training, with the start of Python; None where it was trained elsewhere.
        export_s: seconds from the end of training until the model was ready to deploy; None where it was not measured.
        details: whatever else is worth telling.
    """

    figures: Figures
    model_bytes: int
    installed_bytes: int
    training_s: float | None
    export_s: float | None
    details: dict[str, Any]


class Rows:
    """The content of peers.json, written whenever it changes.

    Attributes:
        content: what is written into the file.
    """

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        """Take what there is; `open` reads it."""
        self._path = path
        self.content = content

    @classmethod
    def open(cls, path: Path, *, smoke: bool) -> "Rows":
        """Read a file that was begun, or begin one.

        Raises:
            OutputError: it is none, or of another machine or kind of run.
        """
        if not path.exists():
            return cls(path, _begun(smoke))
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            here, smoke_then = machine(), content["smoke"]
            same = all(content["machine"][key] == here[key] for key in _SAME)
            _ = content["rows"], content["failures"], content["settings"]
        except (ValueError, KeyError, TypeError):
            raise OutputError(f"{path} is not a result of this benchmark; delete it, or choose another --out") from None
        if smoke_then != smoke or not same or content["settings"] != settings():
            raise OutputError(
                f"{path} was made on another machine, with other settings, or with --smoke and not without; choose "
                "another --out"
            )
        return cls(path, content)

    def has(self, key: Key) -> bool:
        """Return whether a row is there."""
        return any(row["key"] == vars(key) for row in self.content["rows"])

    def add(self, key: Key, made: Made, turns: Turns, reference_ms: float | None) -> None:
        """Add a row, and forget that it failed before.

        Args:
            key: the row's key.
            made: what was known before.
            turns: the turns of its timing.
            reference_ms: median of the reference in the same rounds; None where that failed.
        """
        self._forget(key)
        row = row_of(key, made, turns, reference_ms)
        self.content["rows"] = sorted([*self.content["rows"], row], key=_order)
        write_json(self._path, self.content)

    def fail(self, dataset: str, seed: int, name: str, what: str, error: GanspectError) -> None:
        """Record why a row is missing; a later run tries again."""
        failure = {"dataset": dataset, "seed": seed, "name": name, "what": what, "reason": str(error)}
        same = ("dataset", "seed", "name", "what")
        others = [one for one in self.content["failures"] if any(one[key] != failure[key] for key in same)]
        self.content["failures"] = [*others, failure]
        write_json(self._path, self.content)

    def describe(self, **facts: Any) -> None:
        """Keep facts of the whole run, such as versions."""
        self.content.update(facts)
        write_json(self._path, self.content)

    def forget_failure(self, dataset: str, seed: int, name: str, what: str) -> None:
        """Forget a failure that was overcome."""
        overcome = (dataset, seed, name, what)
        self.content["failures"] = [
            one
            for one in self.content["failures"]
            if (one["dataset"], one["seed"], one["name"], one["what"]) != overcome
        ]

    def _forget(self, key: Key) -> None:
        self.content["rows"] = [row for row in self.content["rows"] if row["key"] != vars(key)]
        self.forget_failure(key.dataset, key.seed, key.name, latency_of(key))


def latency_of(key: Key) -> str:
    """Return what a failure to time a row is called."""
    return f"latency: {key.runner}, {key.backend} {key.precision}"


def row_of(key: Key, made: Made, turns: Turns, reference_ms: float | None) -> dict[str, Any]:
    """Return a row as JSON values; times with the reference's median in the same rounds."""
    p50, p95 = percentiles(turns.samples_ms)
    return {
        "key": dict(vars(key)),
        **vars(made.figures),
        "latency_ms": {"p50": round(p50, 3), "p95": round(p95, 3), "frames": len(turns.samples_ms)},
        "reference_ms": None if reference_ms is None else round(reference_ms, 3),
        "latency_ratio": None if reference_ms is None else round(p50 / reference_ms, 3),
        "others_share": round(turns.others_s / (turns.wall_s * machine()["cores"]), 3),
        "peak_memory_mb": round(turns.peak_memory_mb, 1),
        "model_bytes": made.model_bytes,
        "installed_bytes": made.installed_bytes,
        "training_s": None if made.training_s is None else round(made.training_s, 1),
        "export_s": None if made.export_s is None else round(made.export_s, 1),
        "details": made.details,
    }


def percentiles(samples_ms: list[float]) -> tuple[float, float]:
    """Return median and 95th percentile, by linear interpolation."""
    ordered = sorted(samples_ms)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return at(0.5), at(0.95)


def _begun(smoke: bool) -> dict[str, Any]:
    return {
        "benchmark": "peers",
        "smoke": smoke,
        "machine": {**machine(), "cpu_flags": cpu_flags()},
        "ganspect": __version__,
        "settings": settings(),
        "rows": [],
        "failures": [],
    }


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row["key"].values())
