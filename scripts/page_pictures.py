"""docs/images/page*.png: the station's page as Chromium shows it, after `make demo`.

python scripts/page_pictures.py       # starts the demo's station, looks at its page for a minute
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
_MAIN = "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()"
_FILLS_S = 60


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        station = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "run", str(_station_file(Path(folder)))],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            _look(_address(station))
        finally:
            station.terminate()
            station.communicate(timeout=30)


def _station_file(folder: Path) -> Path:
    """Return the demo's station with a data folder of its own, a free port, and a sink."""
    content = yaml.safe_load((ROOT / "configs/station_demo.yaml").read_text())
    content |= {"bundle": str(ROOT / "demo/bundle"), "data": str(folder / "data"), "page": {"port": 0}}
    content["sinks"] = [{"kind": "pictures", "quota_mb": 100}, {"kind": "jsonl"}]
    for camera in content["cameras"]:
        camera["source"] = str(ROOT / "demo/line.avi")
    path = folder / "station.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _address(station: "subprocess.Popen[str]") -> str:
    for line in station.stdout or ():
        if line.startswith("page: "):
            return line.split()[1]
    raise SystemExit("the station does not start; run make demo first")


def _look(address: str) -> None:
    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        time.sleep(_FILLS_S)
        page = _opened(browser, address, dark=False)
        page.screenshot(path=IMAGES / "page.png")
        page = _opened(browser, address, dark=True)
        page.keyboard.press("f")
        page.wait_for_function("() => document.getElementById('detail-picture').naturalWidth > 100")
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "page_verdict.png")
        browser.close()


def _opened(browser: Browser, address: str, *, dark: bool) -> Page:
    page = browser.new_page(
        viewport={"width": 1180, "height": 820}, has_touch=True, color_scheme="dark" if dark else "light"
    )
    page.goto(address)
    page.locator("#list img").first.wait_for()
    page.wait_for_timeout(4000)
    return page


if __name__ == "__main__":
    main()
