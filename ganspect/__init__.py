"""ganspect: train a GAN on normal images, export it with its latent search, inspect without PyTorch.

    from ganspect.runtime import Inspector
    verdict = Inspector.load("bundle").inspect(frame)

This module imports nothing, so that each part costs only what it needs: `ganspect.train` (PyTorch),
`ganspect.export` (PyTorch and ONNX), `ganspect.runtime` (neither).
"""

__version__ = "0.1.0"
