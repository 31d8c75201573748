"""Batch norm's running statistics, by which the exported discriminator normalises: of real images alone.

A discriminator in training sees real and generated images in batches of their own, each normalised by itself. If all
counted for the running statistics, they would be mostly those of images that a generator made early on, and the
features and logits in the bundle not those that were trained. EGBAD's authors update them in the discriminator's step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def statistics_kept(*networks: nn.Module) -> Iterator[None]:
    """Let networks in train mode see a batch without counting it for their running statistics."""
    layers = [layer for network in networks for layer in network.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
