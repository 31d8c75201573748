"""Whether the check of wheel and sdist (run by scripts/check) notices what it is there to notice."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = {"ganspect/cli/making.py", "ganspect/train/fit.py", "ganspect/configs/fanogan.yaml"}
WHEEL = {*EXPECTED, "ganspect-0.1.0.dist-info/METADATA"}
SDIST = {*EXPECTED, "LICENSE", "NOTICE", "README.md", "pyproject.toml", "setup.cfg"}


@pytest.fixture(scope="module")
def check_wheel() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_wheel", ROOT / "scripts" / "check_wheel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_folder_of_the_package_is_expected(check_wheel):
    expected = check_wheel.expected_files(ROOT)
    assert {
        "ganspect/cli/making.py",
        "ganspect/datasets/samples.py",
        "ganspect/train/system.py",
        "ganspect/export/__init__.py",
        "ganspect/runtime/__init__.py",
        "ganspect/py.typed",
    } <= expected
    assert {path.name for path in (ROOT / "configs").iterdir()} == {
        Path(name).name for name in expected if name.startswith("ganspect/configs/")
    }
    assert not any("__pycache__" in name or "tests" in name for name in expected)


def test_whole_archives_pass(check_wheel):
    assert check_wheel.complaints(WHEEL, SDIST, EXPECTED) == []


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file_that_either_lacks_is_named(check_wheel, name):
    assert check_wheel.complaints(WHEEL - {name}, SDIST, EXPECTED) == [f"the wheel lacks {name}"]
    assert check_wheel.complaints(WHEEL, SDIST - {name}, EXPECTED) == [f"the sdist lacks {name}"]


def test_a_licence_that_the_sdist_lacks_is_named(check_wheel):
    assert check_wheel.complaints(WHEEL, SDIST - {"NOTICE"}, EXPECTED) == ["the sdist lacks NOTICE"]


def test_tests_are_refused_in_both(check_wheel):
    found = check_wheel.complaints(WHEEL | {"tests/test_cli.py"}, SDIST | {"tests/test_cli.py"}, EXPECTED)
    assert found == [
        "the wheel holds tests/test_cli.py, which is no part of the package",
        "the sdist holds the test tests/test_cli.py",
    ]
