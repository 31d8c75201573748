import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ganspect.bundle import open_bundle
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.tuning import Tuning
from ganspect.runtime.search import LatentSearch

SCRIPT = Path(__file__).parents[3] / "benchmarks/early_exit.py"


@pytest.fixture(scope="module")
def early_exit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("early_exit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["tiny_bundle", "tiny_anogan_bundle"])
@pytest.mark.parametrize("batch", [1, 5, 16])
def test_exit_changes_no_bit_of_what_goes_on_and_no_verdict(
    request: pytest.FixtureRequest, early_exit: ModuleType, tiles: np.ndarray, kind: str, batch: int
) -> None:
    bundle = open_bundle(request.getfixturevalue(kind))
    with open_backend("onnxruntime", bundle, tuning=Tuning(threads=1)) as backend:
        search = LatentSearch(bundle, backend)
        scores = search.full(tiles, steps=12).score
        for threshold in (np.quantile(scores, 0.25), np.quantile(scores, 0.75)):
            compared = early_exit.compare_at_equal_batch(
                backend,
                tiles,
                search.starts(len(tiles), search.score(tiles)),
                threshold=float(threshold),
                steps=12,
                maps=bundle.pixel_inputs("search"),
                batch=batch,
            )
            assert 0 < compared.cleared < compared.tiles == 16
            assert compared.identical == compared.tiles - compared.cleared
            assert compared.verdicts_differ == 0
            assert compared.same
            assert compared.steps_with_exit < 12 * compared.tiles


def test_script_counts_iterations_and_flips(
    early_exit: ModuleType, tiny_bundle: Path, mvtec_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert early_exit.main([str(tiny_bundle), str(mvtec_folder), "--out", str(tmp_path), "--threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads((tmp_path / "early_exit.json").read_text())
    assert result["equal_batch"]["same"]
    assert result["images"] == {"normal": 6, "anomalous": 6}
    assert [flips["batch"] for flips in result["verdict_flips"]] == [1, 5, 16]
    for label in ("normal", "anomalous", "all"):
        iterations = result["iterations"][label]
        assert iterations["times_fewer"] == pytest.approx(5 / iterations["with_exit"])
        assert 1 <= iterations["with_exit"] <= 5


def test_script_ends_with_one_sentence_on_bad_input(
    early_exit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert early_exit.main([str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "is no bundle" in capsys.readouterr().err
