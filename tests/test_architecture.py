"""The rules of the tree that no linter knows; which part may import which is import-linter's (pyproject.toml)."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("ganspect", "train", "export", "runtime")
SOURCES = sorted(path for folder in (*PRODUCT, "scripts", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
RECIPES = sorted((ROOT / "configs").glob("*.yaml"))
COMMANDS = {"station_demo.yaml": "run"}
"""By which command a file is used that is no recipe."""

# What pip install 'ganspect[cpu]' does not bring.
NOT_ON_THE_DEVICE = (
    "torch",
    "onnx",
    "onnxscript",
    "elpv_dataset",
    "jinja2",
    "matplotlib",
    "PIL",
    "pyarrow",
    "scipy",
    "sklearn",
)

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
"""

IMPORT_ALL = """
import importlib, pkgutil
import ganspect

def ignore(name):
    raise

# What only some machines have: a backend's own module may lack its package, and nothing else.
ENGINES = ("cuda", "openvino", "tensorrt", "tensorrt_rtx", "paho", "pymodbus", "gpiod", "cryptography", "pypylon")

for module in pkgutil.walk_packages(ganspect.__path__, "ganspect.", onerror=ignore):
    if not module.name.startswith(("ganspect.train", "ganspect.export", "ganspect.demo")):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            own = {"backends", "capture", "sinks", "broker", "outputs", "trust"} & set(module.name.split("."))
            if (error.name or "").partition(".")[0] not in ENGINES or not own:
                raise
        print(module.name)
"""


def _python(program: str, *, without: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a process where some packages cannot be imported."""
    code = BLOCK.format(blocked=tuple(without)) + program
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def _command(*arguments: str, without: Iterable[str]) -> subprocess.CompletedProcess[str]:
    program = f"sys.argv = {['ganspect', *arguments]!r}\nfrom ganspect.cli import main\nmain()\n"
    return _python(program, without=without)


def _offenders(offends: Callable[[str], bool]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in SOURCES if offends(path.read_text(encoding="utf-8"))]


def test_runtime_and_contract_import_where_pytorch_and_onnx_cannot():
    ended = _python(IMPORT_ALL, without=("torch", "onnx", "onnxscript"))
    assert ended.returncode == 0, ended.stderr
    imported = ended.stdout.split()
    own = [path.relative_to(ROOT).with_suffix("") for path in SOURCES if path.is_relative_to(ROOT / "runtime")]
    expected = {".".join(("ganspect", *path.parts)).removesuffix(".__init__") for path in own}
    assert expected <= set(imported)
    assert "ganspect.scoring" in imported


@pytest.mark.parametrize("module", ["ganspect.runtime", "ganspect.runtime.screening", "ganspect.runtime.calibration"])
def test_what_screens_imports_with_nothing_but_the_cpu_extra(module):
    ended = _python(f"import {module}", without=NOT_ON_THE_DEVICE)
    assert ended.returncode == 0, ended.stderr


def test_the_package_itself_imports_none_of_its_parts():
    ended = _python("import ganspect; print([name for name in sys.modules if 'ganspect.' in name])", without=())
    assert ended.stdout.strip() == "[]"


def test_help_needs_neither_opencv_nor_a_backend():
    ended = _command("--help", without=(*NOT_ON_THE_DEVICE, "cv2", "onnxruntime"))
    assert ended.returncode == 0, ended.stderr
    assert "screen" in ended.stdout


def test_screening_without_opencv_ends_with_the_pip_command():
    ended = _command("screen", "bundle", "images", without=(*NOT_ON_THE_DEVICE, "cv2", "onnxruntime"))
    assert ended.returncode == 2
    assert "pip install 'ganspect[cpu]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_training_without_pytorch_ends_with_the_pip_command(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("system: fanogan\n")
    ended = _command("train", str(recipe), "--out", str(tmp_path / "run"), without=("torch",))
    assert ended.returncode == 2, ended.stderr
    assert "pip install 'ganspect[train]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["torch", "onnx"])
def test_export_without_its_packages_ends_with_the_pip_command(tmp_path, missing):
    ended = _command("export", str(tmp_path), "--out", str(tmp_path / "bundle"), without=(missing,))
    assert ended.returncode == 2, ended.stderr
    assert "pip install 'ganspect[export]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_no_file_is_longer_than_one_idea_can_be():
    assert _offenders(lambda text: len(text.splitlines()) > 600) == []


def test_product_code_raises_errors_instead_of_asserting():
    assert _offenders(lambda text: any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))) == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "NotImplementedError"])
def test_nothing_is_left_unfinished(word):
    assert _offenders(lambda text: word in text) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_begins_with_the_command_that_runs_it(recipe):
    first = recipe.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(f"# ganspect {COMMANDS.get(recipe.name, 'train')} configs/{recipe.name}")


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("**/*.md")), ROOT / "README.md"], ids=lambda path: path.name
)
def test_pages_are_finished_and_their_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"@[A-Z_]+@", text)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
        linked = page if not target else (page.parent / target).resolve()
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}, anchor
