"""TensorRT 10 and 11, on every NVIDIA GPU that they list, Jetsons among them; engines are built on the device.

with TensorRt(bundle, precision="fp16") as backend:
    outputs = backend.run("score", {"image": tiles})
"""

import tensorrt

from ganspect.runtime.backends.tensorrt.backend import TensorRtBackend
from ganspect.runtime.backends.tensorrt.flavour import BF16_FORMS, Flavour


class TensorRt(TensorRtBackend):
    """Runs a bundle's graphs in TensorRT."""

    flavour = Flavour(
        api=tensorrt,
        name="tensorrt",
        product="TensorRT",
        forms={"fp32": (), "bf16": BF16_FORMS, "fp16": ("fp16",), "int8": ("int8-symmetric",)},
        extra="tensorrt",
        portable=False,
    )
