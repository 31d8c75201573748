"""What a discriminator of places should be trained against: sorts of near misses compared by drawn defects.

    python benchmarks/negatives.py --data DATA --out benchmarks/results

For each data set the choice of `configs/linear_features.yaml` is made; then a discriminator is trained against each
sort of negatives on three fifths of the normal training images and, where defects are drawn, three of their kinds, and
judges drawn defects of the other kinds on the other images, as a run's own trial does (`ganspect.train.choosing`). No
image of a test set is opened. Writes negatives.json. Seeds are those that recipes are developed on.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drawn_sets import ROOT, SOURCES, compare, parser_of

from ganspect.block_pca import pcas_of
from ganspect.config import DiscriminatorSettings
from ganspect.datasets import open_dataset
from ganspect.errors import DataError
from ganspect.sections import read_yaml, with_overrides
from ganspect.train.choosing import VIEWS_AT_MOST, choose, try_discriminator
from ganspect.train.data import load_training_data
from ganspect.train.features import open_features, prepare_representation
from ganspect.train.latents import LatentLayout
from ganspect.train.representation import Representation
from ganspect.train.systems import parse_recipe

RECIPE = "configs/linear_features.yaml"

NEGATIVES = ("drawn", "noise", "pasted", "generated", "ascent", "drawn,pasted", "drawn,noise,pasted,generated,ascent")


def measure(name: str, source: str) -> dict[str, Any]:
    """Return what the choice found, and the AUROC with a discriminator of each sort and without."""
    path = ROOT / RECIPE
    content = read_yaml(path, [f"data.source={source}", *SOURCES[name]])
    recipe = parse_recipe(content, path)
    images = load_training_data(recipe, open_dataset(source)).batches
    with tempfile.TemporaryDirectory() as folder:
        representation = Representation(recipe)
        prepare_representation(representation, images, recipe, Path(folder) / "representation.safetensors")
        batches = open_features(representation, images, recipe, Path(folder) / "features.npy")
        choice = choose(recipe, images, batches, representation)
        maps, index = batches.views(VIEWS_AT_MOST)
        groups = batches.image_of(index).numpy()
        chosen = parse_recipe(with_overrides(content, choice.settings), path)
        pcas = pcas_of(maps.numpy(), groups, LatentLayout.of(chosen).stride)
        found: dict[str, Any] = {"settings": choice.settings, "images": choice.images, "negatives": {}}
        for negatives in NEGATIVES:
            settings = DiscriminatorSettings.model_validate({"negatives": negatives.split(",")})
            tried = chosen.model_copy(update={"discriminator": settings})
            figures = try_discriminator(tried, pcas, maps.numpy(), groups, batches)
            if figures is None:
                raise DataError(f"{source} has too few images to try a discriminator on; give more")
            found["without"], found["negatives"][negatives] = figures["auroc_without"], figures["auroc"]
            print(f"{name}: {negatives}: {figures['auroc']:.4f}, without {figures['auroc_without']:.4f}", flush=True)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; status 2 on bad input."""
    given = parser_of("Compare negatives of the discriminator of places by drawn defects.").parse_args(arguments)
    return compare("negatives", given, measure, recipe=RECIPE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
