"""A backend that gets ready in the background, while another one already gives verdicts.

TensorRT may build engines for minutes when it first meets a device. The line need not wait:

    Inspector.load("bundle", backend="tensorrt", meanwhile="onnxruntime")
"""

import threading
from collections.abc import Callable

from ganspect.progress import print_warning
from ganspect.runtime.search import LatentSearch


class Upcoming:
    """Opens and warms up a search in a thread of its own; it is taken once, when it is ready."""

    def __init__(self, make: Callable[[], LatentSearch], name: str) -> None:
        """Begin.

        Args:
            make: returns the search, its graphs loaded and run once.
            name: of the backend, for the warning if that fails.
        """
        self._made: LatentSearch | None = None
        self._error: Exception | None = None
        self._make, self._name = make, name
        self._thread = threading.Thread(target=self._run, name=f"opening {name}", daemon=True)
        self._thread.start()

    def take(self) -> LatentSearch | None:
        """Return the search when it is ready, and only then; a failure is said once and the other backend stays."""
        if self._thread.is_alive():
            return None
        if self._error is not None:
            print_warning(f"{self._name} cannot be opened, what runs now goes on: {self._error}")
            self._error = None
        made, self._made = self._made, None
        return made

    def close(self) -> None:
        """Wait until it is ready or has failed, and free it if nobody took it."""
        self._thread.join()
        made = self.take()
        if made is not None:
            made.backend.close()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until it is ready or has failed."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._made = self._make()
        except Exception as error:
            self._error = error
