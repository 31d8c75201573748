"""The process that times one bundle on one backend in one precision; its parent speaks to it over stdin and stdout.

echo '{"do": "open", ...}' | python -m ganspect.runtime.bench.worker
"""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganspect.bundle import open_bundle
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.bench.pool import Pool
from ganspect.runtime.bench.protocol import reserve_stdout
from ganspect.runtime.bench.serving import leave_interrupts_to_the_parent, serve
from ganspect.runtime.bench.workloads import BundleSession
from ganspect.runtime.verification.choice import open_verified


def main() -> None:
    """Answer the parent's requests until it closes the pipe."""
    leave_interrupts_to_the_parent()
    replies = reserve_stdout()
    with contextlib.ExitStack() as opened:

        def open_session(request: Mapping[str, Any]) -> BundleSession:
            bundle = open_bundle(Path(request["bundle"]))
            # As deployed: where a lower precision was verified, float32 decides near the threshold.
            tuning = Tuning(**request["tuning"])
            backend = open_verified(request["backend"], bundle, tuning=tuning, precision=request["precision"])
            opened.enter_context(backend)
            return BundleSession(bundle, backend, Pool.load(Path(request["pool"]), bundle))

        serve(sys.stdin, replies, open_session)


if __name__ == "__main__":
    main()
