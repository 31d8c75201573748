"""How a CPU backend uses the machine: threads, spinning, arena; set for latency unless told otherwise.

with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1, spinning=False)) as backend:
    outputs = backend.run("score", inputs)
"""

import os
from dataclasses import dataclass

from ganspect.errors import ConfigError

MOST_THREADS = 1024


@dataclass(frozen=True)
class Tuning:
    """How a backend uses the CPU; GPUs take no notice.

    Attributes:
        threads: that one graph may use; None: as many as this process may run on.
        spinning: idle threads wait in a busy loop for a moment: lower latency, more power (ONNX Runtime).
        arena: freed buffers are kept for the next call: lower latency, more memory (ONNX Runtime).
    """

    threads: int | None = None
    spinning: bool = True
    arena: bool = True

    def __post_init__(self) -> None:
        """Check the number of threads.

        Raises:
            ConfigError: there are less than 1, or more than any machine has.
        """
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ConfigError(
                f"{self.threads} threads were asked for; give 1 to {MOST_THREADS}, or leave it out for all cores"
            )

    @property
    def thread_count(self) -> int:
        """Return how many threads a graph uses."""
        return self.threads or len(os.sched_getaffinity(0))


LATENCY = Tuning()
"""The default: every core, spinning, with an arena."""
