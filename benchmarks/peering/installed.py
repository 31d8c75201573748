"""What is installed for a package, with all that it needs: bytes and versions; runs inside the environment itself.

    python -m peering.installed 'anomalib[openvino]' torch

Prints one JSON object, a distribution each: {"numpy": {"version": "2.4.6", "bytes": 71303168}}. Byte code is left out,
since whether it is there depends on what was run. Needs pip, which every new environment has.
"""

import json
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name


def closure(roots: Sequence[str]) -> dict[str, metadata.Distribution]:
    """Return the distributions that requirements name and all that those need here, by name.

    Raises:
        PackageNotFoundError: one of the roots is not installed.
    """
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    wanted = [Requirement(root) for root in roots]
    for requirement in wanted:
        metadata.distribution(requirement.name)
    while wanted:
        requirement = wanted.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # pip left it out, since a marker says so
        for text in found[name].requires or []:
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                wanted.append(needed)
    return found


def size_bytes(distribution: metadata.Distribution) -> int:
    """Return the bytes of a distribution's files, byte code left out."""
    paths = [file.locate() for file in distribution.files or [] if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]


def described(roots: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return version and bytes of each distribution of `closure`."""
    found = closure(roots)
    return {name: {"version": one.version, "bytes": size_bytes(one)} for name, one in sorted(found.items())}


if __name__ == "__main__":
    print(json.dumps(described(sys.argv[1:])))
