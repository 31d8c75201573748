"""The backend by its name; the module of each is imported only when it is asked for.

backend = open_backend("onnxruntime", open_bundle(Path("bundle")), threads=2)
"""

from ganspect.bundle import Bundle
from ganspect.config import nearest
from ganspect.errors import ConfigError, MissingDependencyError
from ganspect.runtime.backends.backend import Backend

BACKENDS = ("onnxruntime",)
"""Every name that `open_backend` takes."""


def open_backend(name: str, bundle: Bundle, *, threads: int | None = None) -> Backend:
    """Open a backend on a bundle; graphs are loaded when first run.

    Args:
        name: one of `BACKENDS`.
        bundle: an opened bundle.
        threads: that one graph may use; None: as many as this process may run on.

    Raises:
        ConfigError: there is no backend of that name, or `threads` is less than 1.
        MissingDependencyError: its package is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}; {nearest(name, list(BACKENDS))}")
    if threads is not None and threads < 1:
        raise ConfigError(f"{threads} threads were asked for; give 1 or more, or leave it out for all cores")
    try:
        from ganspect.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
    except ImportError as error:
        raise MissingDependencyError("ONNX Runtime is not installed; run: pip install 'ganspect[cpu]'") from error
    return OnnxRuntimeCpu(bundle, threads=threads)
