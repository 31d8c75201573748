import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ganspect.errors import OutputError
from ganspect.files import write_json
from ganspect.progress import progress_bar
from tests.conftest import TINY_RECIPE


def test_no_published_suite_uses_a_seed_that_recipes_were_developed_on(tmp_path: Path):
    from suites import read_suites

    path = tmp_path / "suites.yaml"
    path.write_text(
        "one: {title: One, about: x, cases: [{recipe: configs/fanogan.yaml, data: ['elpv:mono'], seeds: [1, 2]}]}\n"
    )
    with pytest.raises(ValueError, match=r"would publish seeds that were developed on: \[1\]"):
        read_suites(path)


def test_every_recipe_of_a_suite_exists():
    from suites import ROOT, read_suites

    cases = [case for suite in read_suites().values() for case in suite.cases]
    assert cases
    assert all((ROOT / case.recipe).is_file() for case in cases)


def test_runs_come_seed_by_seed_and_have_names_of_their_own():
    from suites import Case, Suite

    cases = [
        Case(recipe=Path("configs/fanogan.yaml"), data=["mnist:1", "mnist:2"], seeds=[2, 3]),
        Case(recipe=Path("configs/anogan.yaml"), data=["parts.npz"], seeds=[2]),
    ]
    runs = list(Suite(title="t", about="a", cases=cases).runs())
    assert [run.seed for run in runs] == [2, 2, 2, 3, 3]
    assert len({run.name for run in runs}) == 5
    assert runs[2].name == "anogan__parts__seed2"
    assert runs[2].source(Path("/data")) == "/data/parts.npz"


def bench_and_run(tmp_path: Path, **settings: object) -> tuple[Any, Any]:
    from detection import Bench
    from suites import Case, Run

    case = Case(recipe=Path("configs/fanogan.yaml"), data=["mnist:1"], seeds=[2], **settings)
    return Bench("suite", tmp_path, tmp_path / "work", None, keep=False), Run(case, "mnist:1", 2)


def made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def make(bench: Any, run: Any) -> dict[str, Any]:
    with progress_bar() as progress:
        return bench.run(run, progress, progress.add_task("suite", total=1, detail=""))


def test_a_run_that_is_done_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import detection
    from detection import settings_of

    monkeypatch.setattr(detection, "_call", lambda *_: pytest.fail("a command was run"))
    bench, run = bench_and_run(tmp_path)
    result = {**settings_of(run), "seed": 2}
    write_json(made(tmp_path / "detection/suite") / f"{run.name}.json", result)
    assert make(bench, run) == result


def test_a_result_or_a_begun_run_of_other_settings_is_never_taken_for_the_suites(tmp_path: Path):
    from detection import settings_of

    bench, run = bench_and_run(tmp_path, overrides=("search.steps=9",))
    result = made(tmp_path / "detection/suite") / f"{run.name}.json"
    write_json(result, {**settings_of(run), "overrides": []})
    with pytest.raises(OutputError, match="other settings than the suite and its recipe have now; delete"):
        make(bench, run)
    result.write_text("[1")
    with pytest.raises(OutputError, match="is not a result of this benchmark; delete it"):
        make(bench, run)
    result.unlink()
    begun = made(tmp_path / "work/suite" / run.name)
    (begun / "train.done").touch()
    for _ in ("settings that nobody wrote down", "other settings"):
        with pytest.raises(OutputError, match="was begun with other settings than the suite has now; delete"):
            make(bench, run)
        write_json(begun / "settings.json", {"overrides": []})


def test_a_changed_recipe_file_is_another_setting(tmp_path: Path):
    from detection import settings_of
    from suites import Case, Run

    recipe = tmp_path / "a.yaml"
    run = Run(Case(recipe=recipe, data=["mnist:1"], seeds=[2]), "mnist:1", 2)
    digests = []
    for text in ("system: fanogan\n", "# a remark\nsystem: fanogan\n", "system: fanogan\nsearch: {steps: 9}\n"):
        recipe.write_text(text)
        digests.append(settings_of(run)["recipe_sha256"])
    assert digests[0] == digests[1] != digests[2]
    for text in ("{residual: absolute}", "{trimmed_share: 0.3}"):  # which changes nothing of that loss
        recipe.write_text(f"system: fanogan\nsearch: {text}\n")
        assert settings_of(run)["recipe_sha256"] == digests[0]
    recipe.write_text("system: fanogan\nsearch: {residual: trimmed}\n")
    assert settings_of(run)["recipe_sha256"] not in digests


@pytest.mark.parametrize(("suite", "words"), [("elvp", "no suite 'elvp'; did you mean 'elpv'"), (None, "no suite was")])
def test_a_suite_that_is_not_there_is_one_sentence(suite: str | None, words: str, capsys: pytest.CaptureFixture[str]):
    from detection import main

    assert main([] if suite is None else [suite]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_step_that_failed_is_said_and_taken_again_and_one_that_was_done_is_not(tmp_path: Path):
    from detection import CommandError, _call

    with pytest.raises(CommandError, match=r"'ganspect sing' ended with status 2: .*no such command 'sing'"):
        _call(tmp_path, "train", ["sing"])
    first = float((tmp_path / "train.seconds").read_text())
    _call(tmp_path, "train", ["--version"])
    second = float((tmp_path / "train.seconds").read_text())
    assert second > first > 0
    _call(tmp_path, "train", ["sing"])
    assert float((tmp_path / "train.seconds").read_text()) == second


def test_a_missing_data_folder_is_one_sentence(capsys: pytest.CaptureFixture[str]):
    from detection import main

    assert main(["elpv", "--data", "/nowhere"]) == 2
    assert "the data folder /nowhere does not exist" in capsys.readouterr().err


def test_a_suite_trains_exports_and_evaluates_and_goes_on_where_it_stopped(
    tmp_path: Path, mvtec_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import detection
    from suites import Case, Suite

    short = {"steps": 2, "batch_size": 4}
    recipe = {
        **TINY_RECIPE,
        "system": "fanogan",
        "training": {**TINY_RECIPE["training"], "gan": short, "encoder": short},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    case = Case(recipe=tmp_path / "tiny.yaml", data=[str(mvtec_folder)], seeds=[2], overrides=("search.steps=2",))
    monkeypatch.setattr(detection, "read_suites", lambda: {"tiny": Suite(title="Tiny", about="a test", cases=[case])})
    arguments = ["tiny", "--out", str(tmp_path / "results"), "--work", str(tmp_path / "work")]
    commands = []
    call = detection._call

    def counted(folder: Path, name: str, arguments: list[str]) -> None:
        commands.append(name)
        if commands == ["train", "export"]:
            raise KeyboardInterrupt
        call(folder, name, arguments)

    monkeypatch.setattr(detection, "_call", counted)
    assert detection.main(arguments) == 130
    assert detection.main(arguments) == 0
    assert commands == ["train", "export", "train", "export", "evaluate"]
    printed = capsys.readouterr().out
    assert "| `tiny` |" in printed
    (path,) = (tmp_path / "results").rglob("*.json")
    result = json.loads(path.read_text())
    assert (result["system"], result["seed"], result["overrides"]) == ("fanogan", 2, ["search.steps=2"])
    assert result["training"]["steps"] == {"gan": 2, "encoder": 2}
    assert result["training"]["seconds"] > 0
    assert set(result["systems"]) == {"search", "encoder"}
    assert not any((tmp_path / "work").rglob("*.onnx"))


def test_only_takes_a_part_of_a_suite_and_says_when_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    import detection

    made = []
    monkeypatch.setattr(
        detection.Bench, "run", lambda self, run, progress, task: made.append(run.name) or {"systems": {}, "pca": None}
    )
    bench = detection.Bench("elpv", tmp_path, tmp_path, None, keep=False)
    detection.run_suite("elpv", bench, "egbad")
    assert [name.partition("__")[0] for name in made] == ["egbad_elpv_mono"] * 3
    assert detection.main(["elpv", "--only", "nothing", "--out", str(tmp_path), "--work", str(tmp_path)]) == 2
    assert "no run of the suite elpv has 'nothing' in its name" in capsys.readouterr().err


def test_a_protocol_without_a_search_is_evaluated_without_one(tmp_path: Path):
    from detection import Bench
    from suites import Case, Run

    bench = Bench("suite", tmp_path, tmp_path / "work", None, keep=False)
    for mode in ("search", "encoder"):
        run = Run(
            Case(recipe=Path("configs/egbad_mnist.yaml"), data=["mnist:not-1"], seeds=[2], mode=mode), "mnist:not-1", 2
        )
        arguments = bench._commands(run, tmp_path)["evaluate"]
        assert arguments[arguments.index("--mode") + 1] == mode
