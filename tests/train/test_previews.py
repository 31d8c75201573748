from pathlib import Path

import torch

from ganspect.datasets.images import read_image
from ganspect.train.previews import write_grid


def test_a_grid_holds_the_images_row_by_row(tmp_path: Path) -> None:
    images = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 4, 6)
    write_grid(tmp_path / "grid.png", images)
    grid = read_image(tmp_path / "grid.png")
    assert grid.shape == (8, 24)
    assert grid[0, ::6].tolist() == [0, 64, 128, 191]
    assert grid[4, ::6].tolist() == [255, 0, 0, 0]


def test_rgb_is_written_in_its_colours(tmp_path: Path) -> None:
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 4, 4)
    write_grid(tmp_path / "grid.png", red)
    assert read_image(tmp_path / "grid.png")[0, 0].tolist() == [0, 0, 255]
