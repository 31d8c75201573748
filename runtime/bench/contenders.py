"""The processes that are timed against each other: every backend and precision, and PyTorch if asked for.

with open_contenders(bundle, plan, pool_folder, against=None) as contenders:
print([contender.label for contender in contenders.running], contenders.left_out)
"""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ganspect.bundle import Bundle
from ganspect.errors import DeviceError, GanspectError, MissingDependencyError
from ganspect.records import Precision
from ganspect.runtime.backends import BACKENDS
from ganspect.runtime.backends.selection import offered_precisions
from ganspect.runtime.bench.measurement import Measurement
from ganspect.runtime.bench.plan import Plan
from ganspect.runtime.bench.process import MeasuringProcess

WORKER = "ganspect.runtime.bench.worker"
REFERENCE = "ganspect.export.bench_reference"
"""Started by name: the runtime imports nothing of export."""

PYTORCH_EAGER, PYTORCH_COMPILED = "pytorch-eager", "pytorch-compiled"


@dataclass(frozen=True)
class Contender:
    """A process that is ready to measure.

    Attributes:
        process: answers requests.
        described: what it said of itself: backend, precision, version, device, modes, load_ms.
        required: whether a failure ends the benchmark, since just this was asked for.
    """

    process: MeasuringProcess
    described: dict[str, Any]
    required: bool

    @property
    def label(self) -> str:
        """Return backend and precision."""
        return f"{self.described['backend']} {self.described['precision']}"

    @property
    def is_reference(self) -> bool:
        """Return whether it is PyTorch."""
        return str(self.described["backend"]).startswith("pytorch")

    def can(self, measurement: Measurement) -> bool:
        """Return whether it has the mode."""
        return measurement.mode in self.described["modes"]


@dataclass
class Contenders:
    """Those that run, and those that do not.

    Attributes:
        running: the bundle's in the order asked for, then PyTorch.
        left_out: `{backend, precision, reason}` of the others.
        floor: measures what the processor can do, apart since its matrices are large; None without PyTorch.
    """

    running: list[Contender] = field(default_factory=list)
    left_out: list[dict[str, str | None]] = field(default_factory=list)
    floor: MeasuringProcess | None = None

    @property
    def eager(self) -> Contender | None:
        """Return PyTorch eager, if it is measured."""
        return next((one for one in self.running if one.described["backend"] == PYTORCH_EAGER), None)

    def leave_out(self, backend: str, precision: str | None, reason: str) -> None:
        """Note what is not measured, and why."""
        self.left_out.append({"backend": backend, "precision": precision, "reason": reason})

    def drop(self, contender: Contender, reason: str) -> None:
        """Measure this one no further."""
        self.running.remove(contender)
        self.leave_out(contender.described["backend"], contender.described["precision"], reason)


@contextlib.contextmanager
def open_contenders(bundle: Bundle, plan: Plan, pool: Path, against: Path | None) -> Iterator[Contenders]:
    """Start all processes; they end with the block.

    Args:
        bundle: what is measured.
        plan: backends and precisions.
        pool: folder with the images.
        against: run folder for PyTorch.

    Raises:
        GanspectError: what was asked for by name cannot run.
    """
    contenders = Contenders()
    with contextlib.ExitStack() as stack:
        if against is not None:
            request = _reference_request(bundle, pool, against, plan)
            references = _open_references(stack, request, contenders)
        _open_backends(stack, bundle, plan, pool, contenders)
        if against is not None:
            contenders.running += references
            contenders.floor = stack.enter_context(MeasuringProcess("the floor", REFERENCE))
            contenders.floor.ask("open", **request, compiled=False)
        yield contenders


def _open_backends(stack: contextlib.ExitStack, bundle: Bundle, plan: Plan, pool: Path, contenders: Contenders) -> None:
    failures: list[GanspectError] = []
    for name in plan.backends or BACKENDS:
        before = len(contenders.running)
        try:
            for precision in plan.precisions or offered_precisions(name, bundle):
                _open_one(stack, bundle, name, precision, pool, plan, contenders, failures)
        except GanspectError as error:
            failures.append(error)
            contenders.leave_out(name, None, str(error))
        if plan.backends and len(contenders.running) == before:
            raise failures[-1]
    _require_asked_precisions(plan, contenders, failures)


def _open_one(
    stack: contextlib.ExitStack,
    bundle: Bundle,
    name: str,
    precision: Precision,
    pool: Path,
    plan: Plan,
    contenders: Contenders,
    failures: list[GanspectError],
) -> None:
    process = stack.enter_context(MeasuringProcess(f"{name} {precision}", WORKER))
    try:
        described = process.ask(
            "open",
            bundle=str(bundle.folder),
            backend=name,
            precision=precision,
            pool=str(pool),
            tuning=asdict(plan.tuning),
        )
    except GanspectError as error:
        failures.append(error)
        contenders.leave_out(name, precision, str(error))
        return
    contenders.running.append(Contender(process, described, required=name in plan.backends))


def _require_asked_precisions(plan: Plan, contenders: Contenders, failures: list[GanspectError]) -> None:
    for precision in plan.precisions:
        if not any(contender.described["precision"] == precision for contender in contenders.running):
            raise failures[-1]
    if not contenders.running:
        raise MissingDependencyError(
            "no backend runs here; install one, for a CPU with: pip install 'ganspect[cpu]'"
        ) from (failures[-1] if failures else None)


def _open_references(stack: contextlib.ExitStack, request: dict[str, Any], contenders: Contenders) -> list[Contender]:
    found = []
    for name, compiled in ((PYTORCH_EAGER, False), (PYTORCH_COMPILED, True)):
        process = stack.enter_context(MeasuringProcess(name, REFERENCE))
        try:
            described = process.ask("open", **request, compiled=compiled)
        except MissingDependencyError as error:
            raise MissingDependencyError(f"{error}; --against runs PyTorch: pip install 'ganspect[export]'") from error
        except DeviceError as error:
            if not compiled:
                raise
            contenders.leave_out(name, "fp32", str(error))
            continue
        found.append(Contender(process, described, required=not compiled))
    return found


def _reference_request(bundle: Bundle, pool: Path, run: Path, plan: Plan) -> dict[str, Any]:
    threads = plan.tuning.threads
    return {"bundle": str(bundle.folder), "run": str(run), "pool": str(pool), "threads": threads}
