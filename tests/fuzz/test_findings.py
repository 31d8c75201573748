"""What fuzzing found once, each with an input as small as it can be."""

import hashlib
import json
import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from ganspect.bundle import CALIBRATION, MANIFEST, open_bundle
from ganspect.config import Recipe, read_recipe
from ganspect.datasets.images import read_image
from ganspect.errors import BundleError, ConfigError, DataError, GanspectError, ImageError, OutputError, SourceError
from ganspect.files import plain_json
from ganspect.opencv import cv2
from ganspect.progress import print_warning
from ganspect.redaction import redacted
from ganspect.runtime.bench.curve import read_curve
from ganspect.runtime.capture import open_source
from ganspect.runtime.engines import EngineCache
from ganspect.runtime.history import History, Query
from ganspect.runtime.history.command import show_history
from ganspect.runtime.results import RESULTS, require_ours
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.verification.record import VERIFICATION, read_verified
from ganspect.sections import read_yaml
from tests.runtime.history.entries import entry

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from fuzzing.artefacts import arrays, write_bundle
    from fuzzing.target import Target, attempt

DEEP = "[" * 100_000
CAMERA = "cameras: [{name: a, source: 0}]\n"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite"
    with History.open(path) as opened:
        opened.append([entry(number) for number in range(3)])
    return path


def _change(path: Path, *keys: str | int, value: object) -> None:
    content = json.loads(path.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content))


def _sql(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA ignore_check_constraints = ON; {script}")
    connection.close()


@pytest.mark.parametrize("name", [MANIFEST, CALIBRATION])
def test_json_nested_deeply_is_damaged(bundle: Path, name: str):
    (bundle / name).write_text(DEEP)
    with pytest.raises(BundleError, match="is damaged"):
        open_bundle(bundle)


def test_records_of_the_device_nested_deeply_count_as_empty(bundle: Path, capsys: pytest.CaptureFixture[str]):
    opened = open_bundle(bundle)
    (bundle / "engines").mkdir()
    for name in ("engines/engines.json", VERIFICATION):
        (bundle / name).write_text(DEEP)
    assert EngineCache(opened).records() == []
    assert read_verified(opened) == []
    assert " ".join(capsys.readouterr().out.split()).count("cannot be read") == 2


def test_an_index_with_half_a_surrogate_counts_as_empty_and_is_written_anew(bundle: Path):
    cache = EngineCache(open_bundle(bundle))
    key = cache.key("openvino", "2026.4", "CPU", "fp32", "score", bundle / "score.onnx")
    cache.put([key], b"engine")
    _change(bundle / "engines/engines.json", "engines", 0, "file", value="\ud800")
    cache.put([key], b"engine")
    assert [record.file for record in cache.records()] != ["\ud800"]
    assert cache.get_or_build([key], bytes)[1] == "cached"


def test_a_warning_shows_no_secret(capsys: pytest.CaptureFixture[str]):
    print_warning("rtsp://u:hunter2@host/x.engine\x1b is gone")
    assert capsys.readouterr().out.strip() == r"warning: rtsp://***@host/x.engine\x1b is gone"


def test_results_nested_deeply_are_not_ours(tmp_path: Path):
    (tmp_path / RESULTS).write_text(DEEP)
    with pytest.raises(OutputError, match="was not written by"):
        require_ours(tmp_path)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", '{"a": [1e400]}', DEEP, ""])
def test_json_has_finite_numbers_and_an_end(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  (its message is Python's, or is not shown)
        plain_json(text)


@pytest.mark.parametrize("number", ["1e999", "Infinity", "NaN"])
def test_a_threshold_without_end_would_clear_everything(bundle: Path, number: str):
    text = (bundle / CALIBRATION).read_text().replace('"value": 0.2', f'"value": {number}')
    (bundle / CALIBRATION).write_text(text)
    with pytest.raises(BundleError, match=r"calibration\.json"):
        open_bundle(bundle)


def test_a_pipe_for_a_calibration_is_not_waited_for(bundle: Path):
    (bundle / CALIBRATION).unlink()
    os.mkfifo(bundle / CALIBRATION)
    with pytest.raises(BundleError, match="is damaged"):
        open_bundle(bundle)


def test_a_version_of_many_digits_is_cut(bundle: Path):
    _change(bundle / MANIFEST, "schema_version", value=10**4_000)
    with pytest.raises(BundleError, match="pip install -U ganspect") as raised:
        open_bundle(bundle)
    assert len(str(raised.value)) < 1_500


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("image", "size_hw"), [10**9, 10**9]),
        (("image", "overlap"), 0.999999),
        (("latent", "size"), 10**12),
        (("search", "steps"), 2**70),
        (("schema_version",), True),
    ],
)
def test_sizes_that_no_bundle_has(bundle: Path, keys: tuple[str, ...], value: object):
    _change(bundle / MANIFEST, *keys, value=value)
    with pytest.raises(BundleError, match=keys[-1].replace("_", ".")):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "loop"])
def test_names_that_no_file_has(bundle: Path, name: str):
    (bundle / "loop").symlink_to(bundle / "loop")
    _change(bundle / MANIFEST, "sha256", name, value="ab")
    with pytest.raises(BundleError, match=r"which no file can be called|lacks loop"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 20,
        save({"other": np.zeros((2, 8), np.float32)}),
        save({"latent": np.zeros((2, 9), np.float32)}),
        save({"latent": np.zeros((0, 8), np.float32)}),
        save({"latent": np.zeros((2, 8), np.float64)}),
        save({"latent": np.zeros(8, np.float32)}),
    ],
)
def test_starts_that_are_none(bundle: Path, content: bytes):
    (bundle / "starts.safetensors").write_bytes(content)
    _change(bundle / MANIFEST, "sha256", "starts.safetensors", value=hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match=r"starts\.safetensors .*copy the bundle again"):
        open_bundle(bundle).starts()


def test_statistics_of_another_size(bundle: Path):
    content = save({name: array[:8] for name, array in arrays()["calibration/statistics.safetensors"].items()})
    (bundle / "calibration/statistics.safetensors").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    _change(bundle / CALIBRATION, "entries", 0, "statistics_sha256", value=sha256)
    with pytest.raises(BundleError, match=r"lacks 'pixel_mean' as float32 of shape \(32, 32\)"):
        open_bundle(bundle).pixel_statistics()


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "unfolds to more than 50000 values"),
        (LAUGHS.replace("[x, x]", "{x: 1}").replace("[*", "{<<: [*").replace(", ]\n", "]}\n"), "unfolds to more"),
        ("a: &a [*a]", "an alias stands inside what it stands for"),
        ("a: &a\n  <<: *a", "an alias stands inside what it stands for"),
        ("a: " + "[" * 5_000, "nested more than 30 deep"),
        ("a: " + "x" * 300_000, "larger than 256 KB"),
        ("a: 2026-99-99", "a value is no timestamp"),
        ("a: !!int x", "a value is no int"),
        ("a: !!bool x", "a value is no bool"),
        ("a: !!timestamp x", "a value is no timestamp"),
        ("a: 0x" + "f" * 5_000, "a value is no int"),
        ("a: " + "9" * 5_000, "a value is no int"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_yaml_that_costs_more_than_it_seems(tmp_path: Path, text: str, reason: str):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_yaml(tmp_path / "a.yaml", [])
    if ": " in text.splitlines()[0] and "\n" not in text:
        with pytest.raises(ConfigError, match="is not valid YAML"):
            read_yaml(_valid(tmp_path), [f"b={text[3:]}"])


def _valid(folder: Path) -> Path:
    (folder / "valid.yaml").write_text("system: fanogan\n")
    return folder / "valid.yaml"


def test_many_keys_take_no_time_for_each_pair(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("".join(f"k{number}: 1\n" for number in range(10_000)))
    with pytest.raises(ConfigError, match="unknown key"):
        read_recipe(tmp_path / "a.yaml", ["system=fanogan"], Recipe)


@pytest.mark.parametrize(
    ("text", "reason"),
    [('bundle: "a\\0b"\ndata: d\n', "is no path"), ('bundle: "~\\0"\ndata: d\n', "names a user who is not there")],
)
def test_folders_of_a_station_that_cannot_be(tmp_path: Path, text: str, reason: str):
    (tmp_path / "station.yaml").write_text(text + CAMERA)
    with pytest.raises(ConfigError, match=reason):
        read_station(tmp_path / "station.yaml")


@pytest.mark.parametrize(
    "curve", ["x", [], {"iterations": [1]}, {"iterations": [10**400], "encoder_start": None, "random_start": []}, 3]
)
def test_a_curve_that_is_none(tmp_path: Path, curve: object):
    (tmp_path / "metrics.json").write_text(json.dumps({"curve": curve}))
    with pytest.raises(DataError, match="is damaged"):
        read_curve(tmp_path / "metrics.json")


ENDLESS = (
    "DROP TABLE verdicts; CREATE VIEW verdicts AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT x AS number, 'left' AS camera FROM n WHERE x < 0"
)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (ENDLESS, "views, triggers or tables that no history has|no station's history"),
        ("CREATE TRIGGER t AFTER INSERT ON verdicts BEGIN DELETE FROM verdicts; END", "views, triggers or tables"),
        ("PRAGMA user_version = -7", "newer ganspect"),
        ("PRAGMA user_version = 99", "newer ganspect"),
        ("DROP TABLE verdicts", "cannot be opened|no station's history"),
    ],
)
def test_a_history_from_elsewhere(history: Path, script: str, reason: str, read_only: bool):
    _sql(history, script)
    with pytest.raises(OutputError, match=reason):
        History.open(history, read_only=read_only)


@pytest.mark.parametrize("record", ["{}", "[]", DEEP, "NaN", '{"id": 1}', "", "\0"])
def test_a_record_that_is_none(history: Path, record: str):
    connection = sqlite3.connect(history)
    connection.execute("UPDATE verdicts SET record = ? WHERE number = 2", (record,))
    connection.commit()
    connection.close()
    for form in ("table", "jsonl", "csv"):
        with pytest.raises(OutputError, match=r"verdict 2 in .* is damaged"):
            show_history(history, form=form)


def test_a_damaged_page_is_said(history: Path):
    content = history.read_bytes()
    history.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(OutputError, match="cannot be"):
        show_history(history)


def test_names_in_a_history_are_no_markup(
    history: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "200")
    name = r"[/red]\ud800\u001b"
    _sql(history, f"UPDATE verdicts SET record = replace(record, 'left', '{name}'), label = '[/x]'")
    show_history(history)
    shown = capsys.readouterr().out
    assert r"[/red]\ud800\x1b" in shown
    assert "[/x]" in shown


@pytest.mark.parametrize(
    "asked", [{"since_ns": 2**63}, {"until_ns": -(2**64)}, {"limit": 10**30}, {"camera": "\udc80"}, {"camera": "\n"}]
)
def test_questions_that_no_history_can_answer(asked: dict[str, object]):
    with pytest.raises(ConfigError, match=r"beyond what can be counted|is no name of a camera"):
        Query(**asked)


def test_a_year_that_ns_cannot_count(history: Path):
    with pytest.raises(ConfigError, match="since is beyond what can be counted"):
        show_history(history, since="2300-01-01")


@pytest.mark.parametrize("source", ["~\0", "~\ud800", "watch:~\0", "watch:" + "x/" * 3_000, "x" * 5_000, "watch:a\0b"])
def test_sources_that_cannot_be(source: str):
    with pytest.raises(SourceError, match=r"does not exist|there is no such folder"):
        open_source(source)


@pytest.mark.parametrize("name", ["a.png", "a.avi"])
def test_a_pipe_is_no_source(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("name", ["done", "failed"])
def test_a_watched_folder_moves_nothing_out_of_itself(tmp_path: Path, name: str):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=f"{name}/ is a link"):
        open_source(f"watch:{tmp_path / 'watched'}")


def test_a_video_of_frames_too_large(tmp_path: Path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 32))
    writer.write(np.zeros((32, 32, 3), np.uint8))
    writer.release()
    content = path.read_bytes()
    for marker, sides in ((b"strf", struct.pack("<II", 12_000, 12_000)), (b"\xff\xc0", b"")):
        at = content.index(marker)
        if sides:
            content = content[: at + 12] + sides + content[at + 20 :]
        else:
            content = content[: at + 5] + struct.pack(">HH", 12_000, 12_000) + content[at + 9 :]
    path.write_bytes(content)
    with pytest.raises(SourceError, match="12000x12000 pixels, at most 100 megapixels"):
        open_source(str(path))


def test_a_picture_of_64_bit_values_is_refused_before_it_is_decoded(tmp_path: Path):
    for channels in (1, 3):
        image = np.zeros((8, 8, channels), np.float64)
        (tmp_path / "a.tif").write_bytes(cv2.imencode(".tif", image)[1].tobytes())
        with pytest.raises(ImageError, match="holds 64 bit values"):
            read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("a\ud800", r"a\ud800"),
        ("no http://u:p'w/x@host/", "no http://***@host/"),
        ("no rtsp:/u:pw@host", "no rtsp:/***@host"),
        ("Übermaß …", "Übermaß …"),
    ],
)
def test_a_message_can_be_shown(text: str, shown: str):
    assert str(GanspectError(text)) == shown


@pytest.mark.parametrize("text", ["x" * 10**6, "://" * 10**5, "key=" * 10**5, "a://?" * 10**5, "key" + " " * 10**6])
def test_a_long_text_is_searched_for_secrets_in_time(text: str):
    assert len(str(GanspectError(text))) < 1_500


def test_a_long_word_is_no_scheme_to_be_looked_for_from_each_of_its_letters(tmp_path: Path):
    searching = Target("redaction", None, redacted, limit_s=10)
    assert attempt(searching, "x" * 300_000, tmp_path).kind == "accepted"


def test_a_long_message_keeps_its_start_and_its_end():
    message = str(GanspectError("given: " + "x" * 10**6 + "; give less"))
    assert message.startswith("given: x")
    assert message.endswith("x; give less")
    assert len(message) < 1_500


def _ganspect(*arguments: bytes | str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from ganspect.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8"})


def test_a_command_line_that_is_no_text_ends_with_one_line(tmp_path: Path):
    ended = _ganspect("history", b"no\xff\nhistory", "--limit", "x\ny")
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1)
    ended = _ganspect("verify", "x/" * 3_000)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1)
    assert b"is no bundle" in ended.stderr


def test_a_history_in_a_folder_that_is_no_text(history: Path, tmp_path: Path):
    folder = os.fsencode(tmp_path) + b"/\xff[red]"
    os.mkdir(folder)
    os.rename(history, folder + b"/history.sqlite")
    ended = _ganspect("history", folder)
    assert ended.returncode == 0, ended.stderr
    assert rb"\udcff[red]" in ended.stdout
