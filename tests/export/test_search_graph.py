"""The search graph's promises: chunks compose, done rows are frozen, memory does not grow with steps."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ganspect.export.graphs import graph_builders
from tests.export.toy import SIZES, Toy, toy_formulas

State = dict[str, np.ndarray[Any, Any]]
FIELDS = ("latent", "adam_m", "adam_v", "step", "best_score", "best_latent")


def start(rows: int, part: list[int] | None = None, seed: int = 0) -> State:
    random = np.random.default_rng(seed)
    latent = random.standard_normal((rows, 8)).astype(np.float32)
    return {
        "image": random.integers(0, 256, (rows, 12, 16, 3), np.uint8),
        "latent": latent,
        "adam_m": np.zeros_like(latent),
        "adam_v": np.zeros_like(latent),
        "step": np.zeros(rows, np.int64),
        "best_score": np.full(rows, np.inf, np.float32),
        "best_latent": latent.copy(),
        "part": np.array(part if part is not None else range(rows), np.int64),
    }


def search(session: onnxruntime.InferenceSession, state: State, steps: int, threshold: float = -np.inf) -> State:
    limits = {"steps": np.array(steps, np.int64), "threshold": np.array(threshold, np.float32)}
    outputs = session.run([f"{name}_out" for name in FIELDS], state | limits)
    return state | dict(zip(FIELDS, outputs, strict=True))


def assert_same(first: State, second: State, rows: slice = slice(None)) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(first[name][rows], second[name][rows], err_msg=name)


def middle_threshold(session: onnxruntime.InferenceSession, state: State) -> float:
    return float(np.median(search(session, state, 25)["best_score"]))


@pytest.mark.parametrize("early_exit", [False, True])
def test_five_chunks_of_ten_are_one_call_of_fifty(
    search_session: onnxruntime.InferenceSession, early_exit: bool
) -> None:
    state = start(6, part=[0, 0, 1, 2, 2, 3])
    threshold = middle_threshold(search_session, state) if early_exit else -np.inf
    whole = search(search_session, state, 50, threshold)
    pieces = state
    for _ in range(5):
        pieces = search(search_session, pieces, 10, threshold)
    assert_same(whole, pieces)
    used = set(whole["step"].tolist())
    assert used == {50} if not early_exit else min(used) < 50


def test_done_rows_and_their_part_are_frozen(search_session: onnxruntime.InferenceSession) -> None:
    state = start(4, part=[0, 0, 1, 2])
    state["best_score"] = np.array([0.0, 0.9, 0.9, 0.9], np.float32)
    after = search(search_session, state, 5, threshold=0.001)
    assert_same(state, after, slice(0, 2))
    assert after["step"].tolist() == [0, 0, 5, 5]
    assert not np.array_equal(after["latent"][2:], state["latent"][2:])


def test_a_row_does_not_depend_on_done_rows_beside_it(search_session: onnxruntime.InferenceSession) -> None:
    state = start(4)
    threshold = middle_threshold(search_session, state)
    with_exit, without = search(search_session, state, 30, threshold), search(search_session, state, 30)
    kept = with_exit["best_score"] > threshold
    assert 0 < kept.sum() < 4
    np.testing.assert_array_equal(with_exit["best_score"][kept], without["best_score"][kept])
    np.testing.assert_array_equal(with_exit["best_score"] <= threshold, without["best_score"] <= threshold)


def test_loop_ends_when_every_row_is_done(search_session: onnxruntime.InferenceSession) -> None:
    after = search(search_session, start(3), 1_000_000, threshold=1e9)
    assert after["step"].tolist() == [1, 1, 1]
    again = search(search_session, after, 1_000_000, threshold=1e9)
    assert_same(after, again)


def test_nan_never_clears(search_session: onnxruntime.InferenceSession) -> None:
    state = start(2)
    state["latent"][0] = np.nan
    after = search(search_session, state, 3, threshold=1e9)
    assert after["best_score"][0] == np.inf
    assert after["step"].tolist() == [3, 1]


def test_search_lowers_the_score(search_session: onnxruntime.InferenceSession) -> None:
    state = start(5)
    first, later = search(search_session, state, 1), search(search_session, state, 60)
    assert (later["best_score"] <= first["best_score"]).all()
    assert later["best_score"].mean() < first["best_score"].mean()


_PEAK = """
import resource, sys
import numpy as np, onnxruntime
sys.path.insert(0, sys.argv[3])
from tests.export.test_search_graph import search, start
session = onnxruntime.InferenceSession(sys.argv[1])
search(session, start(32), int(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_steps(search_file: Path) -> None:
    root = str(Path(__file__).parents[2])

    def peak_kb(steps: int) -> int:
        arguments = [sys.executable, "-c", _PEAK, str(search_file), str(steps), root]
        return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)

    assert peak_kb(500) <= peak_kb(10) * 1.10


def test_a_latent_that_the_generator_ignores_stays_where_it_is(tmp_path: Path) -> None:
    """Its gradient is 0, and Adam's epsilon, which graph optimizers like to drop, must keep 0 / 0 away."""
    toy = Toy()
    with torch.no_grad():
        toy.generator[0].weight[:, 2] = 0
    step = graph_builders(toy_formulas(toy), SIZES)["step"]()
    onnx.save(step, tmp_path / "step.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    state = after = start(3)
    for _ in range(10):
        outputs = session.run([f"{name}_out" for name in FIELDS], after | {"threshold": np.array(-np.inf, np.float32)})
        after = after | dict(zip(FIELDS, outputs, strict=True))
    np.testing.assert_array_equal(after["latent"][:, 2], np.clip(state["latent"][:, 2], -2.5, 2.5))
    assert np.isfinite(after["latent"]).all()
    assert (after["latent"][:, 3] != state["latent"][:, 3]).all()
