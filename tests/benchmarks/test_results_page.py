import copy
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results/detection"


def test_the_page_is_what_the_committed_results_say():
    from detection import BESIDE, read_committed, read_results
    from results_page import PAGE, results_page
    from suites import read_suites

    suites = read_suites()
    made = read_results(suites, RESULTS)
    assert PAGE.read_text(encoding="utf-8") == results_page(suites, made, *map(read_committed, BESIDE)), (
        "docs/results.md differs; run: python benchmarks/detection.py --page"
    )


def test_every_committed_result_belongs_to_a_run_of_its_suite():
    from suites import read_suites

    expected = {f"{name}/{run.name}.json" for name, suite in read_suites().items() for run in suite.runs()}
    found = {str(path.relative_to(RESULTS)) for path in RESULTS.rglob("*.json")}
    assert found
    assert found <= expected


def first_of(suite: str) -> dict[str, Any]:
    """Return the result of the suite's first run."""
    from suites import read_suites

    run = next(read_suites()[suite].runs())
    result: dict[str, Any] = json.loads((RESULTS / suite / f"{run.name}.json").read_text(encoding="utf-8"))
    return result


def page_of(**changes: object) -> str:
    """Return the page of one committed result with changes."""
    from results_page import results_page
    from suites import read_suites

    return results_page({"elpv": read_suites()["elpv"]}, {"elpv": [first_of("elpv") | changes]})


def test_another_figure_makes_another_page():
    changed = copy.deepcopy(first_of("elpv"))
    changed["systems"]["search"]["image"]["auroc"]["value"] = 0.123
    assert "**0.123**" in page_of(**changed)
    assert "**0.123**" not in page_of()
    assert "of the suite's" in page_of()


def test_settings_on_top_of_a_recipe_stand_above_its_figures():
    assert "On top of" not in page_of()
    page = page_of(overrides=["network.latent_size=64", "data.gain=0"])
    assert "On top of `fanogan_elpv_mono`: `network.latent_size=64`, `data.gain=0`." in page


def test_a_pca_of_the_same_score_stands_beside_the_system_where_it_was_measured():
    pca = {
        "image": {"auroc": {"value": 0.5}},
        "deployed_score": {
            "components": 64,
            "image": {"auroc": {"value": 0.777}},
            "delta": {"value": -0.031, "low": -0.04, "high": -0.02},
        },
    }
    page = page_of(pca=pca)
    assert "| 0.777 |" in page
    assert "| -0.031 (0 above, 1 below, of 1) |" in page
    assert "0.777" not in page_of(pca=pca | {"deployed_score": None})


def test_kinds_of_defects_have_a_line_each():
    assert "Kind by kind" not in page_of()
    crack = {
        "image": {"auroc": {"value": 0.912}},
        "at_threshold": {"detections": 3, "n_anomalous": 8},
        "pixel": {"auroc": {"value": 0.871}},
    }
    page = page_of(kinds={"crack": crack, "dent": crack | {"pixel": None}})
    assert "| crack | 0.912, 37.5% found, pixels 0.871 |" in page
    assert "| dent | 0.912, 37.5% found |" in page


def test_in_encoder_mode_the_encoders_figures_are_the_deployed_ones():
    def system(auroc: float) -> dict[str, object]:
        return {"image": {"auroc": {"value": auroc}, "auprc": {"value": auroc / 2}}}

    systems = {"search": system(0.444), "encoder": system(0.666)}
    assert "| **0.444** | 0.222 | 0.666 |" in page_of(systems=systems, mode="search")
    page = page_of(systems={"encoder": system(0.666)}, mode="encoder")
    assert "| – | 0.333 | **0.666** |" in page
    assert "without a search" in page


def test_the_first_table_has_a_line_for_each_whole_section_with_a_link_to_it():
    from results_page import results_page
    from suites import read_suites

    suite = read_suites()["elpv"]
    made = [first_of("elpv") for _ in suite.runs()]
    title, anchor = "Solar cells (ELPV)", "solar-cells-elpv"
    page = results_page({"elpv": suite}, {"elpv": made})
    assert f"| [{title}](#{anchor}) | – | – | 0.9" in page
    assert f"## {title}\n" in page
    assert f"](#{anchor})" not in results_page({"elpv": suite}, {"elpv": made[1:]})


def test_a_broken_promise_of_false_alarms_is_said():
    point = first_of("elpv")["at_threshold"]
    assert "**broken**" not in page_of(at_threshold=point | {"promise_kept": True})
    assert "**broken** in 1 of 1" in page_of(at_threshold=point | {"promise_kept": False})


def test_unrelated_data_sets_of_a_suite_have_a_line_each_and_digits_share_one():
    from results_page import results_page
    from suites import Case, Suite

    def page(*data: str) -> str:
        suite = Suite(title="Mixed", about="a", cases=[Case(recipe=Path("a.yaml"), data=list(data), seeds=[2])])
        return results_page({"mixed": suite}, {"mixed": [first_of("elpv") | {"data": name} for name in data]})

    assert "| [Mixed](#mixed): elpv:mono |" in page("elpv:mono", "tiles.npz")
    assert "| [Mixed](#mixed): tiles.npz |" in page("elpv:mono", "tiles.npz")
    assert "| [Mixed](#mixed) |" in page("mnist:1", "mnist:2")


def test_images_that_every_bundle_misjudges_stand_in_the_section_of_their_data_set():
    from results_page import results_page
    from suites import read_suites

    suites, made = {"elpv": read_suites()["elpv"]}, {"elpv": [first_of("elpv")]}
    misjudged = {
        **{"data": "elpv:mono", "reports": 3, "n_anomalous": 313, "auroc": 0.9642, "auroc_without": 0.9749},
        **{"anomalous": {"images/cell1.png": 0.94}, "normal": {}},
    }
    page = results_page(suites, made, misjudged)
    assert "1 of 313 anomalous images and 0 normal ones are misjudged in every report that has them, of 3" in page
    assert "images/cell1.png (94%)" in page
    assert "the mean AUROC is 0.975 in place of 0.964" in page
    assert "no bundle gets right" not in results_page(suites, made, misjudged | {"data": "elpv:poly"})
