"""A station whose history is full while a file is there, by SQLite's own limit of pages, where no disk can be mounted.

python benchmarks/station_rig/limited.py FLAG run station.yaml
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ganspect.cli import main
from ganspect.runtime.history import Entry, History

_NO_LIMIT = 1_073_741_823


def limit_by(flag: Path) -> None:
    """Let each history of this process be full while a file is there."""
    append = History.append

    def limited(self: History, entries: Sequence[Entry]) -> None:
        # SQLite takes a limit under the present size as the present size: not one page more.
        self._connection.execute(f"PRAGMA max_page_count = {1 if flag.exists() else _NO_LIMIT}")
        append(self, entries)

    History.append = limited  # type: ignore[method-assign]


if __name__ == "__main__":
    limit_by(Path(sys.argv[1]))
    sys.argv = ["ganspect", *sys.argv[2:]]
    main()
