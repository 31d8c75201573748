"""The page's last sections: AUROC over latency, what was left out, and how the figures were made."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ganspect.runtime.bench.contenders import PYTORCH_EAGER
from ganspect.runtime.bench.curve import Curve
from ganspect.runtime.bench.drawn import Content, Drawn
from ganspect.runtime.bench.plots import Line, auroc_plot
from ganspect.runtime.bench.wording import name_of
from ganspect.runtime.evaluation.page import Drawing, Section, Table


def _auroc(drawn: Drawn) -> Section | None:
    curve = drawn.curve
    if curve is None:
        return None
    steps = [row for row in drawn.all_rows if row["mode"] == "search_step" and row["batch"] == drawn.batch]
    lines = [line for row in steps if row["backend"] != "pytorch-compiled" for line in _auroc_lines(drawn, row, curve)]
    return Section(
        "AUROC over latency",
        "How well the search ranks after so many milliseconds an image: the iterations of the evaluation's curve times "
        "the milliseconds of a step here, and the encoder's before them.",
        (Drawing(auroc_plot(lines), "AUROC of the best score over the time that it takes, exit off.", wide=True),),
    )


def _auroc_lines(drawn: Drawn, row: Mapping[str, Any], curve: Curve) -> list[Line]:
    step_ms = row["p50_ms"] / drawn.batch
    random = [count * step_ms for count in curve.iterations]
    style = drawn.style(row)
    found = []
    if curve.encoder_start is not None:
        encoder_ms = _encoder_ms(drawn, row)
        found.append(Line(name_of(row), [encoder_ms + ms for ms in random], curve.encoder_start, style))
    if curve.encoder_start is None or row["backend"] == PYTORCH_EAGER:
        found.append(Line(f"{name_of(row)}, random starts", random, curve.random_start, {**style, "alpha": 0.45}))
    return found


def _encoder_ms(drawn: Drawn, row: Mapping[str, Any]) -> float:
    wanted = ("encoder", row["batch"], row["backend"], row["precision"])
    for other in drawn.all_rows:
        if (other["mode"], other["batch"], other["backend"], other["precision"]) == wanted:
            return float(other["p50_ms"]) / drawn.batch
    return 0.0


def _left_out(drawn: Drawn) -> Section | None:
    rows = tuple(
        (" ".join(filter(None, (entry["backend"], entry["precision"]))), entry["reason"])
        for entry in drawn.content["left_out"]
    )
    return Section("Not measured", table=Table(("", "why"), rows)) if rows else None


def _protocol(drawn: Drawn) -> Section:
    content, settings = drawn.content, drawn.content["settings"]
    return Section(
        "How these figures were made",
        f"Each backend and precision in a process of its own, in turns: {settings['rounds']} rounds of "
        f"{settings['seconds'] / settings['rounds']:g} s for each row, its threads idle before the next one begins. "
        "Clock: perf_counter, around the call alone; inputs are ready before.",
        table=Table((), _protocol_rows(content)),
    )


def _tuning(tuning: Mapping[str, Any]) -> str:
    threads = "all cores" if tuning["threads"] is None else f"{tuning['threads']} thread(s)"
    off = [f"no {name}" for name in ("spinning", "arena") if not tuning[name]]
    return ", ".join([threads, *off])


def _protocol_rows(content: Content) -> tuple[tuple[str, str], ...]:
    bundle, settings, environment = content["bundle"], content["settings"], content["environment"]
    before, after = environment["before"], environment["after"]
    rows = (
        ("images", settings["images"]),
        ("search", f"{settings['steps']} iterations, {bundle['restarts']} start(s), score {bundle['search_score']}"),
        (
            "one step",
            f"difference of two searches {settings['step_span']} iterations apart, over that number",
        ),
        ("tuning", _tuning(settings["tuning"])),
        ("processor", f"{environment['processor']}, {environment['cores']} cores, {environment['machine']}"),
        ("instructions", ", ".join(environment["cpu_flags"])),
        ("clock", f"{_clocks(before)} before, {_clocks(after)} after{_governor(environment)}"),
        ("temperature", _temperatures(before, after)),
        ("load average", f"{before['load_average']} before, {after['load_average']} after"),
        ("other processes", _others(environment)),
        ("power mode", environment["power_mode"] or ""),
        ("GPU", "; ".join(_gpu(gpu) for gpu in environment["gpus"])),
        ("energy", environment["energy"] or "this device does not tell"),
        ("backends", ", ".join(f"{name_of(entry)}: {entry['version']}" for entry in content["backends"])),
        ("versions", f"ganspect {environment['ganspect']}, Python {environment['python']}, {_versions(environment)}"),
        ("exported with", ", ".join(f"{name} {version}" for name, version in bundle["exported_with"].items())),
        ("files", ", ".join(f"{name} {size:.3g} MB" for name, size in environment["files_mb"].items())),
        ("measured", environment["evaluated"]),
    )
    return tuple((name, text) for name, text in rows if text)


def _versions(environment: Content) -> str:
    return ", ".join(f"{name} {version}" for name, version in environment["packages"].items())


def _clocks(state: Content) -> str:
    clocks: Sequence[float] = state["clock_mhz"]
    if not clocks:
        return "unknown"
    low, high = min(clocks), max(clocks)
    return f"{high:.0f} MHz" if low == high else f"{low:.0f} to {high:.0f} MHz"


def _governor(environment: Content) -> str:
    return f"; governor {', '.join(environment['governor'])}" if environment["governor"] else ""


def _temperatures(before: Content, after: Content) -> str:
    found = [
        f"{zone} {before['temperature_c'].get(zone, celsius):.0f} to {celsius:.0f} °C"
        for zone, celsius in after["temperature_c"].items()
    ]
    return ", ".join(found)


def _others(environment: Content) -> str:
    share = environment["others_share"]
    return "" if share is None else f"took {100 * share:.1f}% of the processor meanwhile"


def _gpu(gpu: Content) -> str:
    return ", ".join(f"{name} {value}" for name, value in gpu.items() if value is not None)


CLOSING_SECTIONS: tuple[Callable[[Drawn], Section | None], ...] = (_auroc, _left_out, _protocol)
"""The sections below the figures, in order."""
