import shutil
from pathlib import Path

import numpy as np
import pytest

from ganspect.opencv import cv2
from tests.runtime.conftest import change_manifest


def test_images_are_taken_at_equal_distances_of_both_classes():
    from side_by_side import choose

    labels = np.array([0] * 100 + [1] * 50)
    assert choose(labels, 5) == [112, 124, 136, 33, 66]


def test_a_picture_shows_every_bundle(tmp_path: Path, mvtec_folder: Path, tiny_bundle: Path):
    from side_by_side import main

    sizes = []
    for bundles in ([tiny_bundle], [tiny_bundle, tiny_bundle]):
        picture = tmp_path / f"{len(bundles)}.png"
        assert main([str(mvtec_folder), *map(str, bundles), "--images", "4", "--out", str(picture)]) == 0
        drawn = cv2.imread(str(picture))
        assert drawn.std() > 20
        sizes.append(drawn.shape)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] == pytest.approx(sizes[0][1] * 5 / 3, rel=0.01)


def test_bundles_of_different_sizes_are_refused(
    tmp_path: Path, mvtec_folder: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
):
    from side_by_side import main

    other = change_manifest(Path(shutil.copytree(tiny_bundle, tmp_path / "other")), image={"bits": 12})
    assert main([str(mvtec_folder), str(tiny_bundle), str(other), "--out", str(tmp_path / "x.png")]) == 2
    assert "give bundles of one kind" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
