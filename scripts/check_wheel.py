"""Builds the wheel and the sdist and compares what they hold with the tree, file by file.

Packages reach the top folders through links, which a build backend may drop without a word.

python scripts/check_wheel.py
"""

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"ganspect": "", "train": "train/", "export": "export/", "runtime": "runtime/", "configs": "configs/"}
SUFFIXES = {".py", ".typed", ".yaml", ".j2", ".service", ".html", ".css", ".js", ".svg"}
SDIST_ALSO = {"LICENSE", "NOTICE", "README.md", "pyproject.toml"}


def expected_files(root: Path) -> set[str]:
    """Return the paths below `ganspect/` that an installation needs, as the links show them."""
    return {
        f"ganspect/{prefix}{path.relative_to(root / folder).as_posix()}"
        for folder, prefix in FOLDERS.items()
        for path in _files(root / folder)
    }


def complaints(wheel: Iterable[str], sdist: Iterable[str], expected: set[str]) -> list[str]:
    """Return what is wrong, a sentence each.

    Args:
        wheel: paths in the wheel.
        sdist: paths in the sdist, below its top folder.
        expected: see `expected_files`.
    """
    in_wheel = {name for name in wheel if ".dist-info/" not in name}
    in_sdist = set(sdist)
    return [
        *(f"the wheel lacks {name}" for name in sorted(expected - in_wheel)),
        *(f"the wheel holds {name}, which is no part of the package" for name in sorted(in_wheel - expected)),
        *(f"the sdist lacks {name}" for name in sorted((expected | SDIST_ALSO) - in_sdist)),
        *(f"the sdist holds the test {name}" for name in sorted(in_sdist) if name.startswith("tests/")),
    ]


def main() -> int:
    """Build, compare, print the outcome; status 1 if anything is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        wheel, sdist = _build(Path(folder))
        found = complaints(wheel, sdist, expected_files(ROOT))
    print("\n".join(found) or f"wheel and sdist hold all {len(expected_files(ROOT))} files")
    return 1 if found else 0


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix in SUFFIXES]


def _build(folder: Path) -> tuple[list[str], list[str]]:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if built.returncode != 0:
        sys.exit(f"{built.stdout}\nthe build failed: {' '.join(command)}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel, tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        names = [name.partition("/")[2] for name in sdist.getnames()]
        return wheel.namelist(), names


if __name__ == "__main__":
    sys.exit(main())
