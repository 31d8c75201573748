"""The data sets that settings are compared on by drawn defects, and what the scripts that do so have in common.

choosing.py, negatives.py and robust_search.py: `--data`, `--out` and `--only`, figures under `drawn_auroc` by the data
set's name, those of other data sets kept, and one sentence and status 2 where something is wrong.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganspect.errors import ConfigError, GanspectError
from ganspect.files import require_writable, write_json
from ganspect.runtime.machine import machine

ROOT = Path(__file__).parents[1]

SOURCES = {"elpv:mono": [], "elpv:poly": [], "magtile": [], "aliens": ["image.channels=3"]}
"""Data sets, a folder's name being looked for in the data folder, and what recipes need for them."""

Measure = Callable[[str, str], dict[str, Any]]
"""Takes a data set's name in `SOURCES` and the source as commands take it; returns its figures."""


def parser_of(description: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that the scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=os.environ.get("GANSPECT_DATA"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="data sets with this in their names")
    return parser


def asked_for(only: str) -> list[str]:
    """Return the names of the data sets that have a text in them.

    Raises:
        ConfigError: none has.
    """
    names = [name for name in SOURCES if only in name]
    if not names:
        raise ConfigError(f"no data set has {only!r} in its name; the names are {', '.join(SOURCES)}")
    return names


def compare(benchmark: str, given: argparse.Namespace, measure: Measure, **content: Any) -> int:
    """Measure the data sets that were asked for, write BENCHMARK.json after each, and return the exit status.

    Args:
        benchmark: name of the script.
        given: the arguments of `parser_of`.
        measure: measures one data set.
        content: what the file holds beside the figures.
    """
    try:
        path = require_writable(given.out) / f"{benchmark}.json"
        found = json.loads(path.read_text(encoding="utf-8"))["drawn_auroc"] if path.exists() else {}
        for name in asked_for(given.only):
            source = name if ":" in name or given.data is None else str(given.data / name)
            found[name] = measure(name, source)
            in_order = {one: found[one] for one in SOURCES if one in found}
            written = {"benchmark": benchmark, **content, "drawn_auroc": in_order, "environment": machine()}
            write_json(path, written)
    except GanspectError as error:
        print(f"{benchmark}: {error}", file=sys.stderr)
        return 2
    return 0
