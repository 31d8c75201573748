"""What every command prints alike: the progress bar of a long one (on standard error), and warnings."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ganspect.errors import printable


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


def print_warning(sentence: str, console: Console | None = None) -> None:
    """Print `warning: SENTENCE` in yellow, on one line whatever the width, on standard output unless told otherwise."""
    console = console or Console()
    console.print(f"warning: {printable(sentence)}", style="yellow", markup=False, highlight=False, soft_wrap=True)
