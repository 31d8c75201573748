"""A discriminator of places: it tells normal maps from near misses, and corrects the weighed distance by what it sees.

The weighed distance counts every direction of a residual alike. A small network that looks at the weighed residual
of a place itself learns which of them near misses take (`ganspect.train.near_misses`). Its map and the
distance's are averaged, each in its own deviations over normal places:

    log d' = m + s (z + t) / 2,  z = (log d - m) / s,  t the network's map, standardised in the same way

It never sees x, only what the generator could not explain, and no neighbours, so that it has little to learn by heart:
larger networks were worse at kinds of drawn defects that they had not been trained on.
Trained like a relativistic GAN (Jolicoeur-Martineau 2019): the largest places of a near miss against those of a normal
map, softplus(D(normal) - D(near miss)) over all pairs of a batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

_SLOPE = 0.2
_LARGEST_LOG = 20.0
"""Of corrected distances; where normal images hardly vary, a frame of another kind would go beyond all numbers."""


class Terms(NamedTuple):
    """What a weighed distance is made of.

    Attributes:
        squashed: (N,C,h,w) asinh of weighed residuals, in units of the image's level where that is taken out.
        log_distance: (N,h,w) log d, in the same unit.
        level: (N,1,1) mean of log d over places, before it is taken out.
    """

    squashed: Tensor
    log_distance: Tensor
    level: Tensor

    def both(self, others: "Terms") -> "Terms":
        """Return the terms of these maps and then of others."""
        return Terms(*(torch.cat(pair) for pair in zip(self, others, strict=True)))

    def of(self, index: Tensor) -> "Terms":
        """Return the terms of some maps, in float32."""
        return Terms(*(values[index].float() for values in self))


class PlaceDiscriminator(nn.Module):
    """Terms of weighed distances to corrected distances.

    Attributes:
        level: mean and deviation over normal images of their level.
        distance: mean and deviation of log d over normal places.
        own: mean and deviation of the network's map over normal places.
    """

    level: Tensor
    distance: Tensor
    own: Tensor

    def __init__(self, channels: int, width: int) -> None:
        """Build it with PyTorch's initial weights; its map begins as the distance's own.

        Args:
            channels: C of the maps.
            width: channels of its two hidden layers.
        """
        super().__init__()
        hidden = [nn.Conv2d(channels + 2, width, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(width, width, 1)]
        self.layers = nn.Sequential(*hidden, nn.LeakyReLU(_SLOPE))
        self.last = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.last.weight)
        self.gain = nn.Parameter(torch.ones(()))
        for name in ("level", "distance", "own"):
            self.register_buffer(name, torch.tensor([0.0, 1.0]))

    def forward(self, terms: Terms) -> Tensor:
        """Return log d', the corrected distance at each place, (N,h,w)."""
        z = _standardised(terms.log_distance, self.distance)
        t = _standardised(self.logits(terms), self.own)
        corrected = self.distance[0] + self.distance[1] * ((z + t) * 0.5)
        return corrected.clamp(-_LARGEST_LOG, _LARGEST_LOG)

    def logits(self, terms: Terms) -> Tensor:
        """Return the network's map, (N,h,w), higher where it takes a place for a near miss."""
        z = _standardised(terms.log_distance, self.distance)
        of_image = _standardised(terms.level, self.level).expand_as(z)
        seen = torch.cat([terms.squashed, z[:, None], of_image[:, None]], 1)
        logits: Tensor = self.last(self.layers(seen))[:, 0]
        return logits + self.gain * z


def _standardised(values: Tensor, statistics: Tensor) -> Tensor:
    return (values - statistics[0]) / statistics[1]
