"""All targets, by name; one more is one more line.

targets = every_target(folder)
"""

from collections.abc import Callable
from pathlib import Path

from fuzzing import bundles, commands, page, records, settings, sources
from fuzzing.target import Target

MAKERS: dict[str, Callable[[Path], Target]] = {
    "manifest.json": bundles.manifest,
    "calibration.json": bundles.calibration,
    "safetensors": bundles.tensors,
    "engines.json": bundles.engines,
    "verification.json": bundles.verification,
    "recipe": settings.recipe,
    "station file": settings.station_file,
    "results.jsonl": records.results,
    "metrics.json": records.curve,
    "history.sqlite": records.history,
    "times": records.times,
    "addresses": sources.address,
    "pictures": sources.picture,
    "folders": sources.folder_of_pictures,
    "watched folders": sources.watched,
    "videos": sources.movie,
    "streams": sources.stream,
    "command line": commands.command_line,
    "page": page.requests,
}
"""By the target's name what makes it in an empty folder of its own."""
