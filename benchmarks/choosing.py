"""What the general recipe in feature space should have: candidates compared by drawn defects, never by test labels.

    python benchmarks/choosing.py --data DATA --out benchmarks/results

Each candidate is `ganspect train configs/linear_features.yaml` with some settings more, and its figure the AUROC of
drawn against normal images that its choice ended with, in folds, so on images that nothing was fitted to (run.json).
Writes choosing.json. Seeds 0 and 1 are those that recipes are developed on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganspect.files import require_writable, write_json
from ganspect.runtime.machine import machine

ROOT = Path(__file__).parents[1]
RECIPE = "configs/linear_features.yaml"

SOURCES = {"elpv:mono": [], "elpv:poly": [], "magtile": [], "aliens": ["image.channels=3"]}
"""Data sets, a folder's name being looked for in the data folder, and what they need."""

CANDIDATES = {
    "as it is": [],
    "mirrored copies too": ["data.flips=[horizontal,vertical]"],
    "96 channels": ["backbone.channels=96"],
    "blocks 4 and 10": ["backbone.layers=[4,10]"],
    "blocks 2 and 4": ["backbone.layers=[2,4]"],
}


def train(source: str, settings: Sequence[str]) -> dict[str, Any]:
    """Train a candidate and return what its choice found."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = ["train", str(ROOT / RECIPE), "--out", str(out), "--set", f"data.source={source}"]
        command += [part for setting in settings for part in ("--set", setting)]
        code = [sys.executable, "-c", "from ganspect.cli import main; main()", *command]
        subprocess.run(code, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        choice: dict[str, Any] = json.loads((out / "run.json").read_text(encoding="utf-8"))["choice"]
    return {key: choice[key] for key in ("auroc", "settings", "images", "drawn")}


def main(arguments: Sequence[str]) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Compare candidates for the general recipe by drawn defects.")
    parser.add_argument("--data", type=Path, default=os.environ.get("GANSPECT_DATA"), metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", metavar="DIR")
    parser.add_argument("--only", default="", metavar="TEXT", help="data sets with this in their names")
    given = parser.parse_args(arguments)
    require_writable(given.out)
    path = given.out / "choosing.json"
    found: dict[str, dict[str, Any]] = {}
    if given.only and path.exists():  # what was measured of the other data sets stays
        found = json.loads(path.read_text(encoding="utf-8"))["drawn_auroc"]
    for name, needed in SOURCES.items():
        source = name if ":" in name or given.data is None else str(given.data / name)
        if given.only not in name:
            continue
        found[name] = {}
        for candidate, settings in CANDIDATES.items():
            found[name][candidate] = train(source, [*needed, *settings])
            print(f"{name}: {candidate}: {found[name][candidate]['auroc']:.4f}", flush=True)
    content = {"benchmark": "choosing", "recipe": RECIPE, "candidates": CANDIDATES, "drawn_auroc": found}
    write_json(path, content | {"environment": machine()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
