"""Environments of their own for anomalib and for ganspect's runtime, each made once and kept in a cache folder.

    environments = Environments(cache)
    environments.anomalib().run(["-m", "peering.train_anomalib", str(request)], log=log)

Making one needs PyPI, or what pip is set up to take in its place; what runs in one afterwards needs no network.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from suites import ROOT

from ganspect.errors import GanspectError
from ganspect.files import require_writable, write_atomically

REQUIREMENTS = Path(__file__).with_name("anomalib.txt")
ANOMALIB_NEEDS = ("anomalib[openvino]", "torch", "torchvision")
"""What anomalib's documentation has a user install for a CPU and OpenVINO."""

OPENVINO_NEEDS = ("openvino", "numpy", "opencv-python-headless")
"""What is needed to run an exported model without anomalib."""

RUNTIME_NEEDS = {"openvino": ("ganspect[openvino]",), "onnxruntime": ("ganspect[cpu]",)}
"""ganspect's own extras by backend."""

_PYTHON = (3, 11)
_FREE_MB = 16_000
_INSTALLED = "installed"
_COPIED = ("ganspect", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in")


class InstallError(GanspectError):
    """An environment could not be made."""


class StepError(GanspectError):
    """Something that ran in an environment failed."""


@dataclass(frozen=True)
class Installed:
    """What stands in an environment for some requirements.

    Attributes:
        bytes: size of all files without byte code.
        cuda_bytes: size of the packages among them that only an NVIDIA GPU needs; PyTorch's own file counts as needed.
        versions: version of every distribution by its name.
    """

    bytes: int
    cuda_bytes: int
    versions: dict[str, str]

    @classmethod
    def of(cls, described: dict[str, dict[str, Any]]) -> "Installed":
        """Return it from what `peering.installed` printed."""
        sizes = {name: one["bytes"] for name, one in described.items()}
        cuda = sum(size for name, size in sizes.items() if name.startswith(("nvidia-", "cuda-", "triton")))
        return cls(sum(sizes.values()), cuda, {name: one["version"] for name, one in described.items()})


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: the environment's folder.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """Return its interpreter."""
        return self.folder / "bin/python"

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables of a process in it: this checkout's code first, and no hub is asked for anything."""
        paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
        return {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1"}

    def run(self, arguments: Sequence[str], *, log: Path, limit_s: float | None = None) -> float:
        """Run its interpreter; the output goes into a file, and the working folder is that of the file.

        Args:
            arguments: such as `-m`, a module and what it takes.
            log: file for what it prints.
            limit_s: seconds after which it is ended; None: never.

        Returns:
            Seconds that it took.

        Raises:
            StepError: it failed, or took longer than it may.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        begin, what = time.perf_counter(), " ".join(arguments)
        with log.open("w", encoding="utf-8") as out:
            command = [str(self.python), *arguments]
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent, env=self.variables
            )
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                raise StepError(f"'{what}' took more than {limit_s:.0f} s, and was ended") from None
            finally:
                process.kill()
                process.wait()
        if code:
            raise StepError(f"'{what}' ended with status {code}: {last_line(log)}; {log} has the rest")
        return time.perf_counter() - begin

    @cache  # noqa: B019  # there are two environments, and what stands in them stays
    def installed(self, needs: tuple[str, ...]) -> Installed:
        """Return what stands in it for some requirements.

        Raises:
            InstallError: one of them is not there.
        """
        command = [str(self.python), "-m", "peering.installed", *needs]
        found = subprocess.run(command, capture_output=True, text=True, env=self.variables, check=False)
        if found.returncode:
            raise InstallError(f"{self.folder} lacks {', '.join(needs)}; delete it, and it is made again")
        return Installed.of(json.loads(found.stdout))


class Environments:
    """Makes the environments that are not there yet."""

    def __init__(self, cache: Path) -> None:
        """Take the folder that they are kept in."""
        self._cache = cache

    def anomalib(self) -> Environment:
        """Return anomalib's environment, with the versions of anomalib.txt.

        Raises:
            InstallError: this Python is too old for these versions, or pip failed.
        """
        if sys.version_info < _PYTHON:
            raise InstallError(
                f"anomalib's environment is pinned for Python {_PYTHON[0]}.{_PYTHON[1]} and newer, this is "
                f"{sys.version_info[0]}.{sys.version_info[1]}; start this with another interpreter"
            )
        content = REQUIREMENTS.read_bytes()
        return self._made("anomalib", content, lambda pip: pip(["-r", str(REQUIREMENTS)]))

    def runtime(self) -> Environment:
        """Return an environment with ganspect[openvino] alone, in the versions of constraints.txt.

        Raises:
            InstallError: pip failed.
        """
        content = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes()
        return self._made("ganspect-runtime", content, _install_runtime)

    def _made(self, name: str, content: bytes, install: Callable[[Callable[[list[str]], None]], None]) -> Environment:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        digest = sha256(content + version.encode()).hexdigest()[:12]
        environment = Environment(self._cache.absolute() / f"{name}-{digest}")
        if (environment.folder / _INSTALLED).exists():
            return environment
        require_writable(self._cache, free_mb=_FREE_MB if name == "anomalib" else 1000)
        log = self._cache.absolute() / f"{name}-{digest}.log"
        print(f"installing {environment.folder}; {log} has what pip says", file=sys.stderr)
        _call(log, [sys.executable, "-m", "venv", "--clear", str(environment.folder)], name)

        def pip(arguments: list[str]) -> None:
            options = ["--no-input", "--no-compile", "--disable-pip-version-check"]
            _call(log, [str(environment.python), "-m", "pip", "install", *options, *arguments], name)

        install(pip)
        # Byte code is made once: a process that has to compile PyTorch starts seconds later. What is for other versions
        # of Python does not compile, which is no matter.
        command = [str(environment.python), "-m", "compileall", "-q", "-q", "-j", "0", str(environment.folder / "lib")]
        with log.open("a", encoding="utf-8") as out:
            subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
        write_atomically(environment.folder / _INSTALLED, content)
        return environment


def _install_runtime(pip: Callable[[list[str]], None]) -> None:
    """Install ganspect from a copy, in which the folders at the top stand in place of the links to them."""
    with tempfile.TemporaryDirectory() as folder:
        for name in _COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        pip(["-c", str(ROOT / "constraints.txt"), f"{folder}[openvino]"])


def _call(log: Path, command: list[str], name: str) -> None:
    with log.open("a", encoding="utf-8") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        raise InstallError(
            f"the environment {name} could not be installed ({last_line(log)}); it needs the package index once, "
            f"{log} has the rest"
        )


def last_line(log: Path) -> str:
    """Return the last line of a log that says anything, at most 300 signs of it."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
