from pathlib import Path

import onnxruntime
import pytest

from tests.export.toy import Toy, write_toy_graphs


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="session")
def toy_folder(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_toy_graphs(toy, folder)
    return folder


@pytest.fixture(scope="session")
def search_session(toy_folder: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(toy_folder / "search.onnx", providers=["CPUExecutionProvider"])
