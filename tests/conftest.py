"""Fixtures that several parts use: synthetic images, and tiny runs trained on them once a session."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ganspect import redaction
from ganspect.export.exporter import export_run
from ganspect.files import locked
from ganspect.opencv import cv2
from ganspect.train.fit import train_recipe

TINY_RECIPE = {
    "seed": 0,
    "image": {"size_hw": [32, 32], "channels": 1},
    "data": {"holdout": 0.34},
    "network": {"width": 4, "latent_size": 8},
    "search": {"steps": 5},
    "training": {"precision": "fp32", "device": "cpu", "log_every": 10, "sample_every": 20, "checkpoint_every": 10},
}

_STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> Iterator[None]:
    """End at once when all is reported: threads that hang in a driver are left behind on purpose, and may crash it."""
    yield
    if (status := config.stash.get(_STATUS, None)) is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    # What one test hides must not hide what another one leaks.
    monkeypatch.setattr(redaction, "_SECRETS", set())


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    # A shell starts its background jobs with SIGINT ignored, and children inherit that: tests that interrupt one would
    # then wait for ever.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def texture(random: np.random.Generator, size_hw: tuple[int, int] = (40, 48)) -> np.ndarray:
    """Return a grey (H,W) uint8 image of soft stripes and a little noise: normal."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    stripes = 128 + 60 * np.sin(columns / 5 + random.uniform(0, 0.5)) * np.cos(rows / 9)
    return np.clip(stripes + random.normal(0, 4, size_hw), 0, 255).astype(np.uint8)


def scratched(random: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with a bright line, and the line's mask (H,W) uint8, 255 on it."""
    mask = np.zeros(image.shape[:2], np.uint8)
    height, width = mask.shape
    start = (int(random.integers(width // 2)), int(random.integers(height // 2)))
    cv2.line(mask, start, (start[0] + width // 3, start[1] + height // 3), 255, 3)
    return np.where(mask > 0, 255, image).astype(np.uint8), mask


def make_mvtec_folder(folder: Path, size_hw: tuple[int, int] = (40, 48)) -> Path:
    """Write 24 train/good, 6 test/good, and 6 test/scratch with masks, grey PNG."""
    random = np.random.default_rng(0)
    (folder / "ground_truth/scratch").mkdir(parents=True)
    for part, count in (("train/good", 24), ("test/good", 6), ("test/scratch", 6)):
        (folder / part).mkdir(parents=True)
        for index in range(count):
            image = texture(random, size_hw)
            if part == "test/scratch":
                image, mask = scratched(random, image)
                cv2.imwrite(str(folder / f"ground_truth/scratch/{index:03d}_mask.png"), mask)
            cv2.imwrite(str(folder / part / f"{index:03d}.png"), image)
    return folder


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object], *, copied: bool = True
) -> Path:
    """Return a folder that the first of the processes that run the tests makes.

    Args:
        factory: makes temporary folders.
        name: name of what is made.
        make: makes the folder whose path it is given.
        copied: each process has a copy, as ganspect keeps engines in a bundle; else all have the same, to read.
    """
    base = factory.getbasetemp()
    several = "PYTEST_XDIST_WORKER" in os.environ
    folder = (base.parent if several else base) / "made_once" / name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if not (folder / "made").exists():
            make(folder / name)
            (folder / "made").touch()
    if several and copied:
        return shutil.copytree(folder / name, factory.mktemp("copies") / name)
    return folder / name


@pytest.fixture(scope="session")
def mvtec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey 40x48 stripes in the MVTec layout: 24 train/good, 6 test/good, 6 test/scratch with masks."""
    return made_once(tmp_path_factory, "mvtec", make_mvtec_folder, copied=False)


def train_system(system: str, out: Path, source: Path, *overrides: str) -> Path:
    """Train any system by `TINY_RECIPE` into `out`; how many steps its stages take must be among the overrides."""
    recipe = out.with_name(f"{out.name}.yaml")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(yaml.safe_dump({"system": system, **TINY_RECIPE}))
    return train_recipe(recipe, [f"data.source={source}", *overrides], out)


def train_tiny(out: Path, source: Path, *overrides: str, system: str = "fanogan", steps: int = 30) -> Path:
    """Train a tiny system into `out`; overrides as on the command line."""
    gan = [f"training.gan.steps={steps}", "training.gan.batch_size=8"]
    encoder = [f"training.encoder.steps={steps}", "training.encoder.batch_size=8"] if system == "fanogan" else []
    return train_system(system, out, source, *gan, *encoder, *overrides)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    """A finished run of f-AnoGAN: 32x32 grey, width 4, latent 8."""
    return made_once(tmp_path_factory, "tiny_run", lambda out: train_tiny(out, mvtec_folder))


@pytest.fixture(scope="session")
def tiny_anogan_run(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    """A finished run of AnoGAN, without an encoder."""
    return made_once(tmp_path_factory, "tiny_anogan_run", lambda out: train_tiny(out, mvtec_folder, system="anogan"))


@pytest.fixture(scope="session")
def tiny_rgb_run(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    """A finished run of f-AnoGAN on RGB tiles that are not square: 28 high, 36 wide, cut from larger frames."""
    tiles = ["image.size_hw=[28,36]", "image.channels=3", "image.fit=tiles", "data.patches_per_image=4"]
    return made_once(tmp_path_factory, "tiny_rgb_run", lambda out: train_tiny(out, mvtec_folder, *tiles, steps=20))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_run: Path) -> Path:
    """The tiny f-AnoGAN as a calibrated bundle; tests that change it work on a copy."""
    return made_once(tmp_path_factory, "tiny", lambda out: export_run(tiny_run, out))


@pytest.fixture(scope="session")
def tiny_anogan_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_anogan_run: Path) -> Path:
    """The tiny AnoGAN as a calibrated bundle: no encoder, stored random starts."""
    return made_once(tmp_path_factory, "tiny_anogan", lambda out: export_run(tiny_anogan_run, out))


FEATURE_SPACE = (
    "image.size_hw=[64,64]", "backbone.layers=[0,1]", "backbone.channels=24", "network.latent_size=6",
    "search.feature_weight=0",
)  # fmt: skip
"""What makes a tiny system see features, on top of `TINY_RECIPE`: 24 channels of two layers on an 8x8 grid.

A basis of fewer than 8192 values would be turned into single precision when graphs are made smaller."""

WEIGHED = ("score.search=weighed_residual", "score.encoder=weighed_residual", "score.weighing=place")
"""What the linear system's scores are by default."""

CHOSEN = ("choice.latent_sizes=[7]", "choice.weighings=[place]", "choice.shares=[0.05]", "choice.relatives=[0.5]")
"""A choice among one candidate, which is not what `FEATURE_SPACE` says."""


@pytest.fixture(scope="session")
def features_run(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    """A finished run of the linear system in feature space: 64x64 grey, seven components, chosen."""

    def make(out: Path) -> Path:
        return train_system("linear", out, mvtec_folder, *FEATURE_SPACE, *CHOSEN)

    return made_once(tmp_path_factory, "features_run", make)


@pytest.fixture(scope="session")
def map_bundle(tmp_path_factory: pytest.TempPathFactory, mvtec_folder: Path) -> Path:
    """A linear bundle in feature space: a map of latents, 4x4 places of two numbers, and a discriminator of places.

    Its search descends the weighed residual; its encoder's score is the latent's Mahalanobis distance.
    """

    def make(out: Path) -> None:
        settings = (
            *("network.latent=map", "network.latent_stride=2", "network.latent_size=2", "discriminator.steps=5"),
            *("search.residual=weighed", "search.huber_delta=0.5", "score.encoder=latent_mahalanobis"),
        )
        with tempfile.TemporaryDirectory() as folder:
            run = train_system("linear", Path(folder) / "run", mvtec_folder, *FEATURE_SPACE, *settings)
            export_run(run, out)

    return made_once(tmp_path_factory, "map", make)


@pytest.fixture(scope="session")
def features_bundle(tmp_path_factory: pytest.TempPathFactory, features_run: Path) -> Path:
    """The linear system in feature space as a calibrated bundle."""
    return made_once(tmp_path_factory, "features", lambda out: export_run(features_run, out))
