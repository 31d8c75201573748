import itertools
import socket
import time

import pytest
from station_rig.streams import RtspServer, mjpeg_server, rtsp_is_missing

from ganspect.errors import MissingDependencyError, SourceError
from ganspect.runtime.capture import open_source
from ganspect.runtime.capture.buffers import Bell, LatestBuffer, take_next
from ganspect.runtime.capture.feed import Feed, FeedSettings
from ganspect.runtime.capture.source import SourceSettings

PATIENT = SourceSettings(open_timeout_s=5, read_timeout_s=1)


def test_frames_of_an_mjpeg_stream_until_it_ends():
    with mjpeg_server(count=12, then="close") as url, open_source(url, PATIENT) as source:
        assert "hunter2" not in source.name
        frames = iter(source)
        shot = next(frames)
        assert shot.frame.shape == (120, 160, 3)
        assert abs(time.time_ns() - shot.timestamp_ns) < 5e9
        with pytest.raises(SourceError, match=r"http://\*\*\*@127\.0\.0\.1:\d+/video gave no frame for 1 s, or ended"):
            for _ in frames:
                pass


def test_a_stream_that_says_nothing_more_is_an_error_after_the_timeout():
    with mjpeg_server(count=12, then="stall") as url, open_source(url, PATIENT) as source:
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match="gave no frame for 1 s"):
            for _ in source:
                pass
        assert time.monotonic() - begin_s < 10


def test_size_and_colour_may_change_within_one_stream():
    shapes = ((120, 160, 3), (96, 128, 3), (96, 128), (240, 320), (120, 160, 3))
    with mjpeg_server(count=60, then="stall", shapes=shapes) as url, open_source(url, PATIENT) as source:
        frames = [shot.frame for shot in itertools.islice(source, 60)]
    # This OpenCV scales what comes later to the size of the first picture; others may give it as it is.
    assert all(frame.ndim == 3 for frame in frames)
    assert all(frame[-5:, -5:].mean() > 200 for frame in frames), "the whole picture is there"
    assert len({frame.tobytes() for frame in frames}) == 60, "and it is the new one"


def test_nobody_there_is_an_error_without_credentials():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match="was refused, or is no stream; check that the camera is on") as caught:
        open_source(f"rtsp://admin:hunter2@127.0.0.1:{port}/1", PATIENT)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_never_answers_is_an_error_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match="gave no answer within 1 s"):
            open_source(f"rtsp://127.0.0.1:{port}/1", SourceSettings(open_timeout_s=1))
        assert time.monotonic() - begin_s < 10


def test_a_pipeline_without_gstreamer_says_what_to_do():
    with pytest.raises(MissingDependencyError, match="needs an OpenCV with GStreamer"):
        open_source("gst:videotestsrc ! videoconvert")


@pytest.mark.skipif(bool(rtsp_is_missing()), reason=rtsp_is_missing())
def test_an_rtsp_camera_that_changes_its_size_goes_on():
    server = RtspServer()
    try:
        with open_source(server.url, PATIENT) as source:
            frames = iter(source)
            before = next(frames).frame
            server.change_size()
            assert before.shape == (240, 320, 3)
            assert any(next(frames).frame.shape == (120, 160, 3) for _ in range(100)), "it becomes smaller"
            server.change_size()
            assert any(next(frames).frame.shape == (240, 320, 3) for _ in range(100)), "and larger again"
    finally:
        server.kill()


@pytest.mark.skipif(bool(rtsp_is_missing()), reason=rtsp_is_missing())
def test_an_rtsp_camera_is_there_again_after_its_server_was_killed():
    server, bell = RtspServer(), Bell()
    url, buffer = server.url, LatestBuffer(bell)
    feed = Feed(
        "left", lambda: open_source(url, PATIENT), buffer, FeedSettings(backoff_first_s=0.1, backoff_most_s=0.3)
    )

    def next_frame():
        found = take_next(bell, [buffer], after=-1, timeout_s=20)
        assert found is not None, feed.status()
        return found[1]

    try:
        feed.start()
        assert next_frame().shot.frame.shape == (240, 320, 3)
        for _ in range(2):
            server.kill()
            end_s = time.monotonic() + 20
            while feed.status().state not in ("lost", "opening"):
                assert time.monotonic() < end_s, feed.status()
                time.sleep(0.02)
            server.start()
            with bell:
                buffer.take()
            next_frame()
        status = feed.status()
        assert status.opened >= 3
        assert status.failures >= 2
    finally:
        feed.stop()
        server.kill()
