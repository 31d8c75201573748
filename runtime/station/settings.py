"""The station file: YAML read into checked settings.

settings = read_station(Path("station.yaml"))
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ganspect.config import Positive
from ganspect.errors import ConfigError
from ganspect.records import Mode, Precision
from ganspect.runtime.capture.address import Address, read_address
from ganspect.runtime.capture.feed import FeedSettings
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.sinks.settings import SinkSettings
from ganspect.sections import Section, parse, read_yaml

_EXAMPLE = "configs/station_demo.yaml"
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class InspectionSettings(Section):
    """How frames are judged.

    Attributes:
        mode: `search`, or `encoder` for its score alone.
        backend: what runs the graphs; `auto`: the fastest one that `ganspect verify` has passed on this machine.
        precision: of the convolutions; absent: fp32, with `auto` any.
        steps: iterations of the search at most; absent: the calibration's.
        budget_ms: time for a frame; a search that it ends is `undecided`, which counts as anomalous. Absent: no limit.
        threads: that one graph may use; absent: all cores.
    """

    mode: Mode = "search"
    backend: str = "auto"
    precision: Precision | None = None
    steps: Positive | None = None
    budget_ms: Annotated[float, Field(gt=0)] | None = None
    threads: Positive | None = None


class CameraSettings(Section):
    """One camera.

    Attributes:
        name: letters, digits, `-` and `_`; in results, metrics and on the page.
        source: a camera's number or device, rtsp://…, http://… (MJPEG), gst:PIPELINE, watch:FOLDER, a video file, an
            image or a folder of images. Paths are relative to the station file.
        policy: `latest`: the freshest frame, others are dropped and counted; `every`: none is dropped, the source
            waits. Absent: `every` for files and watched folders, else `latest`.
        roi_xyxy: part of the frame that is inspected, in pixels: left, top, right, bottom. Absent: all.
        loop: begin a file again at its end.
        paced: give a file's frames at its own rate, as a camera would.
        size_hw: asked of a camera, in pixels.
        frames_per_s: asked of a camera.
        pixel_format: four letters asked of a camera, such as MJPG.
        open_timeout_s: for a stream to answer.
        read_timeout_s: for the next frame of a stream.
        stalled_after_s: without a frame the camera counts as stalled.
        frozen_after_s: of one and the same frame the camera is opened again; 0: never.
    """

    name: str
    source: str
    policy: Literal["latest", "every"] | None = None
    roi_xyxy: tuple[int, int, int, int] | None = None
    loop: bool = False
    paced: bool = False
    size_hw: tuple[Positive, Positive] | None = None
    frames_per_s: Annotated[float, Field(gt=0, le=1000)] | None = None
    pixel_format: Annotated[str, Field(pattern="^[A-Za-z0-9 ]{4}$")] | None = None
    open_timeout_s: Seconds = 10.0
    read_timeout_s: Seconds = 5.0
    stalled_after_s: Seconds = 3.0
    frozen_after_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0

    @field_validator("source", mode="before")
    @classmethod
    def _numbered(cls, source: object) -> object:
        return str(source) if isinstance(source, int) and not isinstance(source, bool) else source

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"{name!r} is no name of a camera; use up to 64 letters, digits, '-' and '_'")
        return name

    @model_validator(mode="after")
    def _region(self) -> "CameraSettings":
        if self.policy == "latest" and self.source.startswith("watch:"):
            raise ValueError("a watched folder drops nothing; leave out policy, or say every")
        if self.roi_xyxy is not None:
            left, top, right, bottom = self.roi_xyxy
            if not (0 <= left < right and 0 <= top < bottom):
                raise ValueError(f"roi_xyxy {list(self.roi_xyxy)} is no region; give left < right and top < bottom")
        return self

    def address(self, folder: Path) -> Address:
        """Return what the source names; paths are relative to a folder."""
        address = read_address(self.source)
        if address.kind in ("camera", "network", "gstreamer"):
            return address
        prefix, colon, rest = self.source.partition(":")
        if colon and prefix == "watch":
            return read_address(f"watch:{folder / expanded(Path(rest))}")
        return read_address(str(folder / expanded(Path(self.source))))

    def source_settings(self) -> SourceSettings:
        """Return how the source is opened and read."""
        return SourceSettings(
            size_hw=self.size_hw,
            frames_per_s=self.frames_per_s,
            pixel_format=self.pixel_format,
            open_timeout_s=self.open_timeout_s,
            read_timeout_s=self.read_timeout_s,
        )

    def feed_settings(self, address: Address) -> FeedSettings:
        """Return how the camera is watched."""
        quiet = address.kind == "watch" or not address.is_live
        return FeedSettings(
            live=address.is_live,
            loop=self.loop,
            paced=self.paced,
            stalled_after_s=float("inf") if quiet else self.stalled_after_s,
            frozen_after_s=None if quiet or not self.frozen_after_s else self.frozen_after_s,
            abandon_after_s=float("inf") if quiet else 3 * (self.open_timeout_s + self.read_timeout_s),
        )


class StationSettings(Section):
    """A station.

    Attributes:
        name: of the station: letters, digits, `-` and `_`.
        bundle: folder of a calibrated bundle, relative to this file.
        data: folder for history, pictures and results, relative to this file.
        log: how events are written to standard error: `text` for people, `json` for a collector.
        inspection: see `InspectionSettings`.
        cameras: one or more, each with a name of its own.
        sinks: where verdicts go beside the history, each with a name of its own.
    """

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")] = "station"
    bundle: Path
    data: Path
    log: Literal["text", "json"] = "text"
    inspection: InspectionSettings = InspectionSettings()
    cameras: Annotated[tuple[CameraSettings, ...], Field(min_length=1)]
    sinks: tuple[SinkSettings, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> "StationSettings":
        cameras = [camera.name for camera in self.cameras]
        sinks = [sink.name or sink.kind for sink in self.sinks]
        for what, names in (("cameras", cameras), ("sinks", sinks)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} are called {twice[0]!r}; give each a name of its own")
        folders = [(sink.kind, sink.folder) for sink in self.sinks if sink.kind in ("jsonl", "pictures")]
        if len(set(folders)) < len(folders):
            raise ValueError("two sinks of one kind share a folder; give each a folder of its own")
        return self


def read_station(path: Path) -> StationSettings:
    """Read and check a station file; its folders become relative to where it lies.

    Raises:
        ConfigError: it cannot be read, or the first key that is unknown or impossible.
    """
    content = read_yaml(path, [], what="station file", such_as=_EXAMPLE)
    settings = parse(content, StationSettings, origin=str(path))
    folder = path.absolute().parent
    return settings.model_copy(update={name: _resolved(folder, getattr(settings, name)) for name in ("bundle", "data")})


def _resolved(folder: Path, path: Path) -> Path:
    try:
        return (folder / expanded(path)).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a link to itself
        raise ConfigError(f"{str(path)!r} is no path that a folder can have; correct bundle and data") from error


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return path.expanduser()
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} names a user who is not there; write the path in full") from error
