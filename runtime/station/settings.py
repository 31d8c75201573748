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
from ganspect.runtime.capture.address import Address, impossible, read_address
from ganspect.runtime.capture.feed import FeedSettings
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.triggers.settings import TriggerSettings
from ganspect.runtime.drift.settings import DriftSettings
from ganspect.runtime.good_period.settings import GoodPeriodSettings
from ganspect.runtime.history.settings import HistorySettings
from ganspect.runtime.outputs.settings import OutputSettings
from ganspect.runtime.page.settings import PageSettings
from ganspect.runtime.sinks.settings import SinkSettings
from ganspect.sections import Section, nearest, parse, read_yaml

_EXAMPLE = "configs/station_demo.yaml"
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Level = Annotated[int, Field(ge=0, le=65_535)]


class InspectionSettings(Section):
    """How frames are judged.

    Attributes:
        mode: `search`, or `encoder` for its score alone; absent: the bundle's own.
        backend: what runs the graphs; `auto`: the fastest one that `ganspect verify` has passed on this machine.
        precision: of the convolutions; absent: fp32, with `auto` any.
        steps: iterations of the search at most; absent: the calibration's.
        budget_ms: time for a frame; a search that it ends is `undecided`, which counts as anomalous. Absent: no limit.
        threads: that one graph may use; absent: all cores.
        batch: frames of several cameras that are judged together when they wait at the same time, 1 to 16; no frame
            waits for another to come. `auto`: as many as are faster together than in turn, measured at the start.
    """

    mode: Mode | None = None
    backend: str = "auto"
    precision: Precision | None = None
    steps: Positive | None = None
    budget_ms: Annotated[float, Field(gt=0)] | None = None
    threads: Positive | None = None
    batch: Literal["auto"] | Annotated[int, Field(ge=1, le=16)] = "auto"


class CameraSettings(Section):
    """One camera.

    Attributes:
        name: letters, digits, `-` and `_`; in results, metrics and on the page.
        source: a camera's number or device, rtsp://…, http://… (MJPEG), gst:PIPELINE, basler:SERIAL (or the
            name given to the camera; `basler:` is the first one), watch:FOLDER, a video file, an image or a folder of
            images. Paths are relative to the station file.
        policy: `latest`: the freshest frame, others are dropped and counted; `every`: none is dropped, the source
            waits; `trigger`: the first frame after each signal of the line. Absent: `every` for files and watched
            folders, else `latest`.
        trigger: where signals come from; see `trigger` below. Needed with `policy: trigger`.
        roi_xyxy: part of the frame that is inspected, in pixels: left, top, right, bottom. Absent: all.
        loop: begin a file again at its end.
        paced: give a file's frames at its own rate, as a camera would.
        range: the camera's raw levels for the model's black and white, such as [0, 4095] for 12 bit; what is beyond
            is clipped and counted. Absent: frames already are as the model takes them.
        bits: 8 to 16, short for the range from 0 to the largest value of so many bits.
        size_hw: asked of a camera, in pixels; a Basler camera cuts it from the middle of its sensor.
        frames_per_s: asked of a camera.
        pixel_format: asked of a camera: four letters such as MJPG or Y16, of a Basler camera Mono8, Mono12, BayerRG8.
        exposure_us: of a Basler camera; its automatic is switched off.
        gain_db: of a Basler camera; its automatic is switched off.
        trigger_line: of a Basler camera, such as Line1: it takes a frame at each signal on that line, and waits for
            the next one as long as it takes. Absent: it runs freely.
        open_timeout_s: for a stream to answer.
        read_timeout_s: for the next frame of a stream or a Basler camera.
        stalled_after_s: without a frame the camera counts as stalled.
        frozen_after_s: of one and the same frame the camera is opened again; 0: never.
    """

    name: str
    source: str
    policy: Literal["latest", "every", "trigger"] | None = None
    trigger: TriggerSettings | None = None
    roi_xyxy: tuple[int, int, int, int] | None = None
    loop: bool = False
    paced: bool = False
    range: tuple[Level, Level] | None = None
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    size_hw: tuple[Positive, Positive] | None = None
    frames_per_s: Annotated[float, Field(gt=0, le=1000)] | None = None
    pixel_format: Annotated[str, Field(pattern="^[A-Za-z0-9_ ]{3,32}$")] | None = None
    exposure_us: Annotated[float, Field(gt=0)] | None = None
    gain_db: float | None = None
    trigger_line: Annotated[str, Field(pattern="^[A-Za-z0-9]{1,64}$")] | None = None
    open_timeout_s: Seconds = 10.0
    read_timeout_s: Seconds = 5.0
    stalled_after_s: Seconds = 3.0
    frozen_after_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0

    @field_validator("source", mode="before")
    @classmethod
    def _numbered(cls, source: object) -> object:
        if isinstance(source, str) and (why := impossible(source)):
            raise ValueError(why)
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
        self._check_trigger()
        if self.roi_xyxy is not None:
            left, top, right, bottom = self.roi_xyxy
            if not (0 <= left < right and 0 <= top < bottom):
                raise ValueError(f"roi_xyxy {list(self.roi_xyxy)} is no region; give left < right and top < bottom")
        return self

    def _check_trigger(self) -> None:
        if (self.policy == "trigger") != (self.trigger is not None):
            raise ValueError("policy trigger and a trigger section go together; give both or neither")
        address = read_address(self.source)
        flows = address.is_stream or (self.loop and self.paced)
        if self.trigger is not None and not flows:
            raise ValueError(
                "a trigger takes the next frame of a live camera; give a camera or stream, or loop and paced to a video"
            )

    @model_validator(mode="after")
    def _of_the_camera(self) -> "CameraSettings":
        if self.range is not None and self.bits is not None:
            raise ValueError("range and bits say the same thing; give one of them")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"range {list(self.range)} has no levels; give black < white")
        if self.source.startswith("basler:"):
            return self
        for key in ("exposure_us", "gain_db", "trigger_line"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key} is for sources that begin with basler:; leave it out")
        if self.pixel_format is not None and not re.fullmatch("[A-Za-z0-9 ]{3,4}", self.pixel_format):
            raise ValueError(f"pixel_format {self.pixel_format!r} is no four letters such as MJPG or YUYV; correct it")
        return self

    @property
    def levels(self) -> tuple[int, int] | None:
        """Return the declared range, however it was declared."""
        return self.range if self.bits is None else (0, 2**self.bits - 1)

    def address(self, folder: Path) -> Address:
        """Return what the source names; paths are relative to a folder."""
        address = read_address(self.source)
        if address.is_stream:
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
            exposure_us=self.exposure_us,
            gain_db=self.gain_db,
            trigger_line=self.trigger_line,
            keep_every=self.policy == "every",
            open_timeout_s=self.open_timeout_s,
            read_timeout_s=self.read_timeout_s,
        )

    def feed_settings(self, address: Address) -> FeedSettings:
        """Return how the camera is watched."""
        # Where frames come when parts do, a pause says nothing.
        quiet = not address.is_stream or self.trigger_line is not None
        return FeedSettings(
            live=address.is_live,
            loop=self.loop,
            paced=self.paced,
            stalled_after_s=float("inf") if quiet else self.stalled_after_s,
            frozen_after_s=None if quiet or not self.frozen_after_s else self.frozen_after_s,
            abandon_after_s=float("inf") if quiet else 3 * (self.open_timeout_s + self.read_timeout_s),
        )


class TrustSettings(Section):
    """Whose bundles the station runs; needs `pip install 'ganspect[sign]'`.

    Attributes:
        public_key: PEM file of the key that a bundle must be signed with, relative to this file; read at the start.
        signed_calibration: whether calibration.json must be signed too, since whoever may write it moves the threshold.
    """

    public_key: Path
    signed_calibration: bool = False


class StationSettings(Section):
    """A station.

    Attributes:
        name: of the station: letters, digits, `-` and `_`.
        bundle: folder of a calibrated bundle, or a link to one, relative to this file; looked at again at each reload.
        data: folder for history, pictures and results, relative to this file.
        log: how events are written to standard error: `text` for people, `json` for a collector.
        inspection: see `InspectionSettings`.
        trust: see `TrustSettings`; absent: any bundle is run.
        history: how long verdicts are kept; see `HistorySettings`.
        cameras: one or more, each with a name of its own.
        sinks: where verdicts go beside the history, each with a name of its own.
        page: in the browser, see `PageSettings`; absent: none.
        outputs: what rejects a part, each with a name of its own.
        drift: see `DriftSettings`.
        good_period: see `GoodPeriodSettings`.
    """

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")] = "station"
    bundle: Path
    data: Path
    log: Literal["text", "json"] = "text"
    inspection: InspectionSettings = InspectionSettings()
    trust: TrustSettings | None = None
    history: HistorySettings = HistorySettings()
    cameras: Annotated[tuple[CameraSettings, ...], Field(min_length=1)]
    sinks: tuple[SinkSettings, ...] = ()
    page: PageSettings | None = None
    outputs: tuple[OutputSettings, ...] = ()
    drift: DriftSettings = DriftSettings()
    good_period: GoodPeriodSettings = GoodPeriodSettings()

    @model_validator(mode="after")
    def _unique(self) -> "StationSettings":
        cameras = [camera.name for camera in self.cameras]
        sinks = [sink.name or sink.kind for sink in self.sinks]
        outputs = [output.name or output.kind for output in self.outputs]
        for what, names in (("cameras", cameras), ("sinks", sinks), ("outputs", outputs)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what} are called {twice[0]!r}; give each a name of its own")
        unknown = sorted({name for output in self.outputs for name in output.cameras} - set(cameras))
        if unknown:
            raise ValueError(f"an output is for camera {unknown[0]!r}, which is none; {nearest(unknown[0], cameras)}")
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
    trust = settings.trust
    paths = {
        "bundle": _resolved(folder, settings.bundle, link=True),  # it may be moved to another version
        "data": _resolved(folder, settings.data),
        "trust": trust and trust.model_copy(update={"public_key": _resolved(folder, trust.public_key)}),
    }
    return settings.model_copy(update=paths)


def _resolved(folder: Path, path: Path, *, link: bool = False) -> Path:
    """Return a path of the file in full; a `link` stays one."""
    try:
        full = folder / expanded(path)
        resolved = full.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL, a link to itself
        raise ConfigError(f"{str(path)!r} is no path that a file or folder can have; correct it") from error
    return full if link else resolved


def expanded(path: Path) -> Path:
    """Return a path with `~` replaced.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return path.expanduser()
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} names a user who is not there; write the path in full") from error
