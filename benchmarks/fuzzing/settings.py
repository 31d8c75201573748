"""Recipes and station files, as text of YAML.

attempt(station_file(folder), b"name: 1", sandbox)
"""

import json
from pathlib import Path

import yaml
from hypothesis import strategies
from hypothesis.strategies import DrawFn, SearchStrategy

from fuzzing.target import SECRET, FaultError, Target
from fuzzing.values import NASTY_TEXTS, changed_bytes, changed_bytes_of, changed_values, hostile_texts
from ganspect.runtime.station.settings import read_station
from ganspect.sections import read_yaml
from ganspect.train.systems import parse_recipe

_ROOT = Path(__file__).resolve().parents[2]
_STATION = {
    "name": "line3",
    "bundle": "bundle",
    "data": "~/data",
    "log": "json",
    "inspection": {
        "mode": "search",
        "backend": "auto",
        "precision": "bf16",
        "steps": 5,
        "budget_ms": 50.5,
        "threads": 2,
    },
    "cameras": [
        {"name": "left", "source": f"rtsp://user:{SECRET}@10.0.0.5/stream?token={SECRET}", "size_hw": [480, 640]},
        {"name": "right", "source": 0, "policy": "latest", "roi_xyxy": [0, 0, 10, 10], "pixel_format": "MJPG"},
        {"name": "third", "source": "watch:drop", "loop": True, "paced": False, "frames_per_s": 30},
    ],
    "sinks": [
        {"kind": "jsonl", "rotate_mb": 1, "keep_files": 3, "verdicts": ["anomalous"]},
        {"kind": "pictures", "folder": "pictures", "quota_mb": 10},
        {"kind": "webhook", "url": "https://example.org/hook", "token_env": "TOKEN"},
        {"kind": "mqtt", "host": "broker", "port": 1883, "username": "u", "password_env": "PASSWORD"},
    ],
}
_BOMBS = {
    "laughs": "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12)),
    "merges": "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}\n" for n in range(1, 12)),
    "itself": "system: &a [*a]\nname: *a\nbundle: &b {x: *b}\n",
    "merged itself": "a: &a\n  <<: *a\n",
    "deep lists": "a: " + "[" * 5_000,
    "deep maps": "".join(f"{' ' * n}a:\n" for n in range(1_500)),
    "many keys": "".join(f"k{n}: 1\n" for n in range(30_000)),
    "long text": "name: " + "x" * 3_000_000,
    "many aliases": "a: &a 1\nb: [" + "*a, " * 20_000 + "]",
}
_SCALARS = (
    *(
        "2026-99-99",
        "2026-01-01T99:99:99",
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "!!null x",
        "!!binary '='",
    ),
    *(
        "!!python/object/apply:os.system ['true']",
        "!!set {a, b}",
        "!!omap [a]",
        "!!pairs [a]",
        "!!str {a: 1}",
        "!x y",
        "!!map [1]",
    ),
    *(
        "9" * 5_000,
        "0x" + "f" * 5_000,
        "1:60:60:60:99",
        "1" * 4_000,
        "0b2",
        "0o9",
        "1_",
        ".nan",
        ".inf",
        "-.inf",
        "1e999",
        "=",
        "<<",
    ),
    *(
        "&a *a",
        "*b",
        "|\n  text",
        "? [a]\n: b",
        "{? {a: 1} : b}",
        "[a, b]: c",
        "'\0'",
        '"\\ud800"',
        '"\\0"',
        "\t",
        "@",
        "%",
        "\ufeff",
    ),
)


def recipe(folder: Path) -> Target:
    """Return the target of recipes, with an override now and then."""
    path = folder / "recipe.yaml"
    names = ("fanogan_elpv_mono", "ganomaly_paper", "anogan_mnist")
    texts = [(_ROOT / f"configs/{name}.yaml").read_text(encoding="utf-8") for name in names]

    def run(given: tuple[bytes, tuple[str, ...]]) -> None:
        text, overrides = given
        path.write_bytes(text)
        parse_recipe(read_yaml(path, list(overrides)), path)

    keys = strategies.sampled_from(("seed", "image.size_hw", "training.gan.steps", "a.b.c", "seed.x", "", ".", "image"))
    values = hostile_texts() | strategies.sampled_from((*_SCALARS, *_BOMBS.values()))
    overrides = strategies.tuples(keys, values).map("=".join) | hostile_texts()
    some = strategies.one_of(strategies.just(()), strategies.tuples(overrides))
    return Target("recipe", strategies.tuples(_yaml(texts), some), run)


def station_file(folder: Path) -> Target:
    """Return the target of station files; of what is accepted, addresses and settings are made."""
    path = folder / "station.yaml"
    texts = [yaml.safe_dump(_STATION), (_ROOT / "configs/station_demo.yaml").read_text(encoding="utf-8")]

    def run(text: bytes) -> None:
        path.write_bytes(text)
        settings = read_station(path)
        for camera in settings.cameras:
            address = camera.address(folder)
            if SECRET in address.shown:
                raise FaultError("an address shows its password")
            camera.feed_settings(address)
            camera.source_settings()

    return Target("station file", _yaml(texts), run)


def _yaml(texts: list[str]) -> SearchStrategy[bytes]:
    documents = [yaml.safe_load(text) for text in texts]
    changed = changed_values(documents).map(lambda value: json.dumps(value).encode())
    return strategies.one_of(
        changed,
        changed,
        _with_scalar(texts),
        changed_bytes([text.encode() for text in texts]),
        changed_bytes_of(strategies.sampled_from([text.encode() for text in _BOMBS.values()])),
        strategies.tuples(strategies.sampled_from(texts), strategies.sampled_from(list(_BOMBS.values()))).map(
            lambda two: "\n".join(two).encode()
        ),
        strategies.binary(max_size=100),
    )


@strategies.composite
def _with_scalar(draw: DrawFn, texts: list[str]) -> bytes:
    """Draw a settings file with one value replaced by YAML of its own kind: a tag, an anchor, a date."""
    lines = draw(strategies.sampled_from(texts)).splitlines()
    at = draw(strategies.integers(0, len(lines) - 1))
    head, colon, _ = lines[at].partition(":")
    scalar = draw(strategies.sampled_from(_SCALARS) | strategies.sampled_from(NASTY_TEXTS))
    lines[at] = f"{head}{colon} {scalar}" if draw(strategies.booleans()) else f"{scalar}: 1"
    return "\n".join(lines).encode("utf-8", "surrogatepass")
