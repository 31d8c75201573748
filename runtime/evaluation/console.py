"""The table that `ganspect evaluate` and the demo print on standard output.

print_table(metrics)
"""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ganspect.progress import print_warning
from ganspect.runtime.evaluation.wording import MISSING, NAMES, compared, rate_of, with_interval


def print_table(metrics: Mapping[str, Any], console: Console | None = None) -> None:
    """Print encoder, search, PCA and mean intensity side by side.

    Args:
        metrics: as metrics.json has them.
        console: to print on; absent: standard output.
    """
    counts, mode = metrics["counts"], metrics["protocol"]["mode"]
    title = f"{metrics['protocol']['data']}: {counts['normal']} normal, {counts['anomalous']} anomalous"
    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("", no_wrap=True)
    for header in ("AUROC [95%]", "AUPRC", "false alarms", "defects found"):
        table.add_column(header, justify="right", no_wrap=True)
    found = compared(metrics)
    for key in ("encoder", "search", *(key for key in NAMES if key not in ("encoder", "search"))):
        if key in found:
            table.add_row(NAMES[key], *_cells(found[key]), style="bold" if key == mode else None)
    (console or Console()).print(table)


def print_warnings(metrics: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what was left out, and what was wrong with the training: a bad table shall not be taken for a bad method.

    Args:
        metrics: as metrics.json has them.
        console: to print on; absent: standard output.
    """
    if skipped := metrics["counts"]["skipped_images"]:
        count = "1 test image was" if len(skipped) == 1 else f"{len(skipped)} test images were"
        print_warning(f"{count} left out, {skipped[0]['name']}: {skipped[0]['reason']}", console)
    for sentence in metrics["bundle"]["health"]["warnings"]:
        print_warning(f"training: {sentence}", console)


def _cells(system: Mapping[str, Any]) -> tuple[str, str, str, str]:
    image, point = system["image"], system.get("at_threshold")
    auroc = with_interval(None if image is None else image["auroc"])
    auprc = MISSING if image is None else f"{image['auprc']['value']:.3f}"
    if point is None:
        return auroc, auprc, MISSING, MISSING
    return (
        auroc,
        auprc,
        rate_of(point["false_alarms"], point["n_normal"]),
        rate_of(point["detections"], point["n_anomalous"]),
    )
