"""ganspect: train a GAN on normal images, export it with its latent search, inspect without PyTorch.

    from ganspect.runtime import Inspector
    verdict = Inspector.load("bundle").inspect(frame)

This module imports nothing heavy, so that each part costs only what it needs: `ganspect.train` (PyTorch),
`ganspect.export` (PyTorch and ONNX), `ganspect.runtime` (neither).
"""

import os

# From 1.29 on ONNX Runtime reports to its maker which models it runs, and leaves an identifier in the home folder,
# unless it finds this when it is loaded. An inspection station calls nobody that its file does not name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
