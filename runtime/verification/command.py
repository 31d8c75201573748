"""Verify a bundle on this machine: its files, and the verdicts of each backend and precision.

ganspect verify bundle --backend openvino --precision bf16
"""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import BundleError, CalibrationError, GanspectError, MissingDependencyError, VerificationError
from ganspect.progress import progress_bar
from ganspect.records import Precision
from ganspect.runtime.backends import BACKENDS, offered_precisions
from ganspect.runtime.guard import Guard
from ganspect.runtime.verification.agreement import FLIP_LIMIT, Agreement
from ganspect.runtime.verification.gate import Gate
from ganspect.runtime.verification.record import Verified, add_verified

_EXPLAINED = """\
largest, mean: relative error of scores against ONNX Runtime in fp32 on the
graphs as traced; rank: Spearman's. flips: verdicts that differ on calibration
tiles and random images; near T: on normal images with blobs drawn on them until
they straddle the threshold; limit: 95% limit of that rate; margin: on images so
near to T that the reference, begun one rounding beside, may decide otherwise."""


def verify_bundle(
    folder: Path,
    backends: Sequence[str] = (),
    precisions: Sequence[Precision] = (),
    *,
    flip_limit: float = FLIP_LIMIT,
    threads: int | None = None,
    quiet: bool = False,
) -> list[Verified]:
    """Check a bundle's files, compare backends with the reference, print and keep the figures.

    Args:
        folder: a calibrated bundle.
        backends: names; none: every one that is installed and finds its device.
        precisions: of the convolutions; none: every one that a backend offers for this bundle.
        flip_limit: largest allowed share of flipped verdicts near the threshold.
        threads: that a backend may use; None: all.
        quiet: print nothing.

    Raises:
        VerificationError: a file is not what was exported, or a backend's verdicts are not the reference's.
        CalibrationError: the bundle has no threshold, or no tiles to compare on.
        GanspectError: a backend that was asked for cannot run this.
    """
    bundle = _open(folder)
    pairs = _pairs(bundle, backends, precisions)
    results = []
    with progress_bar() as bar:
        task = bar.add_task("verifying", total=1 + len(pairs), detail="reference: onnxruntime, fp32, as traced")
        gate = Gate(bundle, threads=threads)
        for backend, precision in pairs:
            bar.update(task, advance=1, detail=f"{backend}, {precision}")
            results.append(gate.check(backend, precision, flip_limit=flip_limit, threads=threads))
            add_verified(bundle, results[-1])
        bar.update(task, advance=1, detail="")
    if not quiet:
        _print(bundle, results)
    _require_passed(results, flip_limit)
    return results


def _open(folder: Path) -> Bundle:
    try:
        return open_bundle(folder)
    except CalibrationError:
        raise
    except BundleError as error:
        raise VerificationError(str(error)) from error


def _pairs(bundle: Bundle, backends: Sequence[str], precisions: Sequence[Precision]) -> list[tuple[str, Precision]]:
    if backends:
        return [
            (backend, precision)
            for backend in backends
            for precision in (precisions or offered_precisions(backend, bundle))
        ]
    pairs = []
    for backend in BACKENDS:
        try:
            offered = offered_precisions(backend, bundle)
        except (MissingDependencyError, GanspectError):
            continue
        pairs += [(backend, precision) for precision in offered if not precisions or precision in precisions]
    if not pairs:
        asked = ", ".join(precisions)
        raise BundleError(f"no backend here runs {bundle.folder} in {asked}; see: ganspect doctor")
    return pairs


def _require_passed(results: Sequence[Verified], flip_limit: float) -> None:
    for result in results:
        for mode, agreement in _agreements(result):
            if reasons := agreement.failures(flip_limit):
                raise VerificationError(
                    f"{result.backend} in {result.precision} does not give the reference's verdicts: of the {mode} "
                    f"score, {'; '.join(reasons)}; use another precision or backend"
                )


def _agreements(result: Verified) -> list[tuple[str, Agreement]]:
    found = [("search", result.search)]
    return found if result.encoder is None else [*found, ("encoder", result.encoder)]


def _print(bundle: Bundle, results: Sequence[Verified]) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("", "score"):
        table.add_column(heading, no_wrap=True)
    for heading in ("largest", "mean", "rank", "flips", "near T", "limit", "margin"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        name = f"{result.backend} {result.precision}"
        for mode, agreement in _agreements(result):
            table.add_row(name, mode, *_cells(agreement))
            name = ""
    console = Console()
    console.print(table)
    console.print(_EXPLAINED, highlight=False)
    for result in results:
        verdict = "verdicts hold" if result.passed else "NOT to be used"
        if result.guard is not None and result.passed:
            verdict += f", with fp32 deciding within {_guard(bundle, result.guard)} of T"
        console.print(
            f"{result.backend} {result.version} {result.precision} on {result.device}: {verdict}; "
            f"{result.frame_ms:.1f} ms for a tile's {result.steps} iterations",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"kept in {bundle.folder / 'verification.json'}", highlight=False)


def _cells(agreement: Agreement) -> tuple[str, ...]:
    rate, limit = agreement.flip_rate, agreement.flip_rate_limit_95
    return (
        _percent(agreement.largest_error),
        _percent(agreement.mean_error),
        "–" if agreement.rank is None else f"{agreement.rank:.3f}",
        f"{agreement.flips}/{agreement.n_plain}",
        "none made" if rate is None else f"{agreement.straddling_flips}/{agreement.n_straddling}",
        "–" if limit is None else f"{limit:.1%}",
        f"{agreement.within_flips}/{agreement.n_within}",
    )


def _guard(bundle: Bundle, guard: Guard) -> str:
    calibration = bundle.require_calibration()
    search = f"{_percent(guard.search / abs(calibration.search.value))} (search)"
    if calibration.encoder is None:
        return search
    return f"{search} and {_percent(guard.encoder / abs(calibration.encoder.value))} (encoder)"


def _percent(share: float) -> str:
    if 0 < share < 1e-5:
        return "<0.001%"
    return f"{100 * share:.2g}%"
