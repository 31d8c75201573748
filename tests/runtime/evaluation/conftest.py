"""One evaluation of the tiny bundle, made once and looked at by many tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ganspect.runtime.evaluation import evaluate_bundle


class Report(NamedTuple):
    """What an evaluation wrote and returned."""

    folder: Path
    metrics: dict[str, Any]


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, mvtec_folder: Path) -> Report:
    """Search mode with a curve of all twelve images."""
    out = tmp_path_factory.mktemp("evaluations") / "report"
    metrics = evaluate_bundle(tiny_bundle, str(mvtec_folder), out, curve=True, curve_iterations=(1, 3, 5))
    return Report(out, metrics)


@pytest.fixture
def changed_manifest(copy: Callable[[Path], Path]) -> Callable[..., Path]:
    """Return a function that copies a bundle and sets keys of a section of its manifest."""

    def change(bundle: Path, section: str, **keys: Any) -> Path:
        copied = copy(bundle)
        manifest = json.loads((copied / "manifest.json").read_text())
        manifest[section].update(keys)
        (copied / "manifest.json").write_text(json.dumps(manifest))
        return copied

    return change
