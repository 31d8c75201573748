"""The faults in their shortest form, and a count that must find what was taken away on purpose."""

import json
import sqlite3
from dataclasses import replace

import pytest
from reliability import main, passed, run
from reliability_page import PAGE, page, read_results
from station_rig.audit import Evidence, audit
from station_rig.evidence import read_history
from station_rig.faults import FAULTS
from station_rig.injection import Plan
from station_rig.plant import Plant

SHORT = Plan(count=1, outage_s=(0.3, 0.6))


@pytest.fixture(scope="module")
def injected(tmp_path_factory, tiny_bundle):
    """Each fault once, several plants beside each other."""
    out = tmp_path_factory.mktemp("reliability")
    return run(list(FAULTS), SHORT, out, bundle=tiny_bundle, beside=5, form="test")


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_by_a_fault_and_the_station_recovers(injected, name):
    if reason := FAULTS[name].needs():
        assert injected["not_possible_here"][name] == reason
        pytest.skip(reason)
    found = injected["faults"][name]
    assert found["count"] == 1
    assert found["lost"] == found["duplicates_with_other_id"] == found["contradictory"] == 0, found
    assert found["not_recovered"] == 0
    assert found["tracebacks"] == 0, found["first_traceback"]
    assert found["ended_well"]
    assert found["verdicts"] > 5
    assert found["starts"] >= (2 if name == "sigkill" else 1)
    if name in ("half_frame", "rtsp_killed", "webhook_500s"):
        assert found["noticed"] == 1


def test_the_result_passes_only_without_losses(injected):
    assert passed(injected)
    for key in ("lost", "duplicates_with_other_id", "contradictory", "not_recovered"):
        first = next(iter(injected["faults"]))
        broken = {**injected["faults"], first: {**injected["faults"][first], key: 1}}
        assert not passed({**injected, "faults": broken})


@pytest.fixture(scope="module")
def evidence(tmp_path_factory, tiny_bundle):
    """What a real station left, and its history's file."""
    folder = tmp_path_factory.mktemp("plant") / "plant"
    with Plant.open(folder, tiny_bundle) as plant:
        plant.wait_until_well()
        findings = plant.finish()
        assert findings.passed, findings
        yield plant.evidence(), plant.data / "history.sqlite"


def test_rows_that_are_deleted_from_a_stations_history_are_lost(evidence, tmp_path):
    seen, path = evidence
    copy = tmp_path / "history.sqlite"
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        removed = target.execute("SELECT uid FROM verdicts ORDER BY number LIMIT 3").fetchall()
        target.execute("DELETE FROM verdicts WHERE uid IN (?, ?, ?)", [uid for (uid,) in removed])
    source.close()
    target.close()
    findings = audit(replace(seen, history=read_history(copy)))
    assert findings.gone == 3
    assert findings.delivered_and_gone == 3
    assert not findings.passed


def without(lines, uid):
    return [line for line in lines if json.loads(line)["id"] != uid]


def test_each_kind_of_loss_is_found(evidence):
    seen, _ = evidence
    first = seen.history[0]
    part = next(record for record in seen.history if record["camera"] == "parts")
    assert audit(seen).lost == 0
    hushed = {sink: without(lines, first["id"]) for sink, lines in seen.deliveries.items()}
    assert audit(replace(seen, deliveries=hushed)).never_delivered == len(hushed)
    others = [record for record in seen.history if record is not part]
    assert audit(replace(seen, history=others)).done_without_verdict == 1
    assert audit(replace(seen, offered=[*seen.offered, "never.png"])).never_judged == 1


def test_repeats_are_harmless_under_one_id_only(evidence):
    seen, _ = evidence
    lines = seen.deliveries["webhook"]
    repeated = audit(replace(seen, deliveries={**seen.deliveries, "webhook": [*lines, lines[0]]}))
    assert repeated.duplicates == audit(seen).duplicates + 1
    assert repeated.passed
    other = json.dumps({**json.loads(lines[0]), "score": 99.0})
    assert audit(replace(seen, deliveries={**seen.deliveries, "webhook": [*lines, other]})).contradictory == 1
    part = next(record for record in seen.history if record["camera"] == "parts")
    twice = audit(replace(seen, history=[*seen.history, {**part, "id": "f" * 32}]))
    assert twice.judged_twice == 1
    assert not twice.passed


def test_nothing_seen_is_nothing_lost():
    assert audit(Evidence([], [], [], [], [], {})).passed


def test_a_plan_injects_at_least_once_and_ends_in_time():
    assert Plan(seconds=0).goes_on(0, 0.0)
    assert not Plan(seconds=0).goes_on(1, 1.0)
    assert Plan(seconds=10).goes_on(3, 6.0)
    assert not Plan(seconds=10).goes_on(3, 8.0)
    assert [Plan(count=2).goes_on(done, 1e9) for done in range(3)] == [True, True, False]


def test_a_fault_that_is_none_is_named(tmp_path, capsys):
    assert main(["--faults", "stall,flood", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("reliability: 'flood' is no fault; give some of rtsp_killed, stall,")


def test_the_page_is_what_the_committed_results_say():
    assert PAGE.read_text(encoding="utf-8") == page(read_results()), (
        "docs/reliability.md differs; run: python benchmarks/reliability.py --page"
    )


def test_the_committed_result_is_the_long_form_without_losses():
    result = read_results()["reliability"]
    assert result["form"] == "long"
    assert set(result["faults"]) == set(FAULTS)
    assert all(fault["count"] >= 100 for fault in result["faults"].values())
    assert passed(result)
