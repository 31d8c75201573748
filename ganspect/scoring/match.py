"""What a score is computed from: an image beside its reconstruction, and what the networks see in both."""

from dataclasses import dataclass

from ganspect.scoring.arrays import Array

DEVIATION_FLOOR = 0.005
"""Least deviation that is divided by: about one grey level, so that a constant pixel or image cannot shout."""


@dataclass(frozen=True)
class Match:
    """An image, its reconstruction, and what the discriminator and a second encoder see in them.

    Only the fields that a score needs (`Score.needs`) must be given.

    Attributes:
        image: x, (N,C,H,W): the image in [-1, 1], or in feature space its map.
        reconstruction: G(z), same shape and range.
        features: f(x), (N,...); of a discriminator of pairs, f(x, E(x)).
        reconstruction_features: f(G(z)), same shape; of a discriminator of pairs, f(G(z), E(x)).
        pixel_mean: (H,W) mean of the residual over normal images, in [0, 1]; None where not calibrated.
        pixel_deviation: (H,W) its standard deviation, at least `DEVIATION_FLOOR`.
        anchor: E(x), (N,D); stays while the latent moves.
        logit: the discriminator's of the image, (N,), higher for real ones; D(x), or D(x, E(x)).
        reconstruction_logit: the same of the reconstruction: D(G(z)), or D(G(z), E(x)).
        reconstruction_code: the second encoder's latent of the reconstruction, (N,D).
        distance: (N,h,w) squared length of the residual at each place, weighed as the recipe says and averaged over
            channels and 3x3 places.
        squared_length: (N,h,w) squared length of the residual at each place, weighed in the same way but averaged over
            channels alone.
        share: share of the places, those with the largest distance, that are averaged; 0: the largest alone.
        latent: z, (N,D).
        latent_mean: (D,) of the prior.
        latent_deviation: (D,) of the prior, above 0.
    """

    image: Array
    reconstruction: Array
    features: Array = None
    reconstruction_features: Array = None
    pixel_mean: Array = None
    pixel_deviation: Array = None
    anchor: Array = None
    logit: Array = None
    reconstruction_logit: Array = None
    reconstruction_code: Array = None
    distance: Array = None
    squared_length: Array = None
    share: float = 0.01
    latent: Array = None
    latent_mean: Array = None
    latent_deviation: Array = None
