"""A verdict on every frame of a source, with results that can be followed while it runs.

ganspect screen bundle line3.mp4 --out out --save-anomalies --video
"""

import itertools
import re
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ganspect.datasets import Skipped
from ganspect.errors import ImageError, SourceError
from ganspect.files import require_writable, write_atomically
from ganspect.opencv import cv2
from ganspect.preprocess import Levels
from ganspect.progress import progress_bar
from ganspect.records import Mode, Precision
from ganspect.runtime.backends.tuning import LATENCY, Tuning
from ganspect.runtime.capture import Shot, Source, open_source
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.overlay import OverlayVideo, overlay, side_by_side, to_picture
from ganspect.runtime.results import PICTURES, RESULTS, VIDEO, ResultsFile, remove_older, require_ours, to_record
from ganspect.runtime.summary import Summary, Tally
from ganspect.runtime.verdict import Verdict

_FRAMES_PER_S = 10.0
"""Of the overlay video where the source has no rate."""


@dataclass(frozen=True)
class ScreenOptions:
    """What to do with every frame.

    Attributes:
        mode: the latent search, or the encoder's score alone; None: the bundle's own.
        budget_ms: time for a frame, then the verdict is `undecided`; None: no limit.
        steps: iterations at most; None: the calibration's.
        save_anomalies: save a picture of every frame that is not normal.
        video: write an overlay video.
        max_frames: stop after so many; None: when the source ends.
        backend: what runs the graphs; `auto`: the fastest one that was verified here.
        precision: of the convolutions; None: fp32, with `auto` any.
        tuning: how the CPU is used.
        levels: the source's raw levels for the model's black and white; None: frames are as the model takes them.
    """

    mode: Mode | None = None
    budget_ms: float | None = None
    steps: int | None = None
    save_anomalies: bool = False
    video: bool = False
    max_frames: int | None = None
    backend: str = "onnxruntime"
    precision: Precision | None = None
    tuning: Tuning = LATENCY
    levels: tuple[int, int] | None = None


def screen_source(bundle: Path, source: str, out: Path, options: ScreenOptions) -> Summary:
    """Screen a source; writes results.jsonl, summary.json and what the options ask for, and prints the summary.

    Args:
        bundle: a calibrated bundle.
        source: an image, a folder of images, a video file, a camera number, a stream, a pipeline or a watched folder.
        out: folder for the results; an older run's are replaced once the first verdict is there.
        options: see `ScreenOptions`.

    Raises:
        BundleError: the bundle is damaged or not calibrated.
        SourceError: the source is absent or empty, every image of a folder was skipped, or a camera stopped.
        ImageError: the only image, or a frame of a video, cannot be used.
        OutputError: `out` holds something else, cannot be written, or the disk is full.
        KeyboardInterrupt: the run was stopped; what was decided until then is written, with a summary.
    """
    require_ours(out)
    with (
        open_source(source) as frames,
        Inspector.load(
            bundle,
            mode=options.mode,
            backend=options.backend,
            precision=options.precision,
            steps=options.steps,
            budget_ms=options.budget_ms,
            tuning=options.tuning,
        ) as inspector,
    ):
        run = _Run(inspector, frames, out, options)
        settings = _settings(bundle, inspector, frames.name, options)
        try:
            run.screen()
        except (KeyboardInterrupt, SourceError):
            if run.tally.frames:
                run.finish(settings, interrupted=True)
            raise
        return run.finish(settings, interrupted=False)


class _Run:
    """One pass over a source; the results of an older run go when the first frame is decided."""

    def __init__(self, inspector: Inspector, source: Source, out: Path, options: ScreenOptions) -> None:
        self.tally = Tally()
        self._inspector = inspector
        self._source = source
        self._out = out
        self._options = options
        self._results: ResultsFile | None = None
        self._video: OverlayVideo | None = None
        self._unscored = 0
        self._beyond = 0
        levels = options.levels
        self._levels = None if levels is None else Levels(*levels, inspector.grid.bits)

    def screen(self) -> None:
        """Judge the frames; when the run is stopped the video ends with the last frame that was decided."""
        with ExitStack() as stack, progress_bar() as bar:
            task = bar.add_task("screening", total=_least(self._source.length, self._options.max_frames), detail="")
            try:
                for shot in itertools.islice(self._source, self._options.max_frames):
                    self._take(shot, stack)
                    speed = bar.tasks[task].speed
                    done = self.tally.frames + len(self._source.skipped)
                    bar.update(task, completed=done, detail=f"{speed:.1f} frames/s" if speed else "")
            except (KeyboardInterrupt, SourceError):
                self._end_video()
                raise
            self._end_video()
            # Images skipped after the last good one count as done too.
            bar.update(task, completed=self.tally.frames + len(self._source.skipped))
        if not self.tally.frames:
            raise _nothing_usable(self._source)

    def finish(self, settings: dict[str, Any], *, interrupted: bool) -> Summary:
        """Write and print the summary."""
        warnings = [
            *self._source.warnings,
            *_step_warnings(self._inspector),
            *self._budget_warnings(),
            *self._range_warnings(),
        ]
        summary = Summary(settings, self.tally, self._source.skipped, warnings, interrupted)
        summary.write(self._out)
        summary.show(Console())
        return summary

    def _budget_warnings(self) -> list[str]:
        burn_in = self._inspector.bundle.manifest.search.burn_in
        if not self._unscored or self._options.budget_ms is None:
            return []
        return [
            f"{self._unscored} frames have no score: this bundle's scores count after {burn_in} iterations, which "
            f"takes longer here than {self._options.budget_ms:g} ms; raise --budget-ms, or use --mode encoder"
        ]

    def _range_warnings(self) -> list[str]:
        if not self._beyond or self._levels is None:
            return []
        return [f"{self._beyond} frames had pixels beyond range {self._levels.black},{self._levels.white}: clipped"]

    def _take(self, shot: Shot, stack: ExitStack) -> None:
        try:
            if self._levels is not None:
                frame, beyond = self._levels.apply(shot.frame)
                shot = replace(shot, frame=frame)
                self._beyond += beyond > 0
            verdict = self._inspector.inspect(shot.frame)
        except ImageError as error:
            if not self._source.many:
                raise ImageError(f"{shot.source}: {error}") from error
            self._source.skip(Skipped(shot.source, str(error)))
            self._source.failed(shot)
            return
        if self._results is None:
            self._results = self._begin(stack)
        record = to_record(shot, verdict, self._inspector.mode)
        self._results.write(record)
        self.tally.add(record)
        self._unscored += verdict.outcome == "budget" and record["score"] is None
        self._source.done(shot)
        self._draw(shot, verdict)

    def _begin(self, stack: ExitStack) -> ResultsFile:
        remove_older(self._out)
        if self._options.video:
            rate = self._source.frames_per_s or _FRAMES_PER_S
            self._video = stack.enter_context(OverlayVideo(self._out / VIDEO, frames_per_s=rate))
        return stack.enter_context(ResultsFile(self._out / RESULTS))

    def _draw(self, shot: Shot, verdict: Verdict) -> None:
        saves = self._options.save_anomalies and verdict.anomalous
        if not saves and self._video is None:
            return
        picture, full_scale = to_picture(shot.frame, self._inspector.grid), self._inspector.heat_scale()
        if saves:
            content = cv2.imencode(".png", side_by_side(picture, verdict, full_scale=full_scale))[1].tobytes()
            folder = require_writable(self._out / PICTURES)
            write_atomically(folder / f"{_stem(shot.source)}_{shot.frame_index:06d}.png", content)
        if self._video is not None:
            self._video.add(overlay(picture, verdict, full_scale=full_scale))

    def _end_video(self) -> None:
        if self._video is not None:
            self._video.finish()


def _settings(bundle: Path, inspector: Inspector, source: str, options: ScreenOptions) -> dict[str, Any]:
    return {
        "bundle": str(bundle),
        "source": source,
        "mode": inspector.mode,
        "backend": inspector.backend.name,
        "precision": inspector.backend.precision,
        "threshold": inspector.threshold,
        "steps": inspector.steps if inspector.mode == "search" else None,
        "budget_ms": options.budget_ms,
    }


def _step_warnings(inspector: Inspector) -> list[str]:
    calibrated = inspector.calibration.steps
    if inspector.mode == "encoder" or inspector.steps == calibrated:
        return []
    return [
        f"the threshold was calibrated for {calibrated} steps and {inspector.steps} were asked for, so its false-alarm "
        "rate does not hold"
    ]


def _nothing_usable(source: Source) -> SourceError:
    reason = source.skipped[0].reason if source.skipped else "it gave no frames"
    return SourceError(
        f"nothing in {source.name} can be inspected, {len(source.skipped)} images were skipped: {reason}"
    )


def _least(length: int | None, limit: int | None) -> int | None:
    return min((count for count in (length, limit) if count is not None), default=None)


def _stem(source: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", Path(source).stem)
