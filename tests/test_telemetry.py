import os
import subprocess
import sys
from pathlib import Path

import pytest

# ONNX Runtime reports nothing where it believes to be in continuous integration, which would hide what is tested here.
_HIDING = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "BUILD_ID", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")


def _left_at_home(home: Path, code: str, **environment: str) -> list[str]:
    """Return the files that a new process leaves in its home folder and its cache."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in _HIDING and not name.startswith("XDG_")}
    subprocess.run(
        [sys.executable, "-c", code], env={**kept, "HOME": str(home), **environment}, check=True, capture_output=True
    )
    return sorted(path.name for path in home.rglob("*") if path.is_file())


def test_onnx_runtime_identifies_and_reports_nothing(tmp_path):
    assert _left_at_home(tmp_path / "ours", "import ganspect, onnxruntime") == []


def test_who_wants_to_report_may(tmp_path):
    left = _left_at_home(tmp_path / "asked", "import ganspect, onnxruntime", ORT_DISABLE_TELEMETRY="0")
    if not left:
        pytest.skip("this build of ONNX Runtime has no telemetry, or has found that it runs where it should have none")
    assert "deviceid" in left
