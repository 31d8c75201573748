"""Which backend runs a bundle: the one that was asked for, or with `auto` the fastest that was verified here.

with open_verified("auto", bundle) as backend:
    print(backend.name, backend.precision)
"""

from rich.console import Console

from ganspect.bundle import MANIFEST, Bundle
from ganspect.errors import GanspectError
from ganspect.files import sha256_of
from ganspect.progress import print_warning
from ganspect.records import Precision
from ganspect.runtime.backends import Backend, open_backend
from ganspect.runtime.guard import Guarded
from ganspect.runtime.verification.record import Verified, read_verified

AUTO = "auto"
_FALLBACK = "onnxruntime"


def open_verified(
    name: str, bundle: Bundle, *, threads: int | None = None, precision: Precision | None = None
) -> Backend:
    """Open a backend on a bundle, and say on standard error what `auto` chose, or that a precision is unverified.

    Args:
        name: as `open_backend` takes it, or `auto`.
        bundle: an opened bundle.
        threads: that one graph may use; None: all.
        precision: of the convolutions; None: fp32, with `auto` any.

    Raises:
        GanspectError: as `open_backend`.
    """
    if name == AUTO:
        return _open_fastest(bundle, threads, precision)
    backend = open_backend(name, bundle, threads=threads, precision=precision or "fp32")
    if backend.precision == "fp32":
        return backend
    verified = next((entry for entry in _passed(bundle) if _is_of(entry, backend)), None)
    if verified is None:
        print_warning(
            f"{backend.name} in {backend.precision} was not verified with this bundle on this machine; run: "
            f"ganspect verify {bundle.folder} --backend {backend.name} --precision {backend.precision}",
            Console(stderr=True),
        )
        return backend
    return _guarded(backend, verified, bundle, threads)


def _guarded(backend: Backend, entry: Verified, bundle: Bundle, threads: int | None) -> Backend:
    if entry.guard is None:
        return backend
    return Guarded(backend, open_backend(entry.backend, bundle, threads=threads), entry.guard)


def _open_fastest(bundle: Bundle, threads: int | None, precision: Precision | None) -> Backend:
    console = Console(stderr=True)
    wanted = [entry for entry in _passed(bundle) if precision in (None, entry.precision)]
    for entry in sorted(wanted, key=lambda entry: entry.frame_ms):
        backend = _open_again(entry, bundle, threads)
        if backend is not None:
            console.print(
                f"auto: {backend.name} in {backend.precision}, verified here, {entry.frame_ms:.1f} ms for a tile's "
                f"{entry.steps} iterations",
                highlight=False,
                soft_wrap=True,
            )
            return backend
    backend = open_backend(_FALLBACK, bundle, threads=threads, precision=precision or "fp32")
    console.print(
        f"auto: {backend.name} in {backend.precision}, since nothing is verified here; run: "
        f"ganspect verify {bundle.folder}",
        highlight=False,
        soft_wrap=True,
    )
    return backend


def _open_again(entry: Verified, bundle: Bundle, threads: int | None) -> Backend | None:
    """Open what was verified, or return None where it is no longer what it was: gone, upgraded, another device."""
    try:
        backend = open_backend(entry.backend, bundle, threads=threads, precision=entry.precision)
    except GanspectError:
        return None
    if _is_of(entry, backend):
        return _guarded(backend, entry, bundle, threads)
    backend.close()
    return None


def _passed(bundle: Bundle) -> list[Verified]:
    digest, calibration = sha256_of(bundle.folder / MANIFEST), bundle.require_calibration().created
    return [
        entry
        for entry in read_verified(bundle)
        if entry.passed and entry.graphs_sha256 == digest and entry.calibration == calibration
    ]


def _is_of(entry: Verified, backend: Backend) -> bool:
    verified = (entry.backend, entry.version, entry.device, entry.precision)
    return verified == (backend.name, backend.version, backend.device, backend.precision)
