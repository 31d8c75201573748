"""The faults: how each begins and ends, and by what it is seen that the station has recovered from it.

FAULTS["broker_away"].begin(plant)
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from station_rig.clock import NO_CLOCK
from station_rig.evidence import Log, Seen
from station_rig.needed import needed
from station_rig.plant import CAMERA, Plant
from station_rig.receivers import NO_BROKER
from station_rig.streams import rtsp_is_missing

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        how: it is brought about, in words.
        begin: brings it about.
        end: takes its cause away; nothing, where the cause is over at once.
        lasts: whether the cause stays for a while.
        log: where the first acknowledgement afterwards is looked for: of verdicts, or of a sink.
        recovered: made when the cause is gone; says of an acknowledgement whether it is new.
        sign: what the station's log says when it has noticed; empty: it says nothing.
        plant: what the plant needs to have.
        needs: says why it cannot be brought about here; empty: it can.
        alone: whether another station beside it would change its figures.
    """

    how: str
    begin: Callable[[Plant], None]
    end: Callable[[Plant], None] = lambda plant: None
    lasts: bool = True
    log: Callable[[Plant], Log] = lambda plant: plant.witness
    recovered: Callable[[Plant], Callable[[Seen], bool]] = lambda plant: _of_the_camera(plant)
    sign: str = ""
    plant: Mapping[str, bool] = field(default_factory=dict)
    needs: Callable[[], str] = lambda: ""
    alone: bool = False


def _of_the_camera(plant: Plant) -> Callable[[Seen], bool]:
    """Verdicts of frames of the camera that came after this moment."""
    now_ns = time.time_ns()
    return lambda seen: seen.camera == CAMERA and seen.timestamp_ns >= now_ns


def _of_a_new_connection(plant: Plant) -> Callable[[Seen], bool]:
    """Verdicts of frames whose count began anew: the last ones of the old connection may still be on their way."""
    before = next(seen.frame for seen in reversed(plant.witness.seen) if seen.camera == CAMERA)
    return lambda seen: seen.camera == CAMERA and seen.frame < before


def _any(plant: Plant) -> Callable[[Seen], bool]:
    return lambda seen: True


def _of_what_is_shown(plant: Plant) -> Callable[[Seen], bool]:
    """Verdicts that are right for what the camera shows now: they tell that these very frames were judged."""
    right = {"small": "normal", "large": "anomalous"}[plant.mjpeg.showing]
    after = _of_the_camera(plant)
    return lambda seen: after(seen) and seen.verdict == right


def _by_the_clock(plant: Plant) -> Callable[[Seen], bool]:
    """Verdicts of the camera whose time of day is that of the clock that was set back."""
    begin_ns = time.time_ns() - round(_part(plant.clock).offset_s * 1e9)
    return lambda seen: seen.camera == CAMERA and begin_ns <= seen.timestamp_ns < begin_ns + 60 * 10**9


def _other_size(plant: Plant) -> None:
    plant.mjpeg.show("large" if plant.mjpeg.showing == "small" else "small")


def _answer_500(plant: Plant) -> None:
    plant.web.otherwise = 500


def _fill(plant: Plant) -> None:
    """Fill the disk and wait until the station cannot write any more: it may use what SQLite has claimed before."""
    _part(plant.disk).fill()
    before, end_s = plant.station.said(FAULTS["disk_full"].sign), time.monotonic() + 30
    while plant.station.said(FAULTS["disk_full"].sign) == before and time.monotonic() < end_s:
        time.sleep(0.05)
        _part(plant.disk).fill()


def _part(found: Any) -> Any:
    return needed(found, "a part of the plant")


FAULTS: Mapping[str, Fault] = {
    "rtsp_killed": Fault(
        how="the RTSP server (GStreamer's) gets SIGKILL and is started again at the same port",
        begin=lambda plant: _part(plant.rtsp).kill(),
        end=lambda plant: _part(plant.rtsp).start(),
        sign="camera line is lost",
        plant={"rtsp": True},
        needs=rtsp_is_missing,
    ),
    "stall": Fault(
        how="the MJPEG server sends nothing more and closes nothing, on new connections too, then goes on",
        begin=lambda plant: plant.mjpeg.stall(),
        end=lambda plant: plant.mjpeg.go_on(),
        sign="camera line is stalled",
    ),
    "half_frame": Fault(
        how="the MJPEG server sends half a JPEG and closes the connection; it takes new ones at once",
        begin=lambda plant: plant.mjpeg.cut(),
        lasts=False,
        recovered=_of_a_new_connection,
        sign="camera line is lost",
    ),
    "resolution_change": Fault(
        how="the stream goes from 160x120 to 320x240 or back from one picture to the next, without a new connection; "
        "it shows other parts then, so that the verdicts tell which frames were judged",
        begin=_other_size,
        lasts=False,
        recovered=_of_what_is_shown,
    ),
    "broker_away": Fault(
        how="the MQTT broker (mosquitto) gets SIGKILL and is started again",
        begin=lambda plant: _part(plant.mqtt).stop(),
        end=lambda plant: _part(plant.mqtt).start(),
        log=lambda plant: plant.logs["mqtt"],
        recovered=_any,
        sign="sink mqtt does not deliver",
        needs=lambda: NO_BROKER,
    ),
    "webhook_500s": Fault(
        how="the web server answers 500",
        begin=_answer_500,
        end=lambda plant: plant.web.get_well(),
        log=lambda plant: plant.logs["webhook"],
        recovered=_any,
        sign="sink webhook does not deliver",
    ),
    "webhook_timeouts": Fault(
        how="the web server takes requests and does not answer; it remembers them, so what comes again is a duplicate",
        begin=lambda plant: plant.web.hang(),
        end=lambda plant: plant.web.get_well(),
        log=lambda plant: plant.logs["webhook"],
        recovered=_any,
        sign="sink webhook does not deliver",
    ),
    "disk_full": Fault(
        how="all free blocks of the disk with history, results and pictures are taken, and freed again",
        begin=_fill,
        end=lambda plant: _part(plant.disk).free(),
        recovered=_any,
        sign="verdicts are held",
        plant={"disk": True},
    ),
    "sigkill": Fault(
        how="the station gets SIGKILL and is started again; recovery includes the start of Python and the bundle",
        begin=lambda plant: plant.station.kill(),
        end=lambda plant: plant.station.start(),
        alone=True,
    ),
    "clock_back": Fault(
        how="the station's time of day is set back by one minute to two hours (libfaketime, this process only; the "
        "monotonic clock runs on)",
        begin=lambda plant: _part(plant.clock).set_back(60 + 7140 * (time.monotonic() % 1)),
        lasts=False,
        recovered=_by_the_clock,
        plant={"clock": True},
        needs=lambda: NO_CLOCK,
    ),
}
"""By name."""
