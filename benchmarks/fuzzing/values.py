"""Values, texts and bytes that readers stumble over, and real ones with a few changes.

strategy = changed_json([{"schema_version": 1}])     # JSON texts near this one
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies
from hypothesis.strategies import DrawFn, SearchStrategy

from fuzzing.target import SECRET

Path: TypeAlias = tuple[str | int, ...]

NASTY_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "two\nlines",
        "\r\x1b[31mred\x1b[0m",
        "\x7f\x85\u2028",
        "\ud800",
        "\udcff.png",
        "\ufeff",
    ),
    *(
        "[/red]",
        "[bold",
        "%s%n",
        "%02d",
        "{camera}",
        "{0}",
        "a" * 300,
        "ä" * 5000,
        "x/" * 3000,
        "~nobody/x",
        "~\0",
        "~\ud800",
    ),
    *(
        "../outside",
        "../../outside",
        "/../..",
        "/dev/null",
        "/proc/self/mem",
        "/dev/zero",
        "//",
        ".",
        "..",
        "CON",
        "-",
        "--help",
    ),
    *(
        "null",
        "true",
        "NaN",
        "1e999",
        "-0",
        "0x10",
        "1_000",
        "9" * 5000,
        "2026-99-99",
        "١٢",
        "1:60",
        "=",
        "<<",
        "*a",
        "&a",
        "!!int x",
    ),
    *(
        f"rtsp://user:{SECRET}@host/x",
        f"http://u:p'{SECRET}\"@h/",
        f"rtsp://u:a/b{SECRET}@h/",
        f"http://h/?token={SECRET}",
    ),
)
NASTY_NUMBERS = (
    *(
        0,
        -1,
        1,
        2,
        255,
        65_535,
        65_536,
        2**31,
        2**32,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        2**64,
        10**30,
        10**400,
        -(10**18),
    ),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan")),
)


_REPEATS = strategies.sampled_from((1, 2, 500))
_COUNTS = strategies.sampled_from((1, 2, 4, 8, 64, 1000))
_KINDS = strategies.sampled_from(("set", "random", "cut", "double", "end"))
_FILLS = strategies.sampled_from((b"\0", b"\xff", b"\x7f", b"\x80"))
_FEW = strategies.binary(min_size=1, max_size=8)
_EITHER = strategies.booleans()


def nested(depth: int) -> Any:
    """Return a list in a list, so often."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@cache
def hostile_texts() -> SearchStrategy[str]:
    """Return texts: known trouble, or anything."""
    return strategies.one_of(strategies.sampled_from(NASTY_TEXTS), strategies.text(max_size=40))


@cache
def hostile_values() -> SearchStrategy[Any]:
    """Return JSON values: known trouble, or anything."""
    leaves = strategies.one_of(
        strategies.none(), strategies.booleans(), strategies.sampled_from(NASTY_NUMBERS), hostile_texts()
    )
    trees = strategies.recursive(
        leaves,
        lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(hostile_texts(), inner, max_size=3),
        max_leaves=6,
    )
    return strategies.one_of(leaves, trees, strategies.builds(nested, strategies.sampled_from((5, 60))))


@strategies.composite
def changed_values(draw: DrawFn, documents: Sequence[Any], most: int = 3) -> Any:
    """Draw a document with up to `most` changes: values replaced, removed, renamed, repeated."""
    document = copy.deepcopy(documents[draw(strategies.integers(0, len(documents) - 1))])
    for _ in range(draw(strategies.integers(0, most))):
        places = list(_places(document))
        if not places:
            break
        change = draw(_CHANGES)
        document = change(document, places[draw(strategies.integers(0, len(places) - 1))], draw)
    return document


def changed_json(documents: Sequence[Any]) -> SearchStrategy[bytes]:
    """Return JSON texts near these documents: other values, other signs, or none that are JSON."""
    texts = changed_values(documents).map(_to_json)
    whole = strategies.sampled_from([_to_json(document) for document in documents])
    return strategies.one_of(texts, texts, changed_bytes_of(texts), bombs(whole), strategies.binary(max_size=200))


def bombs(documents: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Return JSON that costs more than it seems: nested deeply, long numbers, one key many times."""
    deep = strategies.sampled_from((100, 1_500, 100_000))
    return strategies.one_of(
        deep.map(lambda depth: b"[" * depth),
        deep.map(lambda depth: b"[" * depth + b"]" * depth),
        deep.map(lambda depth: b'{"schema_version": 1, "entries": ' * depth + b"1" + b"}" * depth),
        documents.map(lambda text: re.sub(rb": ([0-9.]+)", b": " + b"9" * 4_000, text, count=1)),
        documents.map(lambda text: re.sub(rb": ([0-9.]+)", b": " + b"9" * 5_000, text, count=1)),
        documents.map(lambda text: text[:-1] + b', "schema_version": "x"}'),
        documents.map(lambda text: b"\xef\xbb\xbf" + text),
        documents.map(lambda text: text.decode().encode("utf-16")),
        documents.map(lambda text: text + b" " * 3_000_000),
    )


def changed_bytes(contents: Sequence[bytes]) -> SearchStrategy[bytes]:
    """Return bytes near these: some flipped, cut, doubled, overwritten."""
    return changed_bytes_of(strategies.sampled_from(list(contents)))


@strategies.composite
def changed_bytes_of(draw: DrawFn, contents: SearchStrategy[bytes]) -> bytes:
    """Draw bytes with up to four changes; most of them near the start, where headers are."""
    content = bytearray(draw(contents))
    for _ in range(draw(strategies.integers(0, 4))):
        end = len(content) if draw(_EITHER) else min(len(content), 200)
        at = draw(strategies.integers(0, end))
        count, kind = draw(_COUNTS), draw(_KINDS)
        if kind == "set":
            content[at : at + count] = draw(_FILLS) * min(count, 8)
        elif kind == "random":
            content[at : at + min(count, 8)] = draw(_FEW)
        elif kind == "cut":
            del content[at : at + count]
        elif kind == "double":
            content[at:at] = content[at : at + count]
        else:
            del content[at:]
    return bytes(content)


def _places(value: Any, at: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        inner = [place for key, part in value.items() for place in _places(part, (*at, key))]
    elif isinstance(value, list):
        inner = [place for index, part in enumerate(value[:4]) for place in _places(part, (*at, index))]
    else:
        inner = []
    return [*([at] if at else []), *inner]


def _parent(document: Any, at: Path) -> Any:
    for step in at[:-1]:
        document = document[step]
    return document


def _replace(document: Any, at: Path, draw: DrawFn) -> Any:
    _parent(document, at)[at[-1]] = draw(hostile_values())
    return document


def _remove(document: Any, at: Path, draw: DrawFn) -> Any:
    del _parent(document, at)[at[-1]]
    return document


def _rename(document: Any, at: Path, draw: DrawFn) -> Any:
    parent = _parent(document, at)
    if isinstance(parent, dict):
        parent[draw(hostile_texts())] = parent.pop(at[-1])
    else:
        parent.append(draw(hostile_values()))
    return document


def _repeat(document: Any, at: Path, draw: DrawFn) -> Any:
    parent = _parent(document, at)
    if isinstance(parent, list):
        parent.extend([parent[int(at[-1])]] * draw(_REPEATS))
        return document
    parent[at[-1]] = [parent[at[-1]]]
    return document


def _as_text(document: Any, at: Path, draw: DrawFn) -> Any:
    parent = _parent(document, at)
    parent[at[-1]] = str(parent[at[-1]])
    return document


_CHANGES: SearchStrategy[Callable[[Any, Path, DrawFn], Any]] = strategies.sampled_from(
    (_replace, _replace, _replace, _remove, _rename, _repeat, _as_text)
)


def _to_json(document: Any) -> bytes:
    return json.dumps(document).encode()
