"""Which pin a text names: a file that shows a level, or a line of a GPIO chip.

read_pin("/sys/class/gpio/gpio12/value")    # a path
read_pin("/dev/gpiochip0:12")               # line 12 of that chip
"""

import os
import re
from pathlib import Path
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import Field

PinName: TypeAlias = Annotated[str, Field(pattern=r"^(/.+|gpiochip[^/:]*:[0-9]{1,4})$")]
"""An absolute path, or CHIP:LINE."""


class ChipLine(NamedTuple):
    """A line of a GPIO chip.

    Attributes:
        chip: such as /dev/gpiochip0.
        line: its number on the chip.
    """

    chip: Path
    line: int


def read_pin(name: str) -> Path | ChipLine:
    """Return what a text names; nothing is opened."""
    if found := re.fullmatch(r"(?:/dev/)?(gpiochip[^/:]*):([0-9]{1,4})", name):
        return ChipLine(Path("/dev") / found[1], int(found[2]))
    return Path(name)


def read_level(path: Path) -> bool:
    """Return the level that a pin's file shows.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds neither 0 nor 1.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(descriptor, 16).strip()
    finally:
        os.close(descriptor)
    if content not in (b"0", b"1"):
        raise ValueError(f"{path} holds {content.decode(errors='replace')!r} where 0 or 1 was expected")
    return content == b"1"


def write_level(path: Path, level: bool) -> None:
    """Set a pin through its file; one that is not there is not created, since nothing would be behind it.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"1" if level else b"0")
    finally:
        os.close(descriptor)
