"""Arguments and options that several commands take."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ganspect.errors import ConfigError

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that 'ganspect export' wrote.")]
Mode = Annotated[
    Literal["search", "encoder"] | None,
    typer.Option(
        metavar="MODE", help="search: the latent search; encoder: its score alone; default: the bundle's own."
    ),
]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the recipe.")]
Runner = Annotated[
    str,
    typer.Option(
        metavar="B", help="What runs the graphs, such as openvino; auto: the fastest one that was verified here."
    ),
]
Precisely = Annotated[
    Literal["fp32", "bf16", "fp16", "int8"] | None,
    typer.Option(metavar="P", help="Of the convolutions: fp32 (the default), bf16, fp16 or int8."),
]
Backends = Annotated[
    list[str], typer.Option("--backend", metavar="B[,B]", help="Repeatable; default: every one that is installed.")
]
Precisions = Annotated[
    list[str], typer.Option("--precision", metavar="P[,P]", help="Repeatable; default: all that a backend offers.")
]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="That one graph may use; default: all cores.")]
Spinning = Annotated[bool, typer.Option(help="ONNX Runtime: idle threads wait busily, for latency, at more power.")]
Arena = Annotated[bool, typer.Option(help="ONNX Runtime: freed buffers are kept, for latency, in more memory.")]
Steps = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Iterations of the search at most; default: the bundle's K.")
]
RawLevels = Annotated[
    str | None,
    typer.Option("--range", metavar="BLACK,WHITE", help="Raw levels of the model's black and white, such as 0,4095."),
]


def split(values: list[str]) -> list[Any]:
    """Return the names in values such as `["fp32,bf16", "int8"]`, which may be repeated and have commas."""
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def level_range(text: str | None) -> tuple[int, int] | None:
    """Return the levels in a text such as `0,4095`.

    Raises:
        ConfigError: it is no range.
    """
    if text is None:
        return None
    found = re.fullmatch("([0-9]{1,5}),([0-9]{1,5})", text)
    black, white = (int(found[1]), int(found[2])) if found else (0, 0)
    if not black < white <= 65535:
        raise ConfigError(f"--range {text!r} is no range; give two levels with black < white, such as 0,4095")
    return black, white
