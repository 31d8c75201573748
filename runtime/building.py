"""`ganspect build`: the engines of a bundle for one or more targets, and a table of what each takes and gives.

build_bundle(Path("bundle"), ["openvino", "tensorrt-rtx:sm86,sm120"], ["fp32", "bf16"])
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import BundleError, ConfigError
from ganspect.records import PRECISIONS, Precision
from ganspect.runtime.backends.selection import BACKENDS, find_engine
from ganspect.runtime.engines import BuiltEngine, EngineCache, Port
from ganspect.runtime.verification.command import verify_bundle
from ganspect.sections import known_precision, nearest

_AS_EXPORTED = "onnxruntime"
"""With what the targets begin that have no engines here: they load the ONNX graphs as export wrote them."""


@dataclass(frozen=True)
class _Target:
    """Where graphs are built for: as given, the backend's class, and what follows the colon."""

    name: str
    backend: Any
    device: str | None

    @property
    def ahead_of_time(self) -> bool:
        """Return whether engines are built for kinds of GPU, not for a device of this machine."""
        return self.name.startswith("tensorrt-rtx:")


def build_bundle(folder: Path, targets: Sequence[str], precisions: Sequence[str], *, again: bool = False) -> None:
    """Build every graph of a bundle for every target in every precision, or find it among the bundle's engines.

    The names of all targets are looked at before the first is built. A graph that cannot be built leaves the other
    engines whole. Precisions below fp32 are verified afterwards, where their device is in this machine.

    Args:
        folder: the bundle.
        targets: names of backends, perhaps with a device or kinds of GPU: `openvino:GPU`, `tensorrt-rtx:sm86,sm120`.
        precisions: of the convolutions; those that a target has not are an error.
        again: build also what the cache has.

    Raises:
        ConfigError: an unknown target, device kind or precision.
        BundleError: the bundle has no graphs of a precision, or some could not be built.
        DeviceError: a target's device is not here.
        MissingDependencyError: a target's package is not installed.
        VerificationError: a precision changes verdicts.
    """
    bundle, asked = open_bundle(folder), _precisions(precisions)
    console, failures, here = Console(), dict[str, str](), list[str]()
    for target in [_parse(name) for name in dict.fromkeys(targets)]:
        if target.backend is None:
            console.print(f"{target.name} runs the graphs as they were exported: nothing is built", highlight=False)
            continue
        for precision in asked:
            built, failed = _build_all(bundle, target, precision, again)
            failures |= failed
            if built:
                console.print(_table(target.name, precision, built))
        if not target.ahead_of_time:
            here.append(target.name)
    if failures:
        raise BundleError(_sentence(failures))
    lower = [precision for precision in asked if precision != "fp32"]
    if here and lower:
        verify_bundle(folder, here, lower)


def _precisions(names: Sequence[str]) -> list[Precision]:
    known = {known_precision(name) for name in names}
    return [precision for precision in PRECISIONS if precision in known]


def _parse(name: str) -> _Target:
    kind = name.partition(":")[0]
    if kind not in BACKENDS:
        raise ConfigError(f"unknown target {name!r}; {nearest(kind, list(BACKENDS))}")
    engine, device = find_engine(name)
    return _Target(name, None if kind.startswith(_AS_EXPORTED) else engine.load(), device)


def _build_all(
    bundle: Bundle, target: _Target, precision: Precision, again: bool
) -> tuple[list[BuiltEngine], dict[str, str]]:
    cache, built, failed = EngineCache(bundle), list[BuiltEngine](), dict[str, str]()
    for graph in bundle.manifest.graphs:
        try:
            engine = target.backend.build(
                bundle, graph, precision=precision, device=target.device, cache=cache, again=again
            )
        except BundleError as error:
            failed[f"{graph} for {target.name} in {precision}"] = str(error)
        else:
            built.append(engine)
    return built, failed


def _sentence(failures: dict[str, str]) -> str:
    reasons = list(failures.values())
    if len(set(reasons)) == 1:
        return reasons[0]
    return f"{len(failures)} engines were not built ({', '.join(failures)}); the first, since {reasons[0]}"


def _table(target: str, precision: Precision, engines: Iterable[BuiltEngine]) -> Table:
    table = Table(title=f"{target}, {precision}", title_justify="left", box=box.SIMPLE, pad_edge=False)
    for header in ("graph", "name", "type and shape"):
        table.add_column(header, no_wrap=True)
    for header in ("MB", "s", ""):
        table.add_column(header, justify="right", no_wrap=True)
    for engine in engines:
        figures = (f"{engine.size_bytes / 1e6:.1f}", f"{engine.seconds:.1f}", engine.source)
        table.add_row(f"[bold]{engine.graph}", "", "", *figures)
        for way, ports in (("in", engine.inputs), ("out", engine.outputs)):
            for port in ports:
                table.add_row(f"  {way}", port.name, _type(port))
    return table


def _type(port: Port) -> str:
    sizes = ",".join("N" if size == -1 else str(size) for size in port.shape)
    return f"{port.dtype} ({sizes})"
