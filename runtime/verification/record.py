"""What was verified on this device: verification.json beside the calibration, by backend and precision."""

from pathlib import Path

from pydantic import ValidationError

from ganspect.bundle import Bundle
from ganspect.errors import OutputError
from ganspect.files import read_json, write_atomically
from ganspect.progress import print_warning
from ganspect.records import Mode, Precision, Record
from ganspect.runtime.guard import Guard
from ganspect.runtime.machine import cpu_flags, machine
from ganspect.runtime.verification.agreement import Agreement

VERIFICATION = "verification.json"


class Verified(Record):
    """The result for one backend and precision.

    Attributes:
        backend: as `--backend` takes it.
        version: of the inference engine.
        device: its name.
        precision: of the convolutions.
        machine: processor and its instructions; what another one computes was not verified.
        passed: whether its verdicts may be used.
        flip_limit: share of flips near the threshold that was allowed.
        search: of the search's score.
        encoder: of the encoder's score; None without an encoder.
        guard: where float32 decides, for a lower precision; None for float32 itself.
        frame_ms: least time of several for a forward pass and a whole search of one tile, without early exit.
        encoder_ms: the same for the forward pass alone; None without an encoder.
        steps: K of that search.
        calibration: time of day of the calibration in force, whose threshold and tiles were used.
        graphs_sha256: of the manifest that was in force.
        created: time of day, ISO 8601 with zone.
    """

    backend: str
    version: str
    device: str
    precision: Precision
    machine: str
    passed: bool
    flip_limit: float
    search: Agreement
    encoder: Agreement | None
    guard: Guard | None
    frame_ms: float
    encoder_ms: float | None = None
    steps: int
    calibration: str
    graphs_sha256: str
    created: str

    def time_of(self, mode: Mode) -> tuple[float, str]:
        """Return the ms that a tile takes in a mode, and what they were measured on."""
        if mode == "encoder" and self.encoder_ms is not None:
            return self.encoder_ms, "encoder score"
        return self.frame_ms, f"{self.steps} iterations"


class _Verifications(Record):
    schema_version: int = 1
    entries: list[Verified]


def machine_identity() -> str:
    """Return the processor's name and those of its instructions that decide how sums are rounded."""
    return f"{machine()['processor']} ({', '.join(cpu_flags())})"


def read_verified(bundle: Bundle) -> list[Verified]:
    """Return what was verified in this bundle, newest last; a file that cannot be read counts as empty."""
    path = bundle.folder / VERIFICATION
    if not path.exists():
        return []
    try:
        return _Verifications.model_validate(read_json(path)).entries
    except (OSError, ValueError, ValidationError):
        print_warning(f"{path} cannot be read; verify the bundle again")
        return []


def add_verified(bundle: Bundle, entry: Verified) -> None:
    """Keep a result in place of older ones of the same backend, precision and device; warn where it cannot be kept."""

    def same(other: Verified) -> bool:
        return (other.backend, other.precision, other.device) == (entry.backend, entry.precision, entry.device)

    kept = [old for old in read_verified(bundle) if not same(old)]
    content = _Verifications(entries=[*kept, entry]).model_dump_json(indent=2) + "\n"
    try:
        write_atomically(Path(bundle.folder / VERIFICATION), content.encode())
    except OutputError as error:
        print_warning(f"the result is not kept: {error}")
