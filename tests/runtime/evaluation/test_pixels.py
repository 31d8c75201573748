import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ganspect.errors import DataError
from ganspect.opencv import cv2
from ganspect.runtime.evaluation.bootstrap import Resampling
from ganspect.runtime.evaluation.pixels import LARGEST_FPR, PixelTable

RESAMPLING = Resampling(count=100)


def scene(seed: int, *, anomalous: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy heat map (24,32) in [0, 1] and its mask: two regions of different size, or none."""
    random = np.random.default_rng(seed)
    mask = np.zeros((24, 32), np.bool_)
    if anomalous:
        mask[2:12, 3:20] = True
        mask[18:21, 25:28] = True
    heat_map = random.random(mask.shape) * 0.5 + 0.2 * mask
    return (heat_map**2).astype(np.float32), mask


def table_of(scenes: list[tuple[np.ndarray, np.ndarray]], **options: np.ndarray) -> PixelTable:
    table = PixelTable(**options)
    for heat_map, mask in scenes:
        table.add(heat_map, mask)
    return table


def slow_aupro(scenes: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return AUPRO by its definition: every distinct value a threshold, the overlap of each region averaged."""
    maps, masks = np.stack([heat for heat, _ in scenes]), np.stack([mask for _, mask in scenes])
    points = [(0.0, 0.0)]
    regions = []
    for index, mask in enumerate(masks):
        count, names = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        regions += [(index, names == name) for name in range(1, count)]
    for threshold in np.unique(maps)[::-1]:
        overlaps = [(maps[index][region] >= threshold).mean() for index, region in regions]
        points.append(((maps[~masks] >= threshold).mean(), float(np.mean(overlaps))))
    x, y = np.array(points).T
    end = np.interp(LARGEST_FPR, x, y)
    x, y = np.append(x[x <= LARGEST_FPR], LARGEST_FPR), np.append(y[x <= LARGEST_FPR], end)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum() / LARGEST_FPR)


SCENES = [scene(seed, anomalous=seed % 2 == 1) for seed in range(6)]
LABELS = np.array([seed % 2 for seed in range(6)])


def test_pixel_auroc_is_sklearns() -> None:
    measured = table_of(SCENES).metrics(LABELS, RESAMPLING)
    assert measured is not None
    heat = np.concatenate([heat.ravel() for heat, _ in SCENES])
    mask = np.concatenate([mask.ravel() for _, mask in SCENES])
    assert measured["auroc"].value == pytest.approx(roc_auc_score(mask, heat), abs=2e-4)


def test_aupro_is_that_of_its_definition() -> None:
    measured = table_of(SCENES).metrics(LABELS, RESAMPLING)
    assert measured is not None
    assert measured["aupro"].value == pytest.approx(slow_aupro(SCENES), abs=1e-3)


def test_small_regions_count_as_much_as_large_ones() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[0:10, 0:10] = True
    mask[15, 15] = True
    only_large, both = (mask & (np.arange(20) < 12)).astype(np.float32), mask.astype(np.float32)
    found = table_of([(both, mask)]).metrics(np.array([1]), RESAMPLING)
    missed = table_of([(only_large, mask)]).metrics(np.array([1]), RESAMPLING)
    assert found is not None
    assert missed is not None
    assert found["aupro"].value == pytest.approx(1)
    # The missed region's overlap rises from 0 to 1 with the false-positive rate from 0 to 1: 0.15 on average up to 0.3.
    assert missed["aupro"].value == pytest.approx(0.5 * (1 + 0.15), abs=1e-6)
    assert missed["auroc"].value > 0.99


def test_interval_holds_the_value_and_more_images_make_it_narrower() -> None:
    few = table_of(SCENES).metrics(LABELS, RESAMPLING)
    scenes = [scene(seed, anomalous=seed % 2 == 1) for seed in range(40)]
    many = table_of(scenes).metrics(np.arange(40) % 2, RESAMPLING)
    assert few is not None
    assert many is not None
    assert few["aupro"].low < few["aupro"].value < few["aupro"].high
    assert many["aupro"].high - many["aupro"].low < few["aupro"].high - few["aupro"].low


def test_no_anomalous_pixels_no_metrics() -> None:
    assert table_of([scene(0, anomalous=False)]).metrics(np.array([0]), RESAMPLING) is None


def test_mask_of_another_size_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"a mask is \(height, width\) \(10, 10\) and its image \(24, 32\); make the masks"
    ):
        PixelTable().add(scene(0, anomalous=False)[0], np.zeros((10, 10), np.bool_))
