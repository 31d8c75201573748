"""Two photographs that come with scikit-learn, as EfficientNet-Lite0 was trained to see them."""

from pathlib import Path

import numpy as np
import sklearn
import torch
from torch import Tensor

from ganspect.opencv import cv2

CLASSES = (698, 985)
"""What ImageNet's numbering calls them: palace, daisy."""


def photographs() -> Tensor:
    """Return the central square of both, (2,224,224,3) uint8 RGB."""
    found = []
    for name in ("china.jpg", "flower.jpg"):
        image = cv2.imread(str(Path(sklearn.__file__).parent / "datasets/images" / name))
        side = min(image.shape[:2])
        top, left = ((extent - side) // 2 for extent in image.shape[:2])
        square = cv2.resize(image[top : top + side, left : left + side], (224, 224), interpolation=cv2.INTER_AREA)
        found.append(cv2.cvtColor(square, cv2.COLOR_BGR2RGB))
    return torch.from_numpy(np.stack(found))
