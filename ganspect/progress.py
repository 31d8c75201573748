"""The progress bar that every long command shows, on standard error, so that standard output stays clean."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def progress_bar() -> Progress:
    """Return a bar with count, time left and a free text `detail`: pass `detail=""` when adding a task.

    On a console that is no terminal it prints nothing until it ends.
    """
    return Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=Console(stderr=True),
    )
