"""What a discriminator of places should be trained against: sorts of near misses compared by drawn defects.

    python benchmarks/negatives.py --data DATA --out benchmarks/results

For each data set the choice of `configs/linear_features.yaml` is made; then a discriminator is trained against each
sort of negatives on three fifths of the normal training images and, where defects are drawn, three of their kinds, and
judges drawn defects of the other kinds on the other images, as a run's own trial does (`ganspect.train.choosing`). No
image of a test set is opened. Writes negatives.json. Seeds are those that recipes are developed on.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from choosing import SOURCES

from ganspect.datasets import open_dataset
from ganspect.errors import ConfigError, DataError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.runtime.machine import machine
from ganspect.sections import read_yaml, with_overrides
from ganspect.train.choosing import VIEWS_AT_MOST, choose, try_discriminator
from ganspect.train.data import load_training_data
from ganspect.train.features import open_features, prepare_representation
from ganspect.train.representation import Representation
from ganspect.train.systems import parse_recipe

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "configs/linear_features.yaml"

NEGATIVES = ("drawn", "noise", "pasted", "generated", "ascent", "drawn,pasted", "drawn,noise,pasted,generated,ascent")


def measure(source: str, needed: Sequence[str]) -> dict[str, Any]:
    """Return what the choice found, and the AUROC with a discriminator of each sort and without."""
    content = read_yaml(RECIPE, [f"data.source={source}", *needed])
    recipe = parse_recipe(content, RECIPE)
    images = load_training_data(recipe, open_dataset(source)).batches
    with tempfile.TemporaryDirectory() as folder:
        representation = Representation(recipe)
        prepare_representation(representation, images, recipe, Path(folder) / "representation.safetensors")
        batches = open_features(representation, images, recipe, Path(folder) / "features.npy")
        choice = choose(recipe, images, batches, representation)
        maps, index = batches.views(VIEWS_AT_MOST)
        found: dict[str, Any] = {"settings": choice.settings, "images": choice.images, "negatives": {}}
        for negatives in NEGATIVES:
            settings = [*choice.settings, f"discriminator.negatives=[{negatives}]"]
            tried = parse_recipe(with_overrides(content, settings), RECIPE)
            figures = try_discriminator(tried, maps.numpy(), batches.image_of(index).numpy(), batches)
            if figures is None:
                raise DataError(f"{source} has too few images to try a discriminator on")
            found["without"], found["negatives"][negatives] = figures["auroc_without"], figures["auroc"]
            print(f"{source}: {negatives}: {figures['auroc']:.4f}, without {figures['auroc_without']:.4f}", flush=True)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Compare negatives of the discriminator of places by drawn defects.")
    parser.add_argument("--data", type=Path, default=os.environ.get("GANSPECT_DATA"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="data sets with this in their names")
    given = parser.parse_args(arguments)
    try:
        _compare(given)
    except GanspectError as error:
        print(f"negatives: {error}", file=sys.stderr)
        return 2
    return 0


def _compare(given: argparse.Namespace) -> None:
    names = [name for name in SOURCES if given.only in name]
    if not names:
        raise ConfigError(f"no data set has {given.only!r} in its name; the names are {', '.join(SOURCES)}")
    path = require_writable(given.out) / "negatives.json"
    found: dict[str, Any] = {}
    if given.only and path.exists():  # what was measured of the other data sets stays
        found = json.loads(path.read_text(encoding="utf-8"))["drawn_auroc"]
    for name in names:
        source = name if ":" in name or given.data is None else str(given.data / name)
        found[name] = measure(source, SOURCES[name])
        content = {"benchmark": "negatives", "recipe": "configs/linear_features.yaml", "drawn_auroc": found}
        write_json(path, content | {"environment": machine()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
