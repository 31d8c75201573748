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


def test_every_committed_result_was_made_as_its_suite_says():
    from detection import made_before
    from suites import read_suites

    runs = {f"{name}/{run.name}.json": run for name, suite in read_suites().items() for run in suite.runs()}
    found = {str(path.relative_to(RESULTS)): path for path in RESULTS.rglob("*.json")}
    assert found
    for name, path in found.items():
        made_before(path, runs[name])


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


def page_of(tmp_path: Path, **changes: object) -> str:
    """Return the page of one committed result with changes."""
    from results_page import results_page
    from suites import read_suites

    suites = {"elpv": read_suites()["elpv"]}
    run = next(suites["elpv"].runs())
    result = json.loads((RESULTS / "elpv" / f"{run.name}.json").read_text(encoding="utf-8"))
    (tmp_path / "elpv").mkdir(exist_ok=True)
    (tmp_path / "elpv" / f"{run.name}.json").write_text(json.dumps(result | changes), encoding="utf-8")
    return results_page(suites, tmp_path)


def test_settings_on_top_of_a_recipe_stand_above_its_figures(tmp_path: Path):
    assert "On top of" not in page_of(tmp_path)
    page = page_of(tmp_path, overrides=["network.latent_size=64", "data.gain=0"])
    assert "On top of `fanogan_elpv_mono`: `network.latent_size=64`, `data.gain=0`." in page


def test_a_pca_alike_stands_beside_the_system_where_it_was_measured(tmp_path: Path):
    pca = {
        "image": {"auroc": {"value": 0.5}},
        "deployed_score": {
            "components": 64,
            "image": {"auroc": {"value": 0.777}},
            "delta": {"value": -0.031, "low": -0.04, "high": -0.02},
        },
    }
    page = page_of(tmp_path, pca=pca)
    assert "| 0.777 |" in page
    assert "| -0.031 (0 above, 1 below, of 1) |" in page
    del pca["deployed_score"]["components"]
    assert "0.777" not in page_of(tmp_path, pca=pca)


def test_kinds_of_defects_have_a_line_each(tmp_path: Path):
    assert "Kind by kind" not in page_of(tmp_path)
    crack = {
        "image": {"auroc": {"value": 0.912}},
        "at_threshold": {"detections": 3, "n_anomalous": 8},
        "pixel": {"auroc": {"value": 0.871}},
    }
    page = page_of(tmp_path, kinds={"crack": crack, "dent": crack | {"pixel": None}})
    assert "| crack | 0.912, 37.5% found, pixels 0.871 |" in page
    assert "| dent | 0.912, 37.5% found |" in page


def test_in_encoder_mode_the_encoders_figures_are_the_deployed_ones(tmp_path: Path):
    def system(auroc: float) -> dict[str, object]:
        return {"image": {"auroc": {"value": auroc}, "auprc": {"value": auroc / 2}}}

    systems = {"search": system(0.444), "encoder": system(0.666)}
    assert "| **0.444** | 0.222 | 0.666 |" in page_of(tmp_path, systems=systems, mode="search")
    page = page_of(tmp_path, systems={"encoder": system(0.666)}, mode="encoder")
    assert "| – | 0.333 | **0.666** |" in page
    assert "without a search" in page


def test_the_first_table_has_a_line_for_each_section_with_a_link_to_it(tmp_path: Path):
    page = page_of(tmp_path)
    title, anchor = "Solar cells (ELPV)", "solar-cells-elpv"
    assert f"| [{title}](#{anchor}) | – | 0.9" in page
    assert f"## {title}\n" in page
