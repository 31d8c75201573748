"""What do several bundles make of the same images? Draws image, reconstruction and residual of each, side by side.

    python benchmarks/side_by_side.py DATA BUNDLE BUNDLE … --images 6 --out docs/images/systems.png

Images are taken at equal distances from the test set, anomalous and normal ones, not by hand. Residuals of all
bundles have one scale.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import matplotlib as mpl
import numpy as np

from ganspect.bundle import open_bundle
from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable
from ganspect.progress import progress_bar
from ganspect.runtime.backends import open_backend
from ganspect.runtime.evaluation.labelled import LabelledImages, open_test_data, read_labelled
from ganspect.runtime.evaluation.readout import Array, Readout
from ganspect.runtime.search import LatentSearch

mpl.use("Agg")
from matplotlib import pyplot

Column: TypeAlias = tuple[str, list[tuple[Array, Array]]]


def choose(labels: Array, count: int) -> list[int]:
    """Return indices of images at equal distances within each class, anomalous ones first, half and half."""
    chosen: list[int] = []
    for label, share in ((1, -(-count // 2)), (0, count // 2)):
        members = np.flatnonzero(labels == label)
        chosen += [int(members[at]) for at in np.linspace(0, len(members) - 1, share + 2)[1:-1].astype(int)]
    return chosen


def read_out(folder: Path, images: LabelledImages, chosen: Sequence[int]) -> Column:
    """Return a bundle's system and, for each image, reconstruction (H,W[,3]) and residual (H,W)."""
    bundle = open_bundle(folder)
    with open_backend("onnxruntime", bundle) as engine:
        search, readout = LatentSearch(bundle, engine), Readout(bundle, engine)
        found = []
        for index in chosen:
            tiles = images.tiles(index)
            latent = search.full(tiles.images, steps=bundle.require_calibration().steps).latent
            found.append((readout.pictures(latent)[0].squeeze() / 255, readout.heat_map(tiles, latent)))
    return bundle.manifest.system, found


def draw(images: LabelledImages, chosen: Sequence[int], columns: Sequence[Column], out: Path) -> None:
    """Write the picture; a column is what `read_out` returns."""
    hottest = max(float(residual.max()) for _, found in columns for _, residual in found)
    wide = 1 + 2 * len(columns)
    figure, axes = pyplot.subplots(len(chosen), wide, figsize=(1.15 * wide, 1.2 * len(chosen) + 0.4), squeeze=False)
    for row, index in enumerate(chosen):
        frame = images.tiles(index).images[0].squeeze()
        axes[row, 0].imshow(frame, cmap="gray", vmin=0, vmax=255)
        axes[row, 0].set_ylabel(images.samples[index].kind, fontsize=8)
        for column, (_, found) in enumerate(columns):
            axes[row, 1 + 2 * column].imshow(np.clip(found[row][0], 0, 1), cmap="gray", vmin=0, vmax=1)
            axes[row, 2 + 2 * column].imshow(found[row][1], cmap="inferno", vmin=0, vmax=hottest)
    heads = ["image", *(head for name, _ in columns for head in (f"{name}: G(z)", "residual"))]
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout(pad=0.3)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    parser = argparse.ArgumentParser(description="Draw what several bundles make of the same images.")
    parser.add_argument("data")
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--data-path", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    given = parser.parse_args(arguments)
    try:
        require_writable(given.out.absolute().parent)
        first = open_bundle(given.bundles[0])
        with progress_bar() as progress:
            images = read_labelled(first, open_test_data(first, given.data, given.data_path), progress)
        if any(open_bundle(folder).manifest.image != first.manifest.image for folder in given.bundles):
            raise ConfigError("the bundles take images of different sizes or kinds; give bundles of one kind")
        chosen = choose(images.labels, given.images)
        draw(images, chosen, [read_out(folder, images, chosen) for folder in given.bundles], given.out)
    except GanspectError as error:
        print(f"side_by_side: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
