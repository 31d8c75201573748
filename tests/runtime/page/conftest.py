"""A station that runs in a thread with its page, for requests and for a browser."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ganspect.runtime.page.server import Page
from ganspect.runtime.page.settings import PageSettings
from ganspect.runtime.station.settings import read_station
from ganspect.runtime.station.station import Station
from tests.runtime.page.served import Served


@pytest.fixture
def serve(tmp_path: Path, tiny_bundle: Path, video_file: Path) -> Callable[..., Any]:
    """Return a context manager that runs a station of two cameras with its page."""

    @contextmanager
    def served(*lines: str, **page: Any) -> Iterator[Served]:
        path = tmp_path / "station.yaml"
        cameras = [f"  - {{name: {name}, source: {video_file}, loop: true, paced: true}}" for name in ("left", "right")]
        head = [f"bundle: {tiny_bundle}", "data: data", "inspection: {backend: onnxruntime, threads: 1}", "cameras:"]
        path.write_text("\n".join([*head, *cameras, *lines]) + "\n")
        stopping = threading.Event()
        settings = PageSettings(port=0, **page)
        with (
            Page.bound(settings, tmp_path) as bound,
            Station.open(read_station(path), tmp_path) as station,
            bound.serving(station),
        ):
            thread = threading.Thread(target=station.run, args=(stopping,))
            thread.start()
            try:
                yield Served(station, bound.address)
            finally:
                stopping.set()
                thread.join(20)

    return served
