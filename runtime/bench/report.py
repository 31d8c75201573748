"""index.html of a benchmark: first screen, sections, and how the figures were made.

html = build_report(measured, content, curve)
"""

from collections.abc import Mapping
from typing import Any

from ganspect.runtime.bench.closing_sections import CLOSING_SECTIONS
from ganspect.runtime.bench.console import doubts
from ganspect.runtime.bench.curve import Curve
from ganspect.runtime.bench.drawn import Content, Drawn
from ganspect.runtime.bench.record import Measured
from ganspect.runtime.bench.sections import SECTIONS
from ganspect.runtime.bench.wording import duration, name_of, rate, times
from ganspect.runtime.evaluation.page import Card, Page, Tone, render


def build_report(measured: Measured, content: Content, curve: Curve | None) -> str:
    """Return the page.

    Args:
        measured: with all samples.
        content: of bench.json, for figures.
        curve: AUROC over iterations, if an evaluation is at hand.
    """
    bundle, environment, settings = content["bundle"], content["environment"], content["settings"]
    drawn = Drawn(measured, content, curve)
    height, width = bundle["size_hw"]
    page = Page(
        title=f"{bundle['folder']} on {device_of(content)}",
        subtitle=f"{bundle['system']}, {height}x{width} pixels, latent {bundle['latent_size']}, {settings['steps']} "
        f"iterations; {environment['cores']} cores, measured {environment['evaluated'][:10]}",
        headline=_headline(content),
        tone=_tone(content),
        warnings=tuple(f"{sentence[0].upper()}{sentence[1:]}." for sentence in doubts(content)),
        cards=_cards(content),
        sections=tuple(section for build in (*SECTIONS, *CLOSING_SECTIONS) if (section := build(drawn)) is not None),
        footer=f"ganspect {environment['ganspect']}; the same figures are in bench.json.",
    )
    return render(page)


def device_of(content: Content) -> str:
    """Return what the bundle ran on, in words: GPUs where there are any, else the processor."""
    gpus = [gpu["name"] for gpu in content["environment"]["gpus"]]
    devices = {entry["device"] for entry in content["backends"] if not entry["backend"].startswith("pytorch")}
    return ", ".join(gpus) if gpus and devices != {"CPU"} else str(content["environment"]["processor"])


def fastest(content: Content, mode: str, batch: int) -> Mapping[str, Any] | None:
    """Return our fastest row of a mode and batch; where PyTorch was measured, among those that agree with it."""
    named = content.get("ratios", {}).get("fastest", {}).get(f"{mode}_batch_{batch}")
    rows = [row for row in content["rows"] if (row["mode"], row["batch"]) == (mode, batch)]
    agreed = _agreed(content)
    trusted = [row for row in rows if f"{row['backend']} {row['precision']}" == named or _key(row) in agreed]
    return min(trusted or rows, key=lambda row: row["p50_ms"], default=None)


def _headline(content: Content) -> str:
    frame, step = fastest(content, "frame", 1), _smallest(content, "search_step")
    parts = []
    if frame is not None:
        parts.append(
            f"From a frame to its verdict in {duration(frame['p50_ms'])} ms at the median and "
            f"{duration(frame['p99_ms'])} ms at the 99th percentile, {name_of(frame)}."
        )
    if step is not None:
        faster = content.get("ratios", {}).get(f"search_step_batch_{step['batch']}")
        beside = f", {faster:.1f} times as fast as PyTorch" if faster and faster >= 1 else ""
        parts.append(
            f"One search step at batch {step['batch']} takes {duration(step['p50_ms'])} ms ({name_of(step)}){beside}."
        )
    return " ".join(parts)


def _tone(content: Content) -> Tone:
    agreements = content.get("reference", {"agreement": []})["agreement"]
    if not agreements:
        return "plain"
    return "good" if any(entry["verified"] for entry in agreements) else "bad"


def _cards(content: Content) -> tuple[Card, ...]:
    batches = content["settings"]["batches"]
    cards = [_latency_card(content, mode, label) for mode, label in _CARD_MODES]
    busiest = _most_images(content, batches[-1])
    peak = _smallest_peak(content)
    floor = content.get("share_of_floor", {}).get(f"search_step_batch_{batches[0]}")
    cards.append(busiest)
    cards.append(peak)
    if floor is not None:
        cards.append(
            Card(
                "share of the floor",
                f"{100 * floor:.0f}%",
                f"of the speed of plain fp32 matrix products, one step at batch {batches[0]}",
            )
        )
    return tuple(card for card in cards if card is not None)


_CARD_MODES = (
    ("frame", "frame to verdict"),
    ("search_step", "one search step"),
    ("encoder", "encoder alone"),
    ("search", "whole search, no exit"),
)


def _latency_card(content: Content, mode: str, label: str) -> Card | None:
    row = _smallest(content, mode)
    if row is None:
        return None
    ratio = content.get("ratios", {}).get(f"{mode}_batch_{row['batch']}")
    beside = "" if ratio is None else f"; {times(ratio)} PyTorch's speed"
    detail = f"p95 {duration(row['p95_ms'])}, p99 {duration(row['p99_ms'])} ms; {name_of(row)}, batch {row['batch']}"
    return Card(label, f"{duration(row['p50_ms'])} ms", detail + beside, "plain")


def _most_images(content: Content, batch: int) -> Card | None:
    row = fastest(content, "search_exit", batch)
    if row is None:
        return None
    return Card(
        "throughput as deployed",
        f"{rate(row['images_per_s'])} images/s",
        f"{name_of(row)}, batch {batch}, {row['iterations']:.3g} iterations an image",
    )


def _smallest_peak(content: Content) -> Card | None:
    batch = content["settings"]["batches"][0]
    row = _smallest(content, "frame") or _smallest(content, "search")
    if row is None:
        return None
    same = [other["peak_rss_mb"] for other in content["rows"] if _key(other) == _key(row) and other["batch"] == batch]
    return Card("peak memory", f"{max(same):.0f} MB", f"of the whole process at batch {batch}, {name_of(row)}")


def _smallest(content: Content, mode: str) -> Mapping[str, Any] | None:
    return fastest(content, mode, content["settings"]["batches"][0])


def _agreed(content: Content) -> set[tuple[str, str]]:
    agreements = content.get("reference", {"agreement": []})["agreement"]
    return {(entry["backend"], entry["precision"]) for entry in agreements if entry["verified"]}


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["backend"], row["precision"]
