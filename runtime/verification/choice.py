"""Which backend runs a bundle: the one that was asked for, or with `auto` the fastest that was verified here.

with open_verified("auto", bundle) as backend:
    print(backend.name, backend.precision)
"""

import logging

from rich.console import Console

from ganspect.bundle import Bundle
from ganspect.errors import ConfigError, GanspectError, VerificationError
from ganspect.progress import print_warning
from ganspect.records import Mode, Precision
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.guard import Guarded
from ganspect.runtime.verification.agreement import FLIP_LIMIT
from ganspect.runtime.verification.record import Verified, machine_identity, read_verified

AUTO = "auto"
_FALLBACK = "onnxruntime"


def open_verified(
    name: str,
    bundle: Bundle,
    *,
    mode: Mode = "search",
    tuning: Tuning = LATENCY,
    precision: Precision | None = None,
) -> Backend:
    """Open a backend on a bundle, and say on standard error what `auto` chose, or that a precision is unverified.

    Args:
        name: as `open_backend` takes it, or `auto`.
        bundle: an opened bundle.
        mode: what it will do most: `auto` takes the fastest at that.
        tuning: how the CPU is used.
        precision: of the convolutions; None: fp32, with `auto` any.

    Raises:
        VerificationError: it failed verification on this machine.
        GanspectError: as `open_backend`.
    """
    if name == AUTO:
        return _open_fastest(bundle, mode, tuning, precision)
    backend = open_backend(name, bundle, tuning=tuning, precision=precision or "fp32")
    verified = next((entry for entry in reversed(_current(bundle)) if _is_of(entry, backend)), None)
    if verified is not None and not verified.passed:
        backend.close()
        raise VerificationError(
            f"{backend.name} in {backend.precision} failed verification on this machine; use another backend or "
            f"precision, or see why: ganspect verify {bundle.folder} --backend {name} --precision {backend.precision}"
        )
    if backend.precision == "fp32":
        return backend
    if verified is None:
        _tell(
            f"{backend.name} in {backend.precision} was not verified with this bundle on this machine; run: "
            f"ganspect verify {bundle.folder} --backend {backend.name} --precision {backend.precision}",
            warning=True,
        )
        return backend
    return _guarded(backend, verified, bundle, tuning)


def _guarded(backend: Backend, entry: Verified, bundle: Bundle, tuning: Tuning) -> Backend:
    if entry.guard is None:
        return backend
    return Guarded(backend, open_backend(entry.backend, bundle, tuning=tuning), entry.guard)


def _open_fastest(bundle: Bundle, mode: Mode, tuning: Tuning, precision: Precision | None) -> Backend:
    wanted = [
        entry
        for entry in _current(bundle)
        if entry.passed and entry.flip_limit <= FLIP_LIMIT and precision in (None, entry.precision)
    ]
    for entry in sorted(wanted, key=lambda entry: entry.time_of(mode)[0]):
        backend = _open_again(entry, bundle, tuning)
        if backend is not None:
            ms, what = entry.time_of(mode)
            _tell(f"auto: {backend.name} in {backend.precision}, verified here, {ms:.1f} ms for a tile's {what}")
            return backend
    if precision not in (None, "fp32"):
        raise ConfigError(
            f"auto was asked for {precision}, and nothing is verified in it here; run: "
            f"ganspect verify {bundle.folder} --precision {precision}"
        )
    backend = open_backend(_FALLBACK, bundle, tuning=tuning)
    _tell(
        f"auto: {backend.name} in {backend.precision}, since nothing is verified here; run: "
        f"ganspect verify {bundle.folder}"
    )
    return backend


def _tell(sentence: str, *, warning: bool = False) -> None:
    """Say it in a station's log, where there is one, else on standard error."""
    if logging.getLogger("ganspect").handlers:
        logging.getLogger("ganspect.station").log(logging.WARNING if warning else logging.INFO, "%s", sentence)
    elif warning:
        print_warning(sentence, Console(stderr=True))
    else:
        Console(stderr=True).print(sentence, highlight=False, markup=False, soft_wrap=True)


def _open_again(entry: Verified, bundle: Bundle, tuning: Tuning) -> Backend | None:
    """Open what was verified, or return None where it is no longer what it was: gone, upgraded, another device."""
    try:
        backend = open_backend(entry.backend, bundle, tuning=tuning, precision=entry.precision)
    except GanspectError:
        return None
    if _is_of(entry, backend):
        return _guarded(backend, entry, bundle, tuning)
    backend.close()
    return None


def _current(bundle: Bundle) -> list[Verified]:
    """Return what was verified of these graphs under this calibration on this machine."""
    entries = read_verified(bundle) if bundle.calibration is not None else []
    if not entries or bundle.calibration is None:
        return []
    wanted = (bundle.manifest_sha256, bundle.calibration.created, machine_identity())
    return [entry for entry in entries if (entry.graphs_sha256, entry.calibration, entry.machine) == wanted]


def _is_of(entry: Verified, backend: Backend) -> bool:
    verified = (entry.backend, entry.version, entry.device, entry.precision)
    return verified == (backend.name, backend.version, backend.device, backend.precision)
