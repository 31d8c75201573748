from pathlib import Path

import onnx
import onnxruntime
import pytest

from ganspect.export.graphs import graph_builders
from tests.export.toy import ROBUST, SIZES, Toy, toy_formulas, write_toy_graphs


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="session")
def toy_folder(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_toy_graphs(toy, folder)
    return folder


@pytest.fixture(scope="session", params=["absolute", *ROBUST])
def search_file(
    request: pytest.FixtureRequest, toy: Toy, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The search graph with each loss."""
    if request.param == "absolute":
        return toy_folder / "search.onnx"
    path = tmp_path_factory.mktemp(request.param) / "search.onnx"
    onnx.save(graph_builders(toy_formulas(toy, search=ROBUST[request.param]), SIZES)["search"](), path)
    return path


@pytest.fixture(scope="session")
def search_session(search_file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(search_file, providers=["CPUExecutionProvider"])
