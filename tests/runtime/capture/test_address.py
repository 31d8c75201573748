import pytest

from ganspect.redaction import hide, redacted
from ganspect.runtime.capture.address import read_address


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("0", "camera", "camera:0"),
        ("/dev/video2", "camera", "camera:2"),
        ("rtsp://10.0.0.5/stream1", "network", "rtsp://10.0.0.5/stream1"),
        ("RTSP://admin:pa@ss@10.0.0.5:554/s?token=abc&x=1", "network", "RTSP://***@10.0.0.5:554/s?token=***&x=***"),
        ("http://cam/video?opaque", "network", "http://cam/video?***"),
        ("gst:videotestsrc ! videoconvert", "gstreamer", "gst:videotestsrc ! videoconvert"),
        (
            "gst:rtspsrc location=rtsp://u:p@cam/1 ! decodebin",
            "gstreamer",
            "gst:rtspsrc location=rtsp://***@cam/1 ! decodebin",
        ),
        ("basler:40012345", "basler", "basler:40012345"),
        ("basler:", "basler", "basler:"),
        ("/dev/v4l/by-id/usb-unplugged-index0", "camera", "/dev/v4l/by-id/usb-unplugged-index0"),
        ("watch:/data/line3", "watch", "watch:/data/line3"),
        ("nowhere.mp4", "absent", "nowhere.mp4"),
        ("", "absent", ""),
        ("ftp://u:secret@host/file", "absent", "ftp://***@host/file"),
    ],
)
def test_what_a_text_names(text, kind, shown):
    address = read_address(text)
    assert (address.kind, address.shown) == (kind, shown)
    assert address.text == text


def test_paths_are_told_apart_by_what_is_there(tmp_path):
    (tmp_path / "part.png").write_bytes(b"")
    (tmp_path / "line.mp4").write_bytes(b"")
    kinds = [read_address(str(path)).kind for path in (tmp_path, tmp_path / "part.png", tmp_path / "line.mp4")]
    assert kinds == ["folder", "image", "video"]


def test_a_file_called_like_a_camera_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").write_bytes(b"")
    assert read_address("0").kind == "video"


@pytest.mark.parametrize(
    "secret",
    [
        *("rtsp://user:{}@host/1", "https://host/a?key={}", "rtsp://{}@host", "x rtsp://a:{}@b/ y", "rtsp://a:{}#1@b"),
        *("gst:rtspsrc user-id=me user-pw={} ! x", "rtsp://cam/user=admin&password={}&channel=1", "token = {}"),
    ],
)
def test_no_credential_is_shown(secret):
    assert "hunter2" not in redacted(secret.format("hunter2"))


@pytest.mark.parametrize("password", ["hunt'er2", "hunt/er2", "hunt er2", "hunt@er2", 'hunt"er2'])
def test_a_password_of_odd_signs_is_hidden_once_its_address_was_read(password):
    address = read_address(f"rtsp://admin:{password}@10.0.0.5/1")
    assert address.shown == "rtsp://***@10.0.0.5/1"
    assert redacted(f"cannot open {address.text!s}: {password}") == "cannot open rtsp://***@10.0.0.5/1: ***"


def test_a_secret_that_was_named_is_hidden_wherever_it_turns_up():
    assert "s3cret" in redacted("Invalid header value b'Bearer s3cret'")
    hide("s3cret")
    assert redacted("Invalid header value b'Bearer s3cret'") == "Invalid header value b'Bearer ***'"


def test_a_device_by_its_stable_name_is_a_camera():
    assert read_address("/dev/null").kind == "camera"
