"""The two passes over the test images: in full, as figures are made, and as screened, as verdicts are made.

full = full_pass(images, search, readout, mode="search", steps=20, progress=progress)
screened = screened_pass(images, inspector, progress)
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from rich.progress import Progress

from ganspect.records import Mode
from ganspect.runtime.evaluation.bootstrap import Floats
from ganspect.runtime.evaluation.labelled import LabelledImages
from ganspect.runtime.evaluation.readout import Array, Readout
from ganspect.runtime.inspector import Inspector
from ganspect.runtime.search import LatentSearch
from ganspect.runtime.searched import SearchedTiles, StartScores
from ganspect.runtime.verdict import Verdict

_TILES_AT_ONCE = 64


@dataclass(frozen=True)
class FullPass:
    """Scores of n images, exit off; a frame's score is the largest over its tiles.

    Attributes:
        search: (n,) best score of the search; None in encoder mode.
        start: (n,) the search's score at the encoder's start; None without an encoder.
        encoder: (n,) the encoder's own score; None without an encoder.
        at_start: (n,) every score by name at the encoder's latent; None without an encoder.
        at_search: (n,) every score by name at the search's best latent; None in encoder mode.
        at_last: (n,) every score by name at the latent after the search's last step, from its first start, where
            AnoGAN's paper takes its score; None in encoder mode.
        search_latents: for each image (T,D), the search's best latent of each tile; None where it was not run.
        encoder_latents: likewise the encoder's; None without an encoder.
    """

    search: Floats | None
    start: Floats | None
    encoder: Floats | None
    at_start: Mapping[str, Floats] | None
    at_search: Mapping[str, Floats] | None
    at_last: Mapping[str, Floats] | None
    search_latents: tuple[Array, ...] | None
    encoder_latents: tuple[Array, ...] | None

    def latents_of(self, mode: Mode) -> tuple[Array, ...]:
        """Return the latents that a mode's verdicts come from."""
        latents = self.search_latents if mode == "search" else self.encoder_latents
        if latents is None:
            raise ValueError(f"this pass has no {mode} latents")
        return latents

    def of_mode(self, mode: Mode) -> Floats:
        """Return the score that a mode's threshold is for, (n,)."""
        score = self.search if mode == "search" else self.encoder
        if score is None:
            raise ValueError(f"this pass has no {mode} score")
        return score


@dataclass(frozen=True)
class ScreenedPass:
    """Verdicts of n images given one by one, with early exit.

    Attributes:
        verdicts: `normal`, `anomalous` or `undecided`.
        scores: (n,) as users see them; a bound where the image was cleared.
        anomalous: (n,) bool, the verdicts.
        steps: (n,) iterations taken.
        latency_ms: (n,) from the start of preprocessing to the verdict.
    """

    verdicts: tuple[str, ...]
    scores: Floats
    anomalous: Array
    steps: Array
    latency_ms: Floats


def full_pass(
    images: LabelledImages,
    search: LatentSearch,
    readout: Readout,
    *,
    modes: Collection[Mode],
    steps: int,
    progress: Progress,
) -> FullPass:
    """Score every image without early exit.

    Args:
        images: to score.
        search: of the bundle.
        readout: of the same bundle.
        modes: without `search`, the search is not run.
        steps: K.
        progress: gets a task.
    """
    detail = "search in full" if "search" in modes else ""
    task = progress.add_task("score", total=len(images.samples), detail=detail)
    columns: dict[str, list[Array]] = {}
    latents: dict[Mode, list[Array]] = {"search": [], "encoder": []}
    for tiles, lengths in frames_in_batches(images, range(len(images.samples))):
        start = search.score(tiles)
        found = search.full(tiles, steps=steps) if "search" in modes else None
        x = readout.represent(tiles)
        scores = {**_start_columns(start, x, readout), **_search_columns(found, x, readout)}
        for name, score in scores.items():
            columns.setdefault(name, []).append(largest_of_frames(score, lengths))
        if found is not None:
            latents["search"] += np.split(found.latent, np.cumsum(lengths)[:-1])
        if start is not None:
            latents["encoder"] += np.split(start.latent, np.cumsum(lengths)[:-1])
        progress.advance(task, len(lengths))
    return _full_pass({name: np.concatenate(parts) for name, parts in columns.items()}, latents)


def screened_pass(images: LabelledImages, inspector: Inspector, progress: Progress) -> ScreenedPass:
    """Judge every image as a station would: frame by frame, with early exit."""
    task = progress.add_task("screen", total=len(images.samples), detail="as deployed")
    verdicts: list[Verdict] = []
    for sample in images.samples:
        verdicts.append(inspector.inspect(sample.read()))
        progress.advance(task)
    return ScreenedPass(
        tuple(verdict.verdict for verdict in verdicts),
        np.array([verdict.score for verdict in verdicts]),
        np.array([verdict.anomalous for verdict in verdicts]),
        np.array([verdict.steps for verdict in verdicts]),
        np.array([verdict.latency_ms["total"] for verdict in verdicts]),
    )


def frames_in_batches(images: LabelledImages, indices: Iterable[int]) -> Iterator[tuple[Array, list[int]]]:
    """Yield the tiles of whole frames, some dozens at once, (T,h,w,C) uint8, and how many each frame has."""
    pending: list[Array] = []
    for index in indices:
        pending.append(images.tiles(index).images)
        if sum(map(len, pending)) >= _TILES_AT_ONCE:
            yield np.concatenate(pending), [len(tiles) for tiles in pending]
            pending = []
    if pending:
        yield np.concatenate(pending), [len(tiles) for tiles in pending]


def largest_of_frames(scores: Array, lengths: list[int]) -> Floats:
    """Return the largest of each frame's tile scores; one that could not be computed counts as +inf."""
    known = np.where(np.isnan(scores), np.inf, scores).astype(np.float64)
    largest: Floats = np.maximum.reduceat(known, np.cumsum([0, *lengths[:-1]]))
    return largest


def _start_columns(start: StartScores | None, x: Array, readout: Readout) -> dict[str, Array]:
    if start is None:
        return {}
    at_start = _prefixed("start", readout.scores(x, start.latent))
    return {"start": start.start_score, "encoder": start.encoder_score, **at_start}


def _search_columns(found: SearchedTiles | None, x: Array, readout: Readout) -> dict[str, Array]:
    if found is None:
        return {}
    at_search = _prefixed("search", readout.scores(x, found.latent))
    return {"search": found.score, **at_search, **_prefixed("last", readout.scores(x, found.points))}


def _prefixed(prefix: str, scores: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}:{name}": score for name, score in scores.items()}


def _full_pass(columns: Mapping[str, Floats], latents: Mapping[Mode, list[Array]]) -> FullPass:
    def named(prefix: str) -> Mapping[str, Floats] | None:
        found = {name.partition(":")[2]: score for name, score in columns.items() if name.startswith(f"{prefix}:")}
        return found or None

    return FullPass(
        columns.get("search"),
        columns.get("start"),
        columns.get("encoder"),
        named("start"),
        named("search"),
        named("last"),
        tuple(latents["search"]) or None,
        tuple(latents["encoder"]) or None,
    )
