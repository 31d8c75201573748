"""A short form of benchmarks/fuzz.py: the same kinds of inputs, always the same ones."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from ganspect.errors import GanspectError

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from fuzzing import target as fuzzed
    from fuzzing.every import MAKERS


@pytest.mark.parametrize("name", list(MAKERS))
def test_wrong_inputs_end_with_a_sentence(name: str, tmp_path: Path):
    inside = tmp_path / fuzzed.INSIDE
    inside.mkdir()
    target = MAKERS[name](inside)
    kinds = []

    @settings(
        max_examples=target.examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.strategy)
    def one(value: object) -> None:
        outcome = fuzzed.attempt(target, value, tmp_path)
        assert outcome.kind != "finding", f"{outcome.place}: {outcome.message}"
        kinds.append(outcome.kind)

    one()
    assert len(kinds) >= target.examples // 2


def _raising(error: Exception) -> fuzzed.Target:
    def run(value: object) -> None:
        print("nothing")
        raise error

    return fuzzed.Target("raising", None, run, limit_s=0.05)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (GanspectError("no"), "refused", "no"),
        (GanspectError(""), "finding", "the message is empty"),
        (ValueError("x"), "finding", "ValueError: x"),
        (RecursionError("deep"), "finding", "RecursionError: deep"),
        (MemoryError(), "finding", "MemoryError"),
    ],
)
def test_what_is_no_sentence_is_a_finding(error: Exception, kind: str, message: str, tmp_path: Path):
    outcome = fuzzed.attempt(_raising(error), None, tmp_path)
    assert (outcome.kind, outcome.message[: len(message)]) == (kind, message)


def test_what_hangs_is_a_finding(tmp_path: Path):
    def run(value: object) -> None:
        while True:
            pass

    outcome = fuzzed.attempt(fuzzed.Target("hanging", None, run, limit_s=0.05), None, tmp_path)
    assert outcome.kind == "finding"
    assert "longer than" in outcome.message


def test_a_file_written_elsewhere_is_a_finding(tmp_path: Path):
    target = fuzzed.Target("writing", None, lambda value: (tmp_path / "elsewhere").write_text("x"))
    assert fuzzed.attempt(target, None, tmp_path).place == "sandbox"


def test_a_printed_secret_is_a_finding(tmp_path: Path):
    target = fuzzed.Target("printing", None, lambda value: print(fuzzed.SECRET))
    assert fuzzed.attempt(target, None, tmp_path).message == "a secret was printed"


def test_the_script_saves_a_finding_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import fuzz
    from hypothesis import strategies

    def run(value: bytes) -> None:
        if value == b"bad":
            raise KeyError(value)
        raise GanspectError(f"{len(value)} bytes")

    target = fuzzed.Target("counted", strategies.sampled_from((b"bad", b"good")), run)
    tally = fuzz.fuzz(target, tmp_path, seconds=0.2, first_seed=0, out=tmp_path)
    assert tally.inputs == tally.refused + next(iter(tally.findings.values()))["count"] >= 2
    assert (tmp_path / "counted-1").read_bytes() == b"bad"
    assert tally.to_dict()["distinct_messages"] == 1
