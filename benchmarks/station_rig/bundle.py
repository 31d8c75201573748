"""A bundle made from nothing in some seconds, so small that a verdict costs a millisecond.

What is measured is the station, not the model.

make_tiny_bundle(Path("rig"))      # needs the extras train and export
"""

from pathlib import Path

import numpy as np
import yaml

from ganspect.opencv import cv2
from station_rig.parts import normal_part

_RECIPE = {
    "system": "fanogan",
    "seed": 0,
    "image": {"size_hw": [32, 32], "channels": 1},
    "data": {"holdout": 0.34},
    "network": {"width": 4, "latent_size": 8},
    "search": {"steps": 5},
    "training": {
        **{"precision": "fp32", "device": "cpu", "log_every": 10, "sample_every": 20, "checkpoint_every": 30},
        "gan": {"steps": 30, "batch_size": 8},
        "encoder": {"steps": 30, "batch_size": 8},
    },
}
_IMAGES = 24


def make_tiny_bundle(folder: Path) -> Path:
    """Train, export and calibrate a tiny f-AnoGAN on stripes, and return its bundle below a folder."""
    import torch

    from ganspect.export.exporter import export_run
    from ganspect.train.fit import train_recipe

    torch.set_num_threads(1)
    random, images = np.random.default_rng(0), folder / "stripes/train/good"
    images.mkdir(parents=True)
    for index in range(_IMAGES):
        cv2.imwrite(str(images / f"{index:03d}.png"), normal_part(random))
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(_RECIPE))
    run = train_recipe(recipe, [f"data.source={folder / 'stripes'}"], folder / "run")
    export_run(run, folder / "bundle")
    return folder / "bundle"
