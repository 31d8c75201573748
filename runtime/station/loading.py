"""A station's inspector, loaded as its file says: at the start, and again for each swap.

with load_inspector(settings, trust_of(settings)) as inspector: ...
"""

import logging

from ganspect.bundle import Bundle, Check, open_bundle
from ganspect.errors import BundleError
from ganspect.extras import extra
from ganspect.preprocess import Frame
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.station.self_test import self_test
from ganspect.runtime.station.settings import StationSettings
from ganspect.runtime.station.swap import Swap

_log = logging.getLogger("ganspect.station")


def trust_of(settings: StationSettings) -> Check | None:
    """Return what decides whether a bundle is trusted, its key read now and never again; None: every bundle is.

    Raises:
        ConfigError: the key cannot be used.
        MissingDependencyError: there is a key, and no package to use it with.
    """
    if settings.trust is None:
        return None
    with extra("sign"):
        from ganspect.runtime.trust.signature import Trust

    demanded = settings.trust.signed_calibration
    return Trust.of_key(settings.trust.public_key, signed_calibration=demanded, warn=_log.warning)


def load_inspector(settings: StationSettings, check: Check | None) -> Inspector:
    """Load what judges.

    The bundle's path is followed once, so that a link that is moved meanwhile cannot mix two bundles.

    Args:
        settings: of the station file.
        check: decides whether the bundle is to be trusted.

    Raises:
        BundleError: it was replaced while it was loaded.
        GanspectError: as `Inspector.load`.
    """
    asked = settings.inspection
    inspector = Inspector.load(
        settings.bundle.resolve(),
        mode=asked.mode,
        backend=asked.backend,
        precision=asked.precision,
        steps=asked.steps,
        budget_ms=asked.budget_ms,
        tuning=Tuning(threads=asked.threads),
        check=check,
    )
    try:
        _require_unchanged(inspector.bundle)
    except BaseException:
        inspector.close()
        raise
    return inspector


def swap_of(settings: StationSettings, frames: dict[str, Frame]) -> Swap:
    """Load what judges, with what can exchange it.

    Args:
        settings: of the station file.
        frames: the last one of each camera, which another bundle is tried on; may change meanwhile.

    Raises:
        GanspectError: as `load_inspector`.
    """
    check = trust_of(settings)
    swap = Swap(
        load_inspector(settings, check),
        load=lambda: load_inspector(settings, check),
        test=lambda new: self_test(new, swap.inspector, dict(frames)),
    )
    return swap


def _require_unchanged(bundle: Bundle) -> None:
    now = open_bundle(bundle.folder)  # what was trusted is trusted still, if it is the same
    if (now.manifest_sha256, now.calibration) != (bundle.manifest_sha256, bundle.calibration):
        raise BundleError(f"{bundle.folder} was changed while it was loaded; load it again when it has been copied")
