"""anomalib's models as the catalogue asks for them; runs beside anomalib.

model = build(PEERS["padim"], (224, 224))

Nothing learns from a label: nothing is validated on labels, and the post-processor, whose threshold anomalib takes from
labelled images, is left out, so that what comes out is the raw score and the raw anomaly map.
"""

from collections.abc import Callable

import torch
from anomalib.models import Ganomaly, Padim, Patchcore
from anomalib.models.components import AnomalibModule, KCenterGreedy
from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Compose, Normalize, Resize

from peering.backbone import DEVIATION, MEAN, load_weights
from peering.catalogue import BACKBONE, PADIM_FEATURES, Peer
from peering.coreset import farthest_first

BATCH = 32
"""anomalib's default."""

_IMAGENET_MEAN, _IMAGENET_DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""What anomalib normalises with unless told otherwise."""


def build(peer: Peer, size_hw: tuple[int, int]) -> AnomalibModule:
    """Return a model that was not trained, its backbone with the weights of ganspect's."""
    return _BUILDERS[peer.name](peer, size_hw)


def _padim(peer: Peer, size_hw: tuple[int, int]) -> AnomalibModule:
    model = Padim(
        backbone=BACKBONE,
        layers=list(peer.layers),
        pre_trained=False,
        n_features=PADIM_FEATURES,
        pre_processor=_pre_processor(size_hw, [MEAN] * 3, [DEVIATION] * 3),
        **_NOTHING_ELSE,
    )
    load_weights(model.model.feature_extractor.feature_extractor)
    return model


def _patchcore(peer: Peer, size_hw: tuple[int, int]) -> AnomalibModule:
    KCenterGreedy.select_coreset_idxs = _select_coreset_idxs
    model = Patchcore(
        backbone=BACKBONE,
        layers=list(peer.layers),
        pre_trained=False,
        coreset_sampling_ratio=peer.sampling,
        pre_processor=_pre_processor(size_hw, [MEAN] * 3, [DEVIATION] * 3),
        **_NOTHING_ELSE,
    )
    load_weights(model.model.feature_extractor.feature_extractor)
    return model


def _ganomaly(peer: Peer, size_hw: tuple[int, int]) -> AnomalibModule:
    pre_processor = _pre_processor(size_hw, _IMAGENET_MEAN, _IMAGENET_DEVIATION)
    return Ganomaly(batch_size=BATCH, pre_processor=pre_processor, **_NOTHING_ELSE)


def _pre_processor(size_hw: tuple[int, int], mean: list[float], deviation: list[float]) -> PreProcessor:
    """Return what images go through, which have that size already: resizing them changes nothing."""
    return PreProcessor(Compose([Resize(size_hw, antialias=True), Normalize(mean=mean, std=deviation)]))


def _select_coreset_idxs(self: KCenterGreedy) -> list[int]:
    """Select what anomalib's own method selects, from the same random projection and a random first row."""
    self.model.fit(self.embedding)
    features = self.model.transform(self.embedding)
    first = int(torch.randint(high=self.n_observations, size=(1,)))
    return farthest_first(features, self.coreset_size, first)


_BUILDERS: dict[str, Callable[[Peer, tuple[int, int]], AnomalibModule]] = {
    **{"padim": _padim, "patchcore": _patchcore, "patchcore_1pct": _patchcore, "ganomaly": _ganomaly},
}
_NOTHING_ELSE = {"post_processor": False, "evaluator": False, "visualizer": False}
