"""Verify a bundle on this machine: its files, and the verdicts of each backend and precision.

ganspect verify bundle --backend openvino --precision bf16
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.bundle import MANIFEST, Bundle, Check, open_bundle
from ganspect.errors import BundleError, GanspectError, VerificationError
from ganspect.progress import print_warning, progress_bar
from ganspect.records import Precision
from ganspect.runtime.backends import BACKENDS, offered_precisions, open_backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.guard import Guard
from ganspect.runtime.verification.agreement import FLIP_LIMIT, Agreement
from ganspect.runtime.verification.gate import Gate
from ganspect.runtime.verification.record import VERIFICATION, Verified, add_verified
from ganspect.sections import known_precision

Pair: TypeAlias = tuple[str, Precision]
"""A backend's name and the precision of its convolutions."""

_EXPLAINED = """\
max, mean: relative error of scores against ONNX Runtime in fp32 on the
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
    tuning: Tuning = LATENCY,
    check: Check | None = None,
) -> list[Verified]:
    """Check a bundle's files, compare backends with the reference, print and keep the figures.

    Args:
        folder: a calibrated bundle.
        backends: names; none: every one that is installed and finds its device.
        precisions: of the convolutions; none: every one that a backend offers for this bundle.
        flip_limit: largest allowed share of flipped verdicts near the threshold.
        tuning: how the CPU is used.
        check: decides whether the bundle is to be trusted; see `open_bundle`.

    Raises:
        VerificationError: a file is not what was exported, the bundle is not trusted, or a backend's verdicts are not
            the reference's.
        CalibrationError: the bundle has no threshold, or no tiles to compare on.
        GanspectError: a backend that was asked for cannot run this.
    """
    bundle = _open(folder, check)
    pairs = _pairs(bundle, backends, precisions)
    results = []
    for result in check_pairs(bundle, pairs, flip_limit=flip_limit, tuning=tuning, skip=not backends):
        add_verified(bundle, result)
        results.append(result)
    print_results(bundle, results)
    Console().print(f"kept in {bundle.folder / VERIFICATION}", highlight=False)
    require_passed(results, flip_limit)
    return results


def check_pairs(
    bundle: Bundle,
    pairs: Sequence[Pair],
    *,
    flip_limit: float = FLIP_LIMIT,
    tuning: Tuning = LATENCY,
    skip: bool = False,
) -> Iterator[Verified]:
    """Compare backends in precisions with the reference, one after the other, under a progress bar.

    Args:
        bundle: a calibrated bundle.
        pairs: what to compare.
        flip_limit: largest allowed share of flipped verdicts near the threshold.
        tuning: how the CPU is used.
        skip: name a backend that cannot run after all, and go on.

    Raises:
        CalibrationError: the bundle has no threshold, or no tiles to compare on.
        GanspectError: a backend cannot run this.
    """
    for backend, precision in () if skip else pairs:
        open_backend(backend, bundle, tuning=tuning, precision=precision).close()
    with progress_bar() as bar:
        task = bar.add_task("verifying", total=1 + len(pairs), detail="reference: onnxruntime, fp32, as traced")
        gate = Gate(bundle, tuning=tuning)
        for backend, precision in pairs:
            bar.update(task, advance=1, detail=f"{backend}, {precision}")
            try:
                result = gate.check(backend, precision, flip_limit=flip_limit, tuning=tuning)
            except GanspectError as error:
                if not skip:
                    raise
                print_warning(f"{backend} in {precision} is not verified: {error}", bar.console)
                continue
            yield result
        bar.update(task, advance=1, detail="")


def offering(bundle: Bundle, precisions: Sequence[Precision]) -> list[Pair]:
    """Return every backend that runs here with each of these precisions that it offers; none given: with all."""
    pairs: list[Pair] = []
    for backend in BACKENDS:
        try:
            offered = offered_precisions(backend, bundle)
        except GanspectError:
            continue
        pairs += [(backend, precision) for precision in offered if not precisions or precision in precisions]
    return pairs


def _open(folder: Path, check: Check | None) -> Bundle:
    try:
        return open_bundle(folder, check=check)
    except BundleError as error:
        if not os.path.isfile(folder / MANIFEST):
            raise
        raise VerificationError(str(error)) from error


def _pairs(bundle: Bundle, backends: Sequence[str], precisions: Sequence[Precision]) -> list[Pair]:
    for precision in precisions:
        known_precision(precision)
    if backends:
        return [
            (backend, precision)
            for backend in backends
            for precision in (precisions or offered_precisions(backend, bundle))
        ]
    pairs = offering(bundle, precisions)
    if not pairs:
        asked = ", ".join(precisions)
        raise BundleError(f"no backend here runs {bundle.folder} in {asked}; see: ganspect doctor")
    return pairs


def require_passed(results: Sequence[Verified], flip_limit: float = FLIP_LIMIT) -> None:
    """Refuse results with the figures of the first that is not good enough.

    Raises:
        VerificationError: one is not.
    """
    for result in results:
        for mode, agreement in agreements(result).items():
            if reasons := agreement.failures(flip_limit):
                raise VerificationError(
                    f"{result.backend} in {result.precision} does not give the reference's verdicts: of the {mode} "
                    f"score, {'; '.join(reasons)}; use another precision or backend"
                )


def agreements(result: Verified) -> dict[str, Agreement]:
    """Return a result's figures by the score's name."""
    return {"search": result.search} | ({} if result.encoder is None else {"encoder": result.encoder})


def print_results(bundle: Bundle, results: Sequence[Verified]) -> None:
    """Print a table of figures, what they mean, and a line for each backend and precision."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("", "score"):
        table.add_column(heading, no_wrap=True)
    for heading in ("max", "mean", "rank", "flips", "near T", "limit", "margin"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        name = f"{result.backend} {result.precision}"
        for mode, agreement in agreements(result).items():
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
