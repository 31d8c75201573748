"""An import that fails becomes the sentence that says which extra of ganspect brings the package.

with extra("report"):
    import matplotlib
"""

import contextlib
from collections.abc import Iterator

from ganspect.errors import MissingDependencyError


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Import optional packages in the block; a module of ganspect's own that is missing is no missing package.

    Raises:
        MissingDependencyError: a package is not installed; names the extra.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "ganspect"):
            raise
        raise MissingDependencyError(f"{package} is not installed; run: pip install 'ganspect[{name}]'") from error
