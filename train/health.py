"""Whether an adversarial training is well: does the generator vary, does the discriminator leave it a chance.

Collapse makes no error: losses stay finite and a bundle comes out that finds little. So stages measure it whenever a
line of log.csv is written (`Stage.check`), and the last figures are judged at the end of the run, into run.json.

    figures = {DIVERSITY: diversity(generated, real), **separation(real_logits, generated_logits)}
    warnings = judge({"gan": [figures]}).warnings
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganspect.records import Health

DIVERSITY = "diversity"
SEPARATED = "separated"
LOGIT_GAP = "logit_gap"
FIGURES = (DIVERSITY, SEPARATED, LOGIT_GAP)
"""Names of the figures that `judge` knows, which are columns of log.csv; a stage's check returns some of them."""

COLLAPSED_BELOW = 0.1
"""Least diversity of a generator that has not collapsed.

One that ignores its latent has 0, one that reproduces the training images' distribution has 1. Under a tenth, not
even 1% of the variance of normal images is in the generator's range, and |x - G(z)| is little more than the distance
to their mean image, which needs no GAN. What healthy runs end with stands in benchmarks/results/detection. It is a
bound for total collapse: a generator that still makes one image of each of a few kinds varies about as much as the
real ones, and is found by looking at samples/.
"""

RECENT_CHECKS = 10
"""Checks in a row in which a saturated discriminator makes no mistake; a stage with fewer is not judged by them.

So many because the beginning is no sign: a DCGAN that learnt a digit of MNIST well had a discriminator that was right
about every image of every check in its first 475 steps, and made mistakes from then on.
"""


def diversity(generated: Tensor, real: Tensor) -> float:
    """Return how much generated images vary, as a share of how much real ones do.

    Args:
        generated: (N,C,H,W) in [-1, 1], of N independent latents.
        real: (M,C,H,W) in [-1, 1].

    Returns:
        The standard deviation over the batch at each pixel, averaged over pixels, of `generated` divided by that of
        `real`: 0 for a collapsed generator, about 1 for a good one. 1 where the real images do not vary either.
    """
    spread = _spread(real)
    return _spread(generated) / spread if spread else 1.0


def separation(real_logits: Tensor, generated_logits: Tensor) -> dict[str, float]:
    """Return how well a discriminator tells real from generated; of a Wasserstein critic this would say nothing.

    Args:
        real_logits: (N,) of real images, or of BiGAN's pairs (x, E(x)); above 0 is right.
        generated_logits: (M,) of generated ones, or of pairs (G(z), z); below 0 is right.

    Returns:
        `separated`: the share that it gets right, in [0, 1], the mean of the shares of both kinds; 0.5 is chance.
        `logit_gap`: the mean logit of real images less that of generated ones.
    """
    right = (real_logits > 0).float().mean() + (generated_logits < 0).float().mean()
    gap = real_logits.float().mean() - generated_logits.float().mean()
    return {SEPARATED: float(right) / 2, LOGIT_GAP: float(gap)}


@contextmanager
def untouched(*networks: nn.Module) -> Iterator[None]:
    """Let networks in train mode run without a trace: no gradients, and what the block changes is put back.

    That is batch norm's running statistics, spectral norm's vectors, and PyTorch's own random numbers (dropout).
    """
    kept = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    on_gpu = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if on_gpu else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            for buffer, before in kept:
                buffer.copy_(before)


def judge(checks: Mapping[str, Sequence[Mapping[str, float]]]) -> Health:
    """Return the health of a run.

    Args:
        checks: the figures of each stage's checks, oldest first, by the stage's name.
    """
    last = {stage: dict(figures[-1]) for stage, figures in checks.items() if figures}
    return Health(stages=last, warnings=[warning for stage in last for warning in _warnings(stage, checks[stage])])


_REGULARISED = "r1_weight, or spectral_norm in a stage that has it"


def _spread(images: Tensor) -> float:
    return float(images.float().std(0, correction=0).mean())


def _warnings(stage: str, checks: Sequence[Mapping[str, float]]) -> Iterator[str]:
    share = checks[-1].get(DIVERSITY, 1.0)
    if share < COLLAPSED_BELOW:
        yield (
            f"the generator of stage {stage} has collapsed or is hardly trained: its images vary {share:.2g} times as "
            f"much as the training images, under {COLLAPSED_BELOW}; try another seed, more steps, or a regularised "
            f"discriminator ({_REGULARISED})"
        )
    recent = [figures.get(SEPARATED, 0.0) for figures in checks[-RECENT_CHECKS:]]
    if len(recent) == RECENT_CHECKS and min(recent) >= 1:
        yield (
            f"the discriminator of stage {stage} is saturated: in the last {RECENT_CHECKS} checks it told every real "
            "image from every generated one, so that the generator may learn little from it; regularise it "
            f"({_REGULARISED}) or lower its learning rate"
        )
