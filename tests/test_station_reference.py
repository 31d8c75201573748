import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_reference_is_what_the_settings_say():
    spec = importlib.util.spec_from_file_location("station_reference", ROOT / "scripts/station_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run: python scripts/station_reference.py"
