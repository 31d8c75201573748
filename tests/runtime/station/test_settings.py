import textwrap
from pathlib import Path

import pytest

from ganspect.errors import ConfigError
from ganspect.runtime.station.settings import read_station

CAMERA = "  - {name: left, source: line.avi}\n"
CAMERAS = f"cameras:\n{CAMERA}"
HEAD = "bundle: b\ndata: d\n"


def triggered(trigger: str) -> str:
    return f"cameras:\n  - {{name: a, source: '0', policy: trigger, trigger: {{{trigger}}}}}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "station.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_station(written(folder, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_paths_are_relative_to_the_file(tmp_path):
    settings = read_station(written(tmp_path, f"bundle: b\ndata: ../d\n{CAMERAS}"))
    assert settings.bundle == tmp_path / "b"
    assert settings.data == tmp_path.parent / "d"
    assert settings.cameras[0].address(tmp_path).path == tmp_path / "line.avi"


def test_the_key_is_beside_the_file_and_a_link_to_a_bundle_stays_one(tmp_path):
    (tmp_path / "b").symlink_to("v1")
    settings = read_station(written(tmp_path, f"{HEAD}trust: {{public_key: line.pub.pem}}\n{CAMERAS}"))
    assert settings.trust.public_key == tmp_path / "line.pub.pem"
    assert not settings.trust.signed_calibration
    assert settings.bundle == tmp_path / "b"


def test_streams_cameras_and_absolute_paths_stay_what_they_are(tmp_path):
    sources = ["0", "rtsp://cam/1", "gst:videotestsrc", f"{tmp_path}/x.avi", "watch:in", "~/y.avi"]
    cameras = "".join(f"  - {{name: c{number}, source: '{source}'}}\n" for number, source in enumerate(sources))
    settings = read_station(written(tmp_path, f"bundle: b\ndata: d\ncameras:\n{cameras}"))
    texts = [camera.address(Path("/here")).text for camera in settings.cameras]
    assert texts == [*sources[:4], "watch:/here/in", str(Path("~/y.avi").expanduser())]


def test_the_demo_is_valid():
    settings = read_station(Path(__file__).parents[3] / "configs/station_demo.yaml")
    assert [camera.name for camera in settings.cameras] == ["left", "right"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}cameras:\n{CAMERA}{CAMERA}", "two cameras are called 'left'; give each a name"),
        (f"{HEAD}cameras: []\n", "'cameras'"),
        (f"{HEAD}camera:\n{CAMERA}", "unknown key 'camera'; did you mean 'cameras'?"),
        (f"{HEAD}cameras:\n  - {{name: a b, source: '0'}}\n", "'a b' is no name of a camera"),
        (f"{HEAD}cameras:\n  - {{name: a, source: '0', policy: newest}}\n", "'cameras.0.policy'"),
        (f"{HEAD}cameras:\n  - {{name: a, source: '0', polcy: latest}}\n", "did you mean 'policy'?"),
        (f"{HEAD}cameras:\n  - {{name: a, source: '0', roi_xyxy: [9, 0, 5, 5]}}\n", "left < right"),
        (
            f"{HEAD}cameras:\n  - {{name: a, source: x.png, range: [9, 9]}}\n",
            "range [9, 9] has no levels; give black < white",
        ),
        (
            f"{HEAD}cameras:\n  - {{name: a, source: x.png, range: [0, 9], bits: 8}}\n",
            "range and bits say the same thing",
        ),
        (f"{HEAD}cameras:\n  - {{name: a, source: x.png, bits: 17}}\n", "'cameras.0.bits'"),
        (
            f"{HEAD}cameras:\n  - {{name: a, source: '0', exposure_us: 500}}\n",
            "exposure_us is for sources that begin with basler:",
        ),
        (
            f"{HEAD}cameras:\n  - {{name: a, source: '0', pixel_format: Mono12}}\n",
            "pixel_format 'Mono12' is no four letters",
        ),
        (f"data: d\n{CAMERAS}", "'bundle': a value is missing"),
        (f"{HEAD}inspection: {{budget_ms: -1}}\n{CAMERAS}", "'inspection.budget_ms'"),
        (f"{HEAD}history: {{keep_days: 0}}\n{CAMERAS}", "'history.keep_days'"),
        (f"{HEAD}history: {{keep_day: 9}}\n{CAMERAS}", "did you mean 'keep_days'?"),
        (f"{HEAD}history: {{quota_mb: 1}}\n{CAMERAS}", "'history.quota_mb'"),
        (
            "bundle: b\ndata: d\ncameras:\n  - {name: a, source: 'watch:x', policy: latest}\n",
            "a watched folder drops nothing",
        ),
        (
            f"bundle: b\ndata: d\nsinks: [{{kind: mqt, host: b}}]\n{CAMERAS}",
            "unknown kind 'mqt'; did you mean 'mqtt'?",
        ),
        (
            f"bundle: b\ndata: d\nsinks: [{{kind: jsonl}}, {{kind: jsonl}}]\n{CAMERAS}",
            "two sinks are called 'jsonl'",
        ),
        (
            f"bundle: b\ndata: d\nsinks: [{{kind: jsonl}}, {{kind: jsonl, name: x}}]\n{CAMERAS}",
            "share a folder",
        ),
        (f"{HEAD}trust: {{signed_calibration: true}}\n{CAMERAS}", "'trust.public_key': a value is missing"),
        (f"{HEAD}sinks: [{{kind: webhook, url: 'ftp://x'}}]\n{CAMERAS}", "begins with http://"),
        (
            f"bundle: b\ndata: d\nsinks: [{{kind: mqtt, host: b, password_env: P}}]\n{CAMERAS}",
            "without username",
        ),
        (f"{HEAD}cameras:\n  - {{name: a, source: '0', policy: trigger}}\n", "go together; give both or neither"),
        (f"{HEAD}cameras:\n  - {{name: a, source: '0', trigger: {{kind: http}}}}\n", "go together"),
        (
            f"{HEAD}cameras:\n  - {{name: a, source: 'watch:x', policy: trigger, trigger: {{kind: http}}}}\n",
            "a trigger takes the next frame of a live camera",
        ),
        (f"{HEAD}{triggered('kind: htp')}", "unknown kind 'htp'; did you mean 'http'?"),
        (f"{HEAD}{triggered('kind: mqtt, host: b, topic: a/#')}", "'a/#' is no single topic"),
        (f"{HEAD}{triggered('kind: mqtt, host: b, password_env: P')}", "without username"),
        (f"{HEAD}{triggered('kind: pin, pin: gpio12')}", "'cameras.0.trigger.pin.pin'"),
        (f"{HEAD}{triggered('kind: pin, pin: /x, poll_ms: 0')}", "greater than or equal to 0.5"),
        (f"{HEAD}{triggered('kind: http, wait_s: 0')}", "greater than 0"),
        (f"{HEAD}outputs: [{{kind: modbus, host: p}}]\n{CAMERAS}", "'outputs.0.modbus.coil': a value is missing"),
        (f"{HEAD}outputs: [{{kind: modbus, host: p, coil: 70000}}]\n{CAMERAS}", "less than or equal to 65535"),
        (f"{HEAD}outputs: [{{kind: relay}}]\n{CAMERAS}", "unknown kind 'relay'; expected one of modbus, pin, mqtt"),
        (f"{HEAD}outputs: [{{kind: pin, pin: /x}}, {{kind: pin, pin: /y}}]\n{CAMERAS}", "two outputs are called 'pin'"),
        (
            f"{HEAD}outputs: [{{kind: pin, pin: /x, heartbeat_pin: /x}}]\n{CAMERAS}",
            "give the heartbeat a pin of its own",
        ),
        (
            f"{HEAD}outputs: [{{kind: pin, pin: /x, cameras: [rigth]}}]\n{CAMERAS}",
            "an output is for camera 'rigth', which is none; expected one of left",
        ),
        (f"{HEAD}outputs: [{{kind: mqtt, host: b, topic: 'a/+'}}]\n{CAMERAS}", "'a/+' is no single topic"),
        (f"bundle: ~nobody-here/b\ndata: d\n{CAMERAS}", "names a user who is not there"),
        ("- a list\n", "holds no settings; expected 'key: value' lines as in configs/station_demo.yaml"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_no_such_file(tmp_path):
    with pytest.raises(
        ConfigError, match=r"cannot read the station file .*; give a YAML file such as configs/station_demo"
    ):
        read_station(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "cameras: ['rtsp://admin:hunter2@h/1']\n",
        "bundle: b\ndata: d\ncameras:\n  - {name: a, source: rtsp://admin:hunter2@h/1, policy: x}\n",
        "bundle: b\ncameras: {source: rtsp://admin:hunter2@h/1\n",
        "bundle: b\n  data: rtsp://admin:hunter2@h/1\n",
    ],
)
def test_an_error_of_the_file_shows_no_password(tmp_path, text):
    assert "hunter2" not in refusal(tmp_path, text)


def test_the_example_of_the_guide_is_valid(tmp_path):
    guide = (Path(__file__).parents[3] / "docs/station.md").read_text(encoding="utf-8")
    example = textwrap.dedent(guide.partition("```yaml\n")[2].partition("   ```")[0])
    settings = read_station(written(tmp_path, example))
    assert [camera.name for camera in settings.cameras] == ["upper", "lower", "scanner"]
    assert settings.cameras[1].address(tmp_path).number == 0
    assert [sink.kind for sink in settings.sinks] == ["pictures", "mqtt"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "it is empty; name a camera"),
        ("  ", "it is empty; name a camera"),
        ("rtps://10.0.0.5/1", "there is no scheme 'rtps'; did you mean 'rtsp"),
        ("gopher://10.0.0.5/1", "there is no scheme 'gopher'; expected one of rtsp, rtsps"),
        ("rtsp://", "rtsp:// names no host"),
        ("rtsp://viewer:hunter2@/1", "rtsp:// names no host"),
    ],
)
def test_a_source_that_can_name_nothing_is_refused(tmp_path, source, why):
    said = refusal(tmp_path, f"{HEAD}cameras: [{{name: a, source: {source!r}}}]\n")
    assert why in said
    assert "hunter2" not in said


@pytest.mark.parametrize("host", ["tcp://10.0.0.7:502", "10.0.0.7:502", "plc/1", "u:p@plc", "a b", ""])
def test_a_host_is_a_name_or_an_address_alone(tmp_path, host):
    outputs = f"outputs: [{{kind: modbus, host: {host!r}, coil: 1}}]\n"
    assert "is no host; give its name or address alone" in refusal(tmp_path, HEAD + CAMERAS + outputs)


@pytest.mark.parametrize("host", ["plc", "plc-3.line.example", "10.0.0.7", "::1", "fe80::1%eth0"])
def test_hosts_by_name_and_by_either_address(tmp_path, host):
    outputs = f"outputs: [{{kind: modbus, host: {host!r}, coil: 1}}]\n"
    assert read_station(written(tmp_path, HEAD + CAMERAS + outputs)).outputs[0].host == host


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("cameras: []\n", "'cameras': the list has too few entries"),
        ("cameras: line.avi\n", "'cameras': a list was expected, such as [64, 64] or [{…}, {…}]"),
        (f"{CAMERAS}sinks: [jsonl]\n", "'sinks.0': a section of settings was expected, such as {kind: …}"),
    ],
)
def test_what_is_no_list_and_no_section_is_said_in_plain_words(tmp_path, content, why):
    assert why in refusal(tmp_path, HEAD + content)
