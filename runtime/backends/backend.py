"""What every backend is, so that nothing else in the runtime knows an inference engine.

with open_backend("onnxruntime", bundle) as backend:
    print(backend.version)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ganspect.records import Precision

Arrays: TypeAlias = Mapping[str, np.ndarray[Any, np.dtype[Any]]]
"""Arrays by the name of a graph's input or output."""

BackendT = TypeVar("BackendT", bound="Backend")


class Backend(ABC):
    """Runs the graphs of one bundle.

    Attributes:
        name: as `--backend` takes it.
        version: of the inference engine, for reports.
        precision: of the convolutions.
        device: what it runs on, for reports: `CPU`, or a GPU's name.
    """

    name: str
    version: str
    precision: Precision
    device: str

    @abstractmethod
    def run(self, graph: str, inputs: Arrays) -> Arrays:
        """Run a graph.

        Args:
            graph: name in `Manifest.graphs`; it is loaded when first run.
            inputs: every input of the graph, C-contiguous, with the dtypes of the bundle's contract.

        Returns:
            Every output, in new arrays.

        Raises:
            BundleError: the bundle has no such graph, or the engine cannot load it.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the graphs; the backend cannot run afterwards."""

    def __enter__(self: BackendT) -> BackendT:
        """Return the backend."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the graphs."""
        self.close()
