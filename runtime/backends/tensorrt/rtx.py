"""TensorRT-RTX, on GeForce and RTX GPUs; its engines can be built ahead of time, without a GPU.

with TensorRtRtx(bundle, precision="fp16") as backend:
    outputs = backend.run("score", {"image": tiles})
"""

import tensorrt_rtx

from ganspect.runtime.backends.tensorrt.backend import TensorRtBackend
from ganspect.runtime.backends.tensorrt.flavour import BF16_FORMS, Flavour


class TensorRtRtx(TensorRtBackend):
    """Runs a bundle's graphs in TensorRT-RTX, which has no int8 convolutions."""

    flavour = Flavour(
        api=tensorrt_rtx,
        name="tensorrt-rtx",
        product="TensorRT-RTX",
        forms={"fp32": (), "bf16": BF16_FORMS, "fp16": ("fp16",)},
        extra="tensorrt-rtx",
        portable=True,
    )
