"""One benchmark of the tiny bundle beside PyTorch, made once and looked at by many tests."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ganspect.runtime.bench import BenchOptions, bench_bundle

CURVE = {"iterations": [1, 5], "encoder_start": [0.7, 0.9], "random_start": [0.5, 0.6]}


class Benchmark(NamedTuple):
    """What a benchmark wrote and returned."""

    folder: Path
    content: dict[str, Any]

    @property
    def page(self) -> str:
        return (self.folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def benchmark(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, tiny_run: Path, mvtec_folder: Path
) -> Benchmark:
    """ONNX Runtime at batch 1 and 2 on labelled images beside PyTorch, where no C++ compiler works."""
    folder = tmp_path_factory.mktemp("benchmarks")
    (folder / "metrics.json").write_text(json.dumps({"curve": CURVE}))
    options = BenchOptions(
        backends=("onnxruntime",),
        precisions=("fp32",),
        batches="2,1",
        against=tiny_run,
        seconds=0.01,
        data=str(mvtec_folder),
        metrics=folder / "metrics.json",
    )
    with pytest.MonkeyPatch.context() as patch:
        for module in ("rounds", "record"):
            patch.setattr(f"ganspect.runtime.bench.{module}.ROUNDS", 2)
        patch.setenv("CXX", "no-such-compiler")
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
        content = bench_bundle(tiny_bundle, folder / "bench", options)
    return Benchmark(folder / "bench", content)
