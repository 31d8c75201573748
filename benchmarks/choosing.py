"""What the general recipe in feature space should have: candidates compared by drawn defects, never by test labels.

    python benchmarks/choosing.py --data DATA --out benchmarks/results

Each candidate is `ganspect train configs/linear_features.yaml` with some settings more, and its figure the AUROC of
drawn against normal images that its choice ended with, in folds, so on images that nothing was fitted to (run.json).
Writes choosing.json. Seeds 0 and 1 are those that recipes are developed on.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drawn_sets import ROOT, SOURCES, compare, parser_of

RECIPE = "configs/linear_features.yaml"

CANDIDATES = {
    "as it is": [],
    "mirrored copies too": ["data.flips=[horizontal,vertical]"],
    "96 channels": ["backbone.channels=96"],
    "blocks 4 and 10": ["backbone.layers=[4,10]"],
    "blocks 2 and 4": ["backbone.layers=[2,4]"],
    "half of the image's level taken out": ["choice.relatives=[0.5]"],
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
    """Run from the command line; status 2 on bad input."""
    given = parser_of("Compare candidates for the general recipe by drawn defects.").parse_args(arguments)

    def measure(name: str, source: str) -> dict[str, Any]:
        found = {}
        for candidate, settings in CANDIDATES.items():
            found[candidate] = train(source, [*SOURCES[name], *settings])
            print(f"{name}: {candidate}: {found[candidate]['auroc']:.4f}", flush=True)
        return found

    return compare("choosing", given, measure, recipe=RECIPE, candidates=CANDIDATES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
