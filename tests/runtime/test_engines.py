import json

import pytest

from ganspect.bundle import open_bundle
from ganspect.runtime.engines import ENGINES_FOLDER, INDEX, EngineCache, EngineKey


@pytest.fixture
def bundle(copy, tiny_bundle):
    return open_bundle(copy(tiny_bundle))


@pytest.fixture
def cache(bundle):
    return EngineCache(bundle)


class Builder:
    """Counts how often it builds."""

    def __init__(self, content: bytes = b"an engine") -> None:
        self.content, self.calls = content, 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.content


def key_of(cache: EngineCache, bundle, *, version: str = "1.0", device: str = "sm86", graph: str = "step") -> EngineKey:
    return cache.key("tensorrt-rtx", version, device, "fp32", graph, bundle.graph_path(graph))


def only_file(bundle):
    (path,) = (bundle.folder / ENGINES_FOLDER).glob("*.engine")
    return path


def edit_index(bundle, **changes) -> None:
    path = bundle.folder / ENGINES_FOLDER / INDEX
    index = json.loads(path.read_text())
    index["engines"][0].update(changes)
    path.write_text(json.dumps(index))


def test_an_engine_is_built_once(cache, bundle):
    build, keys = Builder(), [key_of(cache, bundle)]
    assert cache.get_or_build(keys, build) == (b"an engine", "built")
    assert EngineCache(bundle).get_or_build(keys, build) == (b"an engine", "cached")
    assert build.calls == 1


def test_engines_do_not_touch_what_was_exported(cache, bundle):
    cache.get_or_build([key_of(cache, bundle)], Builder())
    assert open_bundle(bundle.folder).manifest == bundle.manifest


def test_again_builds_what_is_there(cache, bundle):
    keys = [key_of(cache, bundle)]
    cache.get_or_build(keys, Builder())
    assert cache.get_or_build(keys, Builder(b"another"), again=True) == (b"another", "rebuilt")
    assert only_file(bundle).read_bytes() == b"another"


def test_an_engine_for_two_devices_serves_either(cache, bundle):
    small, large = (key_of(cache, bundle, device=device) for device in ("sm86", "sm120"))
    cache.get_or_build([small, large], Builder())
    assert cache.get_or_build([large], Builder(b"unused")) == (b"an engine", "cached")
    assert bytes(cache.mapped(small)) == b"an engine"
    assert cache.mapped(key_of(cache, bundle, device="sm89")) is None


def test_graphs_have_engines_of_their_own(cache, bundle):
    for graph in ("step", "search"):
        cache.get_or_build([key_of(cache, bundle, graph=graph)], Builder(graph.encode()))
    for graph in ("step", "search"):
        assert bytes(cache.mapped(key_of(cache, bundle, graph=graph))) == graph.encode()


def test_the_key_follows_the_graph_and_the_weights(cache, bundle):
    plain = key_of(cache, bundle)
    for file in ("step.onnx", "weights.bin"):
        changed = bundle.manifest.model_copy(update={"sha256": bundle.manifest.sha256 | {file: "0" * 64}})
        other = type(bundle)(bundle.folder, changed, None, manifest_sha256="0" * 64)
        assert key_of(EngineCache(other), other).graph_sha256 != plain.graph_sha256


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_engine_is_built_again_and_that_is_said(cache, bundle, capsys, damage):
    keys = [key_of(cache, bundle)]
    cache.get_or_build(keys, Builder())
    path = only_file(bundle)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"an engin3")
    assert cache.get_or_build(keys, Builder()) == (b"an engine", "rebuilt")
    assert f"warning: {path} is damaged or gone; the engine is built again" in capsys.readouterr().out
    assert path.read_bytes() == b"an engine"


def test_a_damaged_engine_is_not_handed_out(cache, bundle, capsys):
    key = key_of(cache, bundle)
    cache.get_or_build([key], Builder())
    only_file(bundle).write_bytes(b"")
    assert cache.mapped(key) is None
    assert "is damaged or gone; the graph is compiled instead" in capsys.readouterr().out


def test_another_version_is_built_beside_and_that_is_said(cache, bundle, capsys):
    old, new = key_of(cache, bundle), key_of(cache, bundle, version="2.0")
    cache.get_or_build([old], Builder(b"old"))
    assert cache.get_or_build([new], Builder(b"new")) == (b"new", "built")
    said = "the engine of 'step' in the cache is for tensorrt-rtx 1.0 on sm86; one for 2.0 on sm86 is built"
    assert said in capsys.readouterr().err
    assert bytes(cache.mapped(old)) == b"old"


def test_another_gpu_is_said_too(cache, bundle, capsys):
    cache.get_or_build([key_of(cache, bundle)], Builder())
    keys = [key_of(cache, bundle, device=device) for device in ("sm86", "sm120")]
    assert cache.get_or_build(keys, Builder())[1] == "built"
    assert "is for tensorrt-rtx 1.0 on sm86; one for 1.0 on sm86, sm120 is built" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["no json", '{"engines": [{"file": 3}]}', "[]"])
def test_an_index_that_cannot_be_read_counts_as_empty_and_that_is_said(cache, bundle, capsys, content):
    keys = [key_of(cache, bundle)]
    cache.get_or_build(keys, Builder())
    (bundle.folder / ENGINES_FOLDER / INDEX).write_text(content)
    assert cache.get_or_build(keys, Builder())[1] == "built"
    assert f"{INDEX} cannot be read; its engines are built again" in capsys.readouterr().out
    assert cache.get_or_build(keys, Builder())[1] == "cached"


def test_where_nothing_can_be_written_the_engine_is_used_and_that_is_said(cache, bundle, capsys):
    (bundle.folder / ENGINES_FOLDER).write_text("in the way")
    assert cache.get_or_build([key_of(cache, bundle)], Builder()) == (b"an engine", "built")
    assert "cannot be written; the engine is used, and built again the next time" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../weights.bin", "/etc/hostname", "deeper/weights.bin", ".", ""])
def test_a_file_outside_the_folder_is_never_read(cache, bundle, capsys, name):
    key = key_of(cache, bundle)
    cache.get_or_build([key], Builder())
    edit_index(bundle, file=name, sha256=bundle.manifest.sha256["weights.bin"])
    assert cache.mapped(key) is None
    assert "is damaged or gone" in capsys.readouterr().out
