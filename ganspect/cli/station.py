"""Commands of the station: what runs beside a line, and what it has recorded."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def run(
    station: Annotated[Path, typer.Argument(metavar="STATION.yaml", help="Cameras, bundle, data folder.")],
) -> None:
    """Run a station: cameras in, verdicts out, everything on disk, until Ctrl-C.

    Example: ganspect run configs/station_demo.yaml
    """
    from ganspect.runtime.station.command import run_station

    run_station(station)


def history(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A station's data folder.")],
    camera: Annotated[str | None, typer.Option(metavar="NAME", help="Of one camera.")] = None,
    verdict: Annotated[
        Literal["normal", "anomalous", "undecided"] | None,
        typer.Option(metavar="KIND", help="normal, anomalous or undecided."),
    ] = None,
    label: Annotated[
        Literal["normal", "anomalous", "none"] | None,
        typer.Option(metavar="KIND", help="What a person said: normal, anomalous; none: nothing."),
    ] = None,
    disagree: Annotated[bool, typer.Option("--disagree", help="Where a person said otherwise.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="2026-11-24T06:00, or how long ago: 30m, 2h, 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Likewise.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="The newest ones; a table shows 20.")] = None,
    uid: Annotated[str | None, typer.Option("--id", metavar="PREFIX", help="Whose id begins so.")] = None,
    form: Annotated[
        Literal["table", "jsonl", "csv", "parquet", "report"],
        typer.Option("--format", metavar="HOW", help="table, jsonl, csv, parquet; report: a shift in one HTML file."),
    ] = "table",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Needed for parquet and report.")] = None,
) -> None:
    """Show what a station has recorded, while it runs or afterwards.

    Example: ganspect history station --since 8h --format report --out shift.html
    """
    from ganspect.runtime.history.command import show_history

    show_history(
        data,
        camera=camera,
        verdict=verdict,
        label=label,
        disagree=disagree,
        since=since,
        until=until,
        limit=limit,
        uid_begin=uid,
        form=form,
        out=out,
    )
