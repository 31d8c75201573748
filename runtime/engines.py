"""Engines that were built for a device, beside the bundle's graphs: what compiling took minutes for is read in moments.

    bundle/engines/engines.json     what each file is, and its SHA-256; belongs to the device, not to what was exported
    bundle/engines/*.engine

An engine is used only for the very graph, weights, precision, inference engine, version and device that it was built
for; all others are left alone, and built anew when they are asked for.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from ganspect.bundle import Bundle
from ganspect.clock import utc_now
from ganspect.errors import OutputError
from ganspect.files import locked, read_json, write_atomically
from ganspect.progress import print_warning
from ganspect.records import Precision, Record

ENGINES_FOLDER = "engines"
INDEX = "engines.json"

Array: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Source: TypeAlias = Literal["cached", "built", "rebuilt"]


@dataclass(frozen=True)
class Port:
    """An input or output of an engine.

    Attributes:
        name: as the graph has it.
        dtype: NumPy's name of its type.
        shape: -1 where it changes from run to run, as the batch does.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class BuiltEngine:
    """An engine of a graph as it was built or found.

    Attributes:
        graph: its name in the bundle.
        precision: of the convolutions.
        inputs: as the engine has them, in its order.
        outputs: likewise.
        size_bytes: of the engine.
        seconds: that building or reading it took.
        source: `cached`, `built`, or `rebuilt` in place of an older one.
    """

    graph: str
    precision: Precision
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    size_bytes: int
    seconds: float
    source: Source


class EngineKey(Record):
    """What an engine was built for.

    Attributes:
        flavour: `openvino`, `tensorrt` or `tensorrt-rtx`.
        version: of that inference engine, in full.
        device: a kind of device, as the backend names it: `NVIDIA RTX A2000 sm86`, `sm86`, a processor.
        precision: of the convolutions.
        graph: its name in the bundle.
        graph_sha256: of the graph's file and the weights together.
    """

    flavour: str
    version: str
    device: str
    precision: Precision
    graph: str
    graph_sha256: str


class EngineRecord(Record):
    """An engine in the cache; built ahead of time it may be for several devices.

    Attributes:
        keys: one for each device.
        file: in the folder of engines.
        sha256: of the file.
        size_bytes: of the file.
        created: time of day, ISO 8601 with zone.
    """

    keys: list[EngineKey]
    file: str
    sha256: str
    size_bytes: int
    created: str


class _Index(Record):
    schema_version: int = 1
    engines: tuple[EngineRecord, ...] = ()


class EngineCache:
    """The engines of one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        """Look at a bundle's engines; nothing is read yet."""
        self._bundle = bundle
        self._folder = bundle.folder / ENGINES_FOLDER

    def key(self, flavour: str, version: str, device: str, precision: Precision, graph: str, file: Path) -> EngineKey:
        """Return the key of an engine that is built from a graph's file in this bundle."""
        name = file.relative_to(self._bundle.folder).as_posix()
        hashes = [self._bundle.manifest.sha256[part] for part in (name, *self._weights())]
        content = hashlib.sha256("".join(hashes).encode()).hexdigest()
        return EngineKey(
            flavour=flavour, version=version, device=device, precision=precision, graph=graph, graph_sha256=content
        )

    def get_or_build(
        self, keys: list[EngineKey], build: Callable[[], bytes], *, again: bool = False
    ) -> tuple[bytes, Source]:
        """Return an engine from the cache, or build and keep it.

        A file that is not what was written is built again, which is said; so is an engine of another version or device.
        Where the bundle cannot be written, the engine is used without being kept, and a warning says so.

        Args:
            keys: of the devices that the engine must serve, one or more.
            build: makes it.
            again: build it whatever the cache has.
        """
        record = self.find(keys)
        source: Source = "built"
        if record is not None:
            source = "rebuilt"
            content = self._read(record)
            if content is not None and not again:
                return content.tobytes(), "cached"
            if content is None:
                print_warning(f"{self._folder / record.file} is damaged or gone; the engine is built again")
        elif other := self._other(keys):
            Console(stderr=True).print(_difference(keys, other), highlight=False, markup=False, soft_wrap=True)
        built = build()
        self.put(keys, built)
        return built, source

    def mapped(self, key: EngineKey) -> Array | None:
        """Return the engine of a key as (size,) uint8 that lies in its file, so that it is in memory once.

        None where there is none; a damaged one is said to be, and not used.
        """
        record = self.find([key])
        content = None if record is None else self._read(record)
        if record is not None and content is None:
            print_warning(f"{self._folder / record.file} is damaged or gone; the graph is compiled instead")
        return content

    def find(self, keys: list[EngineKey]) -> EngineRecord | None:
        """Return the record of an engine that serves all the keys, or None."""
        return next((record for record in self.records() if all(key in record.keys for key in keys)), None)

    def records(self) -> list[EngineRecord]:
        """Return what the cache says that it holds; an index that cannot be read counts as empty, which is said."""
        path = self._folder / INDEX
        if not path.exists():
            return []
        try:
            return list(_Index.model_validate(read_json(path)).engines)
        except (OSError, ValueError, ValidationError):
            print_warning(f"{path} cannot be read; its engines are built again")
            return []

    def put(self, keys: list[EngineKey], content: bytes) -> None:
        """Keep an engine in place of older ones with the same keys."""
        digest = hashlib.sha256(content).hexdigest()
        name = f"{keys[0].flavour}-{keys[0].graph}-{keys[0].precision}-{_short(keys)}.engine"
        now = utc_now()
        record = EngineRecord(keys=keys, file=name, sha256=digest, size_bytes=len(content), created=now)
        try:
            self._folder.mkdir(exist_ok=True)
            write_atomically(self._folder / name, content)
            with locked(self._folder):
                kept = [old for old in self.records() if old.file != name]
                index = _Index(engines=(*kept, record)).model_dump_json(indent=2) + "\n"
                write_atomically(self._folder / INDEX, index.encode())
        except (OSError, OutputError):
            print_warning(f"{self._folder} cannot be written; the engine is used, and built again the next time")

    def _read(self, record: EngineRecord) -> Array | None:
        path = self._folder / record.file
        try:
            if path.parent != self._folder or not path.is_file() or not path.stat().st_size:
                return None
            # Copy on write: runtimes ask for memory that could be written, and none writes.
            content: Array = np.memmap(path, np.uint8, mode="c")
        except (OSError, ValueError):  # a name that no file can have, or one that may not be read
            return None
        return content if hashlib.sha256(content.data).hexdigest() == record.sha256 else None

    def _other(self, keys: Sequence[EngineKey]) -> EngineRecord | None:
        """Return an engine of the same graph that cannot be used here, one of another version first."""

        def concerns(key: EngineKey) -> bool:
            return (key.flavour, key.precision, key.graph) == (keys[0].flavour, keys[0].precision, keys[0].graph)

        others = [record for record in self.records() if any(map(concerns, record.keys))]
        return min(others, key=lambda record: record.keys[0].version == keys[0].version, default=None)

    def _weights(self) -> list[str]:
        graphs = self._bundle.manifest.graphs.values()
        files = {file for graph in graphs for file in (graph.file, *graph.variants.values())}
        return sorted(set(self._bundle.manifest.sha256) - files)


def _short(keys: list[EngineKey]) -> str:
    content = "".join(key.model_dump_json() for key in keys)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _difference(keys: Sequence[EngineKey], other: EngineRecord) -> str:
    found, asked = other.keys[0], keys[0]
    devices = ", ".join(key.device for key in other.keys)
    return (
        f"the engine of {asked.graph!r} in the cache is for {found.flavour} {found.version} on {devices}; "
        f"one for {asked.version} on {', '.join(key.device for key in keys)} is built"
    )
