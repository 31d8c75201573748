"""What a calibration keeps in the bundle beside its thresholds: pixel statistics, and tiles to compare backends on."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ganspect.bundle import Bundle
from ganspect.errors import OutputError
from ganspect.files import write_atomically
from ganspect.preprocess import Frame, to_tiles
from ganspect.runtime.inspector import tile_grid

FOLDER = "calibration"
"""Folder in the bundle that holds the pixel statistics and a few of the tiles."""

KEPT_TILES = 64
KEPT_BYTES = 8 << 20
"""Tiles of the calibration's frames that are kept for comparisons of backends, at most, and their size."""


def tiles_to_keep(bundle: Bundle, frames: Sequence[Frame]) -> np.ndarray:
    """Return a few tiles of frames, spread over them, (T,h,w,C) uint8."""
    image = bundle.manifest.image
    tile_bytes = image.size_hw[0] * image.size_hw[1] * image.channels
    count = min(KEPT_TILES, max(1, KEPT_BYTES // tile_bytes))
    chosen = frames[:: -(-len(frames) // count)]
    tiles = [to_tiles(frame, tile_grid(bundle)).images for frame in chosen]
    # The same number of each frame's, from its middle.
    each = max(1, count // len(chosen))
    return np.concatenate([of_frame[len(of_frame) // 2 :][:each] for of_frame in tiles])


def write_arrays(folder: Path, kind: str, arrays: dict[str, np.ndarray]) -> tuple[str, str]:
    """Write arrays into the bundle's calibration folder, under a name that their content gives; return it and the hash.

    Raises:
        OutputError: the bundle cannot be written.
    """
    content = save(arrays)
    digest = sha256(content).hexdigest()
    name = f"{FOLDER}/{kind}_{digest[:12]}.safetensors"
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}; make the bundle writable") from error
    write_atomically(folder / name, content)
    return name, digest
