"""Good periods of a station: begun and ended by the page, or by a file that is there while one is on.

    touch DATA/good/on      # begins one; a name may be written into the file
    rm DATA/good/on         # ends it

A file needs no port, no password and no process id, shows at a glance how things stand, and who may switch is who may
write into the folder. Whoever switches, the file says the same: the page's methods create and remove it too.
"""

import contextlib
import logging
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganspect.clock import utc_now
from ganspect.errors import CalibrationError, ConfigError, GanspectError, OutputError, one_line
from ganspect.files import require_writable
from ganspect.runtime.good_period.collector import Collector
from ganspect.runtime.good_period.record import Period, read_period, write_period
from ganspect.runtime.good_period.settings import GoodPeriodSettings
from ganspect.runtime.judged import Judged

FOLDER = "good"
SWITCH = "on"

_log = logging.getLogger("ganspect.station")
_LOOK_S = 0.25
_ENDING_S = 10.0


@dataclass(frozen=True)
class GoodPeriodStatus:
    """What a page and the metrics show.

    Attributes:
        state: `off`; `on`: every frame that is due is kept; `storing`: it was ended, and the last frames are written.
        name: of this period, or of the last one since the station began; empty without any.
        folder: of it.
        frames: that are stored, by camera.
        waiting: that wait for the disk.
        complete: whether it can be used for a threshold; None as long as that is open.
        reason: what ended it.
    """

    state: Literal["off", "on", "storing"]
    name: str = ""
    folder: Path | None = None
    frames: dict[str, int] | None = None
    waiting: int = 0
    complete: bool | None = None
    reason: str = ""


class GoodPeriod:
    """The switch of a station's good periods. Every method may be called from any thread.

    Attributes:
        folder: of all periods.
        bundle: which one judges, for the record; may be changed.
    """

    def __init__(self, settings: GoodPeriodSettings, *, data: Path, station: str, bundle: str) -> None:
        """Close what an earlier run left open, and watch the switch.

        Args:
            settings: of the section `good_period:`.
            data: the station's folder.
            station: its name.
            bundle: which one judges, by the hash of its manifest.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.folder = require_writable(data / FOLDER)
        self.bundle = bundle
        self._settings = settings
        self._station = station
        self._collector: Collector | None = None
        self._lock = threading.RLock()
        self._acted = self._stuck = False
        self._closing = threading.Event()
        self._take_stock()
        self._thread = threading.Thread(target=self._watch, name="good periods", daemon=True)
        self._thread.start()

    def begin(self, name: str | None = None) -> GoodPeriodStatus:
        """Begin a period, or go on with the one that is on.

        Args:
            name: of its folder: letters, digits, `-` and `_`; None: the time of day.

        Raises:
            ConfigError: the name is none, is taken, or another period is on or still being stored.
            OutputError: nothing can be written, or the quota is used up.
        """
        with self._lock:
            status = self.status()
            if status.state == "storing" or (status.state == "on" and name not in (None, status.name)):
                raise ConfigError(
                    f"the good period {status.name} is {status.state}; end it, or wait until it is stored"
                )
            if status.state == "off":
                self._open(name or time.strftime("%Y-%m-%d_%H%M%S"))
                self._set_switch(on=True)
            return self.status()

    def end(self) -> GoodPeriodStatus:
        """End the period that is on, if any; its last frames may still have to be stored."""
        with self._lock:
            if self._collector is not None:
                self._collector.end()
            self._set_switch(on=False)
            return self.status()

    def observe(self, judged: Judged) -> None:
        """Take note of a verdict; neither waits nor raises."""
        collector = self._collector
        if collector is not None:
            collector.offer(judged)

    def status(self) -> GoodPeriodStatus:
        """Return how things stand."""
        collector = self._collector
        if collector is None:
            return GoodPeriodStatus("off")
        state: Literal["off", "on", "storing"] = "off" if collector.over else "storing"
        period = collector.period
        return GoodPeriodStatus(
            state="on" if collector.collecting else state,
            name=period.name,
            folder=self.folder / period.name,
            frames=period.frames,
            waiting=collector.waiting,
            complete=period.complete if state == "off" else None,
            reason=period.reason,
        )

    def close(self) -> None:
        """End with the station: a period that is on is incomplete, for nobody has declared its end."""
        self._closing.set()
        self._thread.join(_ENDING_S)
        with self._lock:
            if self._collector is not None:
                if self._collector.collecting:
                    self._collector.end("the station stopped before the period was ended", hole=True)
                self._collector.join(_ENDING_S)
            self._set_switch(on=False)

    def _open(self, name: str) -> None:
        if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name):
            raise ConfigError(f"{name!r} is no name of a good period; use up to 64 letters, digits, '-' and '_'")
        room_bytes = (self._settings.quota_mb << 20) - self._used()
        if room_bytes <= 0:
            raise OutputError(
                f"the good periods in {self.folder} use up their {self._settings.quota_mb} MB; remove old ones, or "
                "raise good_period.quota_mb"
            )
        folder = self.folder / name
        if folder.exists() or name == SWITCH:
            raise ConfigError(f"there is a {folder} already; give the good period another name")
        require_writable(folder)
        period = Period(
            station=self._station,
            name=name,
            bundle=self.bundle,
            begun=utc_now(),
            every_n=self._settings.every_n,
            at_most_per_s=self._settings.at_most_per_s,
        )
        write_period(folder, period)
        _log.warning("good period %s is on: every frame that is due is kept in %s", name, folder)
        self._collector = Collector(folder, period, self._settings, room_bytes=room_bytes)

    def _watch(self) -> None:
        while not self._closing.wait(_LOOK_S):
            with self._lock, contextlib.suppress(OSError):  # a folder that cannot be looked at now is looked at again
                self._look()

    def _look(self) -> None:
        """Follow the switch, and let it follow a period that ended by itself."""
        collecting = self._collector is not None and self._collector.collecting
        if not (self.folder / SWITCH).exists():
            if collecting:
                self.end()
            self._acted = self._stuck = False
        elif collecting:
            self._acted = True
        elif not self._acted:
            self._switched_on()
        elif not self._stuck:
            self._set_switch(on=False)

    def _switched_on(self) -> None:
        if self._collector is not None and not self._collector.over:
            return  # once the one before is stored
        try:
            self.begin((self.folder / SWITCH).read_text(encoding="utf-8", errors="replace").strip()[:100] or None)
        except FileNotFoundError:
            return  # switched off again
        except (GanspectError, OSError) as error:
            _log.error("no good period begins: %s", one_line(error))
            self._set_switch(on=False)

    def _set_switch(self, *, on: bool) -> None:
        """Create or remove the switch; one that cannot be removed is left alone, and said once."""
        switch = self.folder / SWITCH
        self._acted = on
        try:
            if on:
                switch.touch()
            else:
                switch.unlink(missing_ok=True)
        except OSError as error:
            self._acted = self._stuck = True
            _log.error("%s cannot be %s: %s", switch, "written" if on else "removed", error.strerror)

    def _used(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*/*.png"))

    def _take_stock(self) -> None:
        """Mark periods incomplete that an earlier run did not end: nobody knows what is missing."""
        if (self.folder / SWITCH).exists():
            _log.warning(
                "%s was there before the station and is removed; begin a good period anew", self.folder / SWITCH
            )
            self._set_switch(on=False)
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            with contextlib.suppress(CalibrationError):
                period = read_period(folder)
                if period is not None and period.ended is None:
                    reason = "the station ended before the period did"
                    write_period(folder, period.model_copy(update={"ended": utc_now(), "reason": reason}))
                    _log.warning("good period %s is incomplete and cannot be used: %s", folder.name, reason)
