"""How long to wait before a camera, broker or server is tried again.

backoff = Backoff()
time.sleep(backoff.next_s())      # 0.5 s or so, then 1, 2, … 30
"""

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Waits that double up to a limit, each shortened by chance so that many stations do not knock at once.

    Attributes:
        first_s: the first wait.
        most_s: the longest.
        tries: waits since the last success.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    tries: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)

    def next_s(self) -> float:
        """Return the next wait: between half and all of what doubling gives."""
        # The exponent is bounded: a camera that is away for months must not make a number without end.
        longest = min(self.most_s, self.first_s * 2.0 ** min(self.tries, 32))
        self.tries += 1
        return longest * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the first wait again, after a success."""
        self.tries = 0
