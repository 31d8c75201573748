"""Random numbers that depend on where a run is and not on how it came there.

Every step draws from a generator seeded by (seed, stage, step), so that a run that was killed goes on to the
same weights without any generator's state in its checkpoint.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def random_for(seed: int, *place: str | int) -> torch.Generator:
    """Return a generator on the CPU, seeded by the recipe's seed and a place such as ("gan", 120)."""
    random = torch.Generator()
    random.manual_seed(_number(seed, *place))
    return random


@contextmanager
def seeded(seed: int, *place: str | int) -> Iterator[None]:
    """Seed PyTorch's own generator on the CPU while the block runs, and restore it after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_number(seed, *place))
        yield


def _number(seed: int, *place: str | int) -> int:
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
