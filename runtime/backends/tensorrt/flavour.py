"""What TensorRT and TensorRT-RTX differ in, and the logger that both need.

flavour = Flavour(api=tensorrt_rtx, name="tensorrt-rtx", product="TensorRT-RTX", forms=..., extra=..., portable=True)
"""

import re
from dataclasses import dataclass
from typing import Any

from ganspect.errors import ConfigError
from ganspect.runtime.backends.forms import Forms

BF16_FORMS = ("phases-bf16", "bf16")
"""TensorRT-RTX 1.7 finds no type for a transposed convolution in bfloat16; as plain convolutions it builds."""

_NOT_A_GPU = ("NONE", "CURRENT")


@dataclass(frozen=True)
class Flavour:
    """One of the two products.

    Attributes:
        api: the package's module.
        name: as `--backend` and `--target` take it.
        product: as NVIDIA calls it.
        forms: of the graphs that it can run, by precision.
        extra: of ganspect, which brings it and cuda-python.
        portable: an engine is for GPUs by their compute capability and can be built where there is none.
    """

    api: Any
    name: str
    product: str
    forms: Forms
    extra: str
    portable: bool

    @property
    def version(self) -> str:
        """Return the version of the package in full."""
        return str(self.api.__version__)

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of GPU that engines can be built for ahead of time: `sm86` and the like."""
        if not self.portable:
            return ()
        return tuple(name.lower() for name in self.api.ComputeCapability.__members__ if name not in _NOT_A_GPU)

    def parse_kinds(self, text: str) -> tuple[str, ...]:
        """Return the kinds of GPU in `sm86,sm120`, in order and each once.

        Raises:
            ConfigError: one is unknown, or engines of this flavour are built on the device only.
        """
        known = self.kinds()
        if not known:
            raise ConfigError(
                f"{self.product} builds engines on the GPU that runs them, not for {text!r} ahead of time; "
                f"give --target {self.name} there, or --target tensorrt-rtx:{text}"
            )
        for kind in (asked := text.lower().split(",")):
            if kind not in known:
                raise ConfigError(
                    f"{self.product} {self.version} cannot build for {kind!r}; expected one of {', '.join(known)}"
                )
        return tuple(dict.fromkeys(asked))


class Messages:
    """What an object of TensorRT had to say: kept instead of printed, so that an error can be one sentence.

    Attributes:
        logger: to create builders and runtimes with; it must live as long as they do.
    """

    def __init__(self, api: Any) -> None:
        """Make a logger of the package."""
        errors: list[str] = []
        serious = api.ILogger.ERROR

        class Logger(api.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                api.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity <= serious:
                    errors.append(message)

        self.logger = Logger()
        self._errors = errors

    def first(self) -> str:
        """Return the first error on one line, without where in TensorRT's source it arose."""
        return tidied(self._errors[0]) if self._errors else "it gave no reason"


def tidied(message: str) -> str:
    """Return a message of TensorRT on one line, without source files and error numbers."""
    line = " ".join(message.partition("[checkMacros")[0].split())
    line = re.sub(r"\S+: Error Code \d+: |\s*In \S+ at \S+:\d+", " ", line)
    return " ".join(line.replace(" )", ")").replace("()", " ").replace("( (", "(").split())[:400]
