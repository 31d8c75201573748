"""Grids of generated images, written now and then so that a training can be judged by eye."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganspect.files import write_atomically
from ganspect.opencv import cv2
from ganspect.preprocess import Frame
from ganspect.train.compute import Compute
from ganspect.train.system import System


@torch.no_grad()
def beside_reconstructions(system: System, images: Tensor, compute: Compute) -> Tensor:
    """Return (2N,C,H,W) images, each followed by G(E(x)), from (N,C,H,W) in [-1, 1]."""
    with compute.autocast():
        reconstructions = system.generator(system.encode(images)).float()
    return torch.stack([images, reconstructions], 1).flatten(0, 1)


def write_grid(path: Path, images: Tensor) -> None:
    """Write images as a PNG grid, about as wide as high.

    Args:
        path: of the file.
        images: (N,C,H,W) in [-1, 1], grey or RGB.

    Raises:
        OutputError: the file cannot be written.
    """
    pixels = ((images.detach().cpu().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    grid = _grid(pixels)
    if grid.shape[2] == 3:
        grid = cv2.cvtColor(grid, cv2.COLOR_RGB2BGR)
    write_atomically(path, cv2.imencode(".png", grid)[1].tobytes())


def _grid(pixels: Frame) -> Frame:
    count, height, width, channels = pixels.shape
    # An even number of columns keeps an image and its reconstruction side by side.
    columns = min(count, 2 * math.ceil(math.sqrt(count) / 2))
    rows = math.ceil(count / columns)
    cells = np.zeros((rows * columns, height, width, channels), np.uint8)
    cells[:count] = pixels
    table = cells.reshape((rows, columns, height, width, channels)).transpose((0, 2, 1, 3, 4))
    return np.ascontiguousarray(table.reshape((rows * height, columns * width, channels)))
