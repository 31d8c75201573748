import copy
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/detection"


def test_the_page_is_what_the_committed_results_say():
    from results_page import PAGE, results_page
    from suites import read_suites

    assert PAGE.read_text(encoding="utf-8") == results_page(read_suites(), RESULTS), (
        "docs/results.md differs; run: python benchmarks/detection.py --page"
    )


def test_every_committed_result_belongs_to_a_run_of_its_suite():
    from suites import read_suites

    expected = {f"{name}/{run.name}.json" for name, suite in read_suites().items() for run in suite.runs()}
    found = {str(path.relative_to(RESULTS)) for path in RESULTS.rglob("*.json")}
    assert found
    assert found <= expected


def test_another_figure_makes_another_page(tmp_path: Path):
    from results_page import results_page
    from suites import read_suites

    suites = {"elpv": read_suites()["elpv"]}
    run = next(suites["elpv"].runs())
    result = json.loads((RESULTS / "elpv" / f"{run.name}.json").read_text(encoding="utf-8"))
    changed = copy.deepcopy(result)
    changed["systems"]["search"]["image"]["auroc"]["value"] = 0.123
    pages = []
    for content in (result, changed):
        (tmp_path / "elpv").mkdir(exist_ok=True)
        (tmp_path / "elpv" / f"{run.name}.json").write_text(json.dumps(content), encoding="utf-8")
        pages.append(results_page(suites, tmp_path))
    assert "**0.123**" in pages[1]
    assert "**0.123**" not in pages[0]
    assert "of the suite's" in pages[0]
