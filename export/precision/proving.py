"""The precisions that an export was asked to prove: int8 is quantized, each is compared with float32, and recorded.

ganspect export run --out bundle --precision int8
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ganspect.bundle import MANIFEST, Bundle, open_bundle
from ganspect.errors import ConfigError
from ganspect.export.precision.int8 import QUANTIZED, Feeds, write_int8
from ganspect.export.variants import find_forms
from ganspect.files import sha256_of, write_atomically
from ganspect.preprocess import Frame
from ganspect.records import GateRecord, Manifest, Precision
from ganspect.runtime.kept import tiles_to_keep
from ganspect.runtime.verification.command import agreements, check_pairs, offering, print_results, require_passed
from ganspect.runtime.verification.record import Verified
from ganspect.sections import known_precision
from ganspect.train.system import System

_BATCH = 8
"""Tiles at once, since the quantizer keeps every activation of them."""


def require_provable(precisions: Sequence[str], system: System) -> None:
    """Refuse precisions that no export of a system can have.

    Raises:
        ConfigError: one is unknown, or it is int8 and the system has no encoder.
    """
    for precision in precisions:
        known_precision(precision)
    if "int8" in precisions and system.encoder is None:
        raise ConfigError(
            f"int8 was asked for, but {system.name} has no encoder, and the search, which needs gradients, stays in "
            "float32; leave out --precision int8"
        )


def prove(folder: Path, precisions: Sequence[Precision], frames: Sequence[Frame]) -> None:
    """Quantize where int8 is asked for, compare every backend here that runs these precisions, print and record.

    Args:
        folder: of a calibrated bundle; its manifest is written anew.
        precisions: to prove.
        frames: normal ones that no threshold was taken from, to measure ranges of activations on.

    Raises:
        ConfigError: nothing here runs one of them, or there is nothing to quantize.
        VerificationError: verdicts are not the reference's.
    """
    if "int8" in precisions:
        bundle = open_bundle(folder)
        written = {path.name: sha256_of(path) for path in write_int8(folder, _feeds(bundle, frames))}
        record = bundle.manifest.graphs[QUANTIZED].model_copy(update={"variants": find_forms(QUANTIZED, folder)})
        graphs = bundle.manifest.graphs | {QUANTIZED: record}
        _rewrite(bundle, graphs=graphs, sha256=bundle.manifest.sha256 | written)
    bundle = open_bundle(folder)
    pairs = offering(bundle, precisions)
    _require_backends(precisions, {precision for _, precision in pairs})
    results = list(check_pairs(bundle, pairs))
    print_results(bundle, results)
    require_passed(results)
    _rewrite(bundle, precisions=_records(results))


def _feeds(bundle: Bundle, frames: Sequence[Frame]) -> Feeds:
    tiles, maps = tiles_to_keep(bundle, frames), bundle.pixel_inputs(QUANTIZED)
    parts = np.array_split(tiles, -(-len(tiles) // _BATCH))
    return [{"image": part, **maps} for part in parts]


def _require_backends(precisions: Sequence[Precision], proved: set[Precision]) -> None:
    for precision in precisions:
        if precision not in proved:
            raise ConfigError(
                f"--precision {precision} was asked for, but no backend that is installed here runs it, so its "
                "verdicts cannot be proved (see: ganspect doctor); leave it out, and where a backend does, run: "
                f"ganspect verify BUNDLE --precision {precision}"
            )


def _records(results: Sequence[Verified]) -> dict[Precision, dict[str, GateRecord]]:
    records: dict[Precision, dict[str, GateRecord]] = {}
    for result in results:
        records.setdefault(result.precision, {})[result.backend] = GateRecord(
            version=result.version,
            device=result.device,
            guard=None if result.guard is None else result.guard.model_dump(),
            agreement={mode: agreement.model_dump() for mode, agreement in agreements(result).items()},
        )
    return records


def _rewrite(bundle: Bundle, **changes: object) -> None:
    manifest: Manifest = bundle.manifest.model_copy(update=changes)
    write_atomically(bundle.folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
