"""`ganspect build`, with NVIDIA's own parser and builder: every graph of every system, ahead of time, without a GPU."""

import re
import sys
from pathlib import Path

import pytest

from ganspect.bundle import Bundle, open_bundle
from ganspect.errors import BundleError, ConfigError, DeviceError, MissingDependencyError
from ganspect.export.exporter import write_graphs, write_manifest
from ganspect.files import sha256_of
from ganspect.records import TrainingRecord
from ganspect.runtime.backends import open_backend
from ganspect.runtime.backends.selection import find_engine, offered_precisions
from ganspect.runtime.backends.tensorrt import backend as backend_module
from ganspect.runtime.building import build_bundle
from ganspect.runtime.engines import ENGINES_FOLDER, BuiltEngine, EngineCache, Port
from ganspect.train.health import Health
from ganspect.train.run import Run
from tests.export.test_all_systems import RGB, recipe_of, system_of
from tests.runtime.conftest import change_manifest

TARGET = "tensorrt-rtx:sm86,sm120"
WIDE = {"width": 16}
UNTRAINED = {
    "egbad": recipe_of(
        "egbad", "residual_calibrated", by="fooling", weight=0.4, image=RGB, network=WIDE, residual="trimmed"
    ),
    "ganomaly": recipe_of("ganomaly", "ganomaly", network=WIDE, residual="weighed", weighing="place"),
}
"""The first takes pixel statistics, and images that are not square; neither search descends the plain residual."""

pytestmark = pytest.mark.usefixtures("wide")


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def rtx():
    return pytest.importorskip("tensorrt_rtx", reason="builds with tensorrt-rtx: pip install 'ganspect[tensorrt-rtx]'")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(backend_module, "_DRIVER", "libcuda-that-is-nowhere.so.1")


@pytest.fixture
def folder(copy, tiny_bundle):
    return copy(tiny_bundle)


@pytest.fixture(scope="module", params=UNTRAINED)
def untrained(request, tmp_path_factory) -> Bundle:
    """A bundle of untrained networks, wide enough that there are forms of it in a lower precision."""
    recipe, folder = UNTRAINED[request.param], tmp_path_factory.mktemp(request.param)
    system = system_of(recipe)
    write_graphs(system, recipe, folder)
    nothing = TrainingRecord(source="", split_seed=0, n_training=0, n_skipped=0, fingerprints=[], held_out=[], steps={})
    write_manifest(Run(folder, system, recipe, nothing, Health()), folder, {})
    return open_bundle(folder)


def expected_ports(bundle: Bundle) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of everything that goes in or out of the score, step and search graphs."""
    image, size = bundle.manifest.image, bundle.manifest.latent.size
    row = dict.fromkeys(("latent", "adam_m", "adam_v", "best_latent"), ("float32", (-1, size)))
    state = row | {"step": ("int64", (-1,)), "best_score": ("float32", (-1,))}
    pictures = ("uint8", (-1, *image.size_hw, image.channels))
    return {
        **state,
        **{f"{name}_out": port for name, port in state.items()},
        **{"image": pictures, "reconstruction": pictures, "residual": ("float32", (-1, *image.size_hw))},
        **{"part": ("int64", (-1,)), "steps": ("int64", ()), "threshold": ("float32", ())},
        **dict.fromkeys(("encoder_score", "start_score"), ("float32", (-1,))),
        **dict.fromkeys(("pixel_mean", "pixel_deviation"), ("float32", image.size_hw)),
    }


def build(bundle: Bundle, graph: str, precision="fp32", device: str | None = "sm86,sm120") -> BuiltEngine:
    engine = find_engine("tensorrt-rtx")[0].load()
    return engine.build(bundle, graph, precision=precision, device=device, cache=EngineCache(bundle))


def names_of(ports: tuple[Port, ...]) -> list[str]:
    return [port.name for port in ports]


def require_every_graph(bundle: Bundle, precision="fp32") -> None:
    """Build all graphs and compare what they take and give with the manifest and the contract."""
    expected = expected_ports(bundle)
    for graph, record in bundle.manifest.graphs.items():
        engine = build(bundle, graph, precision)
        assert (names_of(engine.inputs), names_of(engine.outputs)) == (record.inputs, record.outputs)
        assert engine.source == "built"
        assert engine.size_bytes > 1000
        if graph in ("score", "step", "search"):
            for port in (*engine.inputs, *engine.outputs):
                assert (port.dtype, port.shape) == expected[port.name], (graph, port.name)


@pytest.mark.parametrize("trained", ["tiny_bundle", "tiny_anogan_bundle"])
def test_every_graph_of_fanogan_and_anogan_is_built_ahead_of_time(rtx, copy, request, trained):
    require_every_graph(open_bundle(copy(request.getfixturevalue(trained))))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_every_graph_of_egbad_and_ganomaly_is_built_in_every_precision(rtx, untrained, precision):
    require_every_graph(untrained, precision)


def test_a_table_shows_what_each_engine_takes_and_gives(rtx, folder, capsys):
    build_bundle(folder, [TARGET], ["fp32"])
    printed = capsys.readouterr().out
    assert f"{TARGET}, fp32" in printed
    for line in (r"in +image +uint8 \(N,32,32,1\)", r"in +steps +int64 \(\)", r"out +residual +float32 \(N,32,32\)"):
        assert re.search(line, printed), line
    assert len(re.findall(r"\d\.\d +\d\.\d +built", printed)) == 6
    build_bundle(folder, [TARGET], ["fp32"])
    assert len(re.findall(r"\d\.\d +\d\.\d +cached", capsys.readouterr().out)) == 6
    build_bundle(folder, ["tensorrt-rtx:sm120"], ["fp32"])
    assert "cached" in capsys.readouterr().out


def test_a_damaged_engine_is_built_again_and_that_is_said(rtx, folder, capsys):
    build_bundle(folder, [TARGET], ["fp32"])
    (path,) = (folder / ENGINES_FOLDER).glob("*-features-*.engine")
    path.write_bytes(path.read_bytes()[:-1])
    capsys.readouterr()
    build_bundle(folder, [TARGET], ["fp32"])
    printed = capsys.readouterr().out
    assert f"warning: {path} is damaged or gone; the engine is built again" in printed
    assert len(re.findall(" rebuilt", printed)) == 1


def spoil(folder: Path, *graphs: str) -> None:
    for graph in graphs:
        path = folder / f"{graph}.onnx"
        path.write_bytes(b"no graph")
        change_manifest(folder, sha256={path.name: sha256_of(path)})


def test_a_graph_that_cannot_be_built_leaves_the_others_whole(rtx, folder, capsys):
    spoil(folder, "step")
    with pytest.raises(BundleError, match=r"^TensorRT-RTX \S+ cannot read \S+step\.onnx \(.+\); export the bundle"):
        build_bundle(folder, [TARGET], ["fp32"])
    assert len(re.findall(r" built", capsys.readouterr().out)) == 5
    cache = EngineCache(open_bundle(folder))
    assert len(cache.records()) == 5
    assert all(cache.mapped(record.keys[0]) is not None for record in cache.records())


def test_all_graphs_that_cannot_be_built_are_named(rtx, folder):
    spoil(folder, "score", "step")
    named = (
        rf"^2 engines were not built \(score for {TARGET} in fp32, step for {TARGET} in fp32\); the first, since Tensor"
    )
    with pytest.raises(BundleError, match=named):
        build_bundle(folder, [TARGET], ["fp32"])


def test_what_a_target_runs_as_exported_is_not_built(folder, capsys):
    build_bundle(folder, ["onnxruntime"], ["fp32"])
    assert "onnxruntime runs the graphs as they were exported: nothing is built" in capsys.readouterr().out
    assert not (folder / ENGINES_FOLDER).exists()


def test_an_unknown_target_gets_the_nearest_name(folder):
    with pytest.raises(ConfigError, match=r"unknown target 'tensorrt-rx:sm86'; did you mean 'tensorrt-rtx'\?"):
        build_bundle(folder, ["tensorrt-rx:sm86"], ["fp32"])


def test_an_unknown_precision_gets_the_nearest_name(folder):
    with pytest.raises(ConfigError, match=r"unknown precision 'fp61'; did you mean 'fp16'\?"):
        build_bundle(folder, ["openvino"], ["fp61"])


def test_an_unknown_kind_of_gpu_gets_the_list(rtx, folder):
    with pytest.raises(ConfigError, match="cannot build for 'sm90'; expected one of sm75, sm80, sm86"):
        build_bundle(folder, ["tensorrt-rtx:sm86,sm90"], ["fp32"])


def test_a_precision_that_the_bundle_has_not_is_said_once(rtx, folder):
    change_manifest(folder, graphs=plain_graphs(folder))
    with pytest.raises(BundleError, match=r"^\S+ has no fp16 graphs for TensorRT-RTX, only fp32; make them with: "):
        build_bundle(folder, [TARGET], ["fp16"])


def test_int8_is_refused_where_there_are_no_int8_convolutions(rtx, folder):
    with pytest.raises(ConfigError, match="TensorRT-RTX does not run int8; it runs fp32, bf16, fp16"):
        build_bundle(folder, [TARGET], ["int8"])


@pytest.mark.parametrize("name", ["tensorrt-rtx"])
def test_without_a_gpu_a_backend_says_what_is_missing_and_what_to_do(rtx, no_gpu, folder, name):
    sentence = (
        "TensorRT-RTX needs an NVIDIA GPU, and here is no driver of one; use --backend onnxruntime, "
        "or build ahead of time: ganspect build BUNDLE --target tensorrt-rtx:sm86"
    )
    bundle = open_bundle(folder)
    for ask in (
        lambda: open_backend(name, bundle),
        lambda: offered_precisions(name, bundle),
        lambda: build_bundle(folder, [name], ["fp32"]),
    ):
        with pytest.raises(DeviceError) as raised:
            ask()
        assert str(raised.value) == sentence


def test_a_driver_without_cuda_python_names_the_extra(rtx, folder, monkeypatch):
    monkeypatch.setattr(backend_module, "_DRIVER", None)  # any process has itself
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.delitem(sys.modules, "ganspect.runtime.backends.tensorrt.cuda", raising=False)
    with pytest.raises(MissingDependencyError, match=r"cuda-python is not .*pip install 'ganspect\[tensorrt-rtx\]'"):
        open_backend("tensorrt-rtx", open_bundle(folder))


def test_a_named_gpu_is_refused_with_the_way_to_choose_one(rtx, folder):
    with pytest.raises(ConfigError, match="takes no device, '1' was given; choose another GPU with: CUDA_VISIBLE"):
        open_backend("tensorrt-rtx:1", open_bundle(folder))


@pytest.mark.parametrize(
    ("target", "package", "module", "cure"),
    [
        ("tensorrt", "tensorrt", "classic", r"TensorRT is not installed; run: pip install 'ganspect\[tensorrt\]'"),
        (TARGET, "tensorrt_rtx", "rtx", r"TensorRT-RTX is not installed; run: pip install 'ganspect\[tensorrt-rtx\]'"),
    ],
)
def test_without_the_package_the_error_names_its_extra(folder, monkeypatch, target, package, module, cure):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"ganspect.runtime.backends.tensorrt.{module}", raising=False)
    with pytest.raises(MissingDependencyError, match=cure):
        build_bundle(folder, [target], ["fp32"])


def plain_graphs(folder: Path) -> dict[str, object]:
    """Return the graphs of a bundle without their other forms."""
    graphs = open_bundle(folder).manifest.graphs
    return {name: graph.model_copy(update={"variants": {}}).model_dump() for name, graph in graphs.items()}
