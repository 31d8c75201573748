"""Which file of a graph a backend runs: the form that it is fastest on, in the precision that was asked for.

path = graph_file(bundle, "search", "bf16", {"fp32": ("phases",), "bf16": ("phases-bf16", "bf16")})
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from ganspect.bundle import Bundle
from ganspect.errors import BundleError, ConfigError
from ganspect.records import Precision

Forms: TypeAlias = Mapping[Precision, tuple[str, ...]]
"""By precision, the forms that a backend takes, best first; in fp32 the plain graph is taken where none is there."""


def graph_file(bundle: Bundle, graph: str, precision: Precision, forms: Forms) -> Path:
    """Return the file of a graph to run; one without layers to lower is the same file in every precision.

    Raises:
        BundleError: the bundle has no such graph.
    """
    return bundle.graph_path(graph, *forms[precision], *forms["fp32"])


def held_precisions(bundle: Bundle, forms: Forms) -> tuple[Precision, ...]:
    """Return the precisions of a backend that a bundle has graphs of, fp32 first."""
    return tuple(name for name, wanted in forms.items() if name == "fp32" or bundle.has_variant(*wanted))


def require_precision(bundle: Bundle, precision: Precision, forms: Forms, backend: str) -> None:
    """Refuse a precision that a backend has not, or that the bundle has no graphs of.

    Raises:
        ConfigError: the backend has not.
        BundleError: the bundle has none.
    """
    if precision not in forms:
        raise ConfigError(f"{backend} does not run {precision}; it runs {', '.join(forms)}")
    held = held_precisions(bundle, forms)
    if precision not in held:
        raise BundleError(
            f"{bundle.folder} has no {precision} graphs for {backend}, only {', '.join(held)}; make them with: "
            f"ganspect export RUN --out {bundle.folder} --precision {precision}"
        )
