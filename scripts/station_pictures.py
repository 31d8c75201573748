"""docs/images/page*.png and shift_report.png: what a station shows, as Chromium shows it, after `make demo`.

python scripts/station_pictures.py       # starts the demo's station, and looks at its page after a minute
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
_GANSPECT = (sys.executable, "-c", "import sys; from ganspect.cli import main; sys.argv[0] = 'ganspect'; main()")
_FILLS_S = 60


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        folder = Path(place)
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        file = str(_station_file(folder))
        station = subprocess.Popen([*_GANSPECT, "run", file], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            address = _address(station)
            time.sleep(_FILLS_S)
            _look(browser, address)
        finally:
            station.terminate()
            station.communicate(timeout=30)
        report = folder / "shift.html"
        history = [*_GANSPECT, "history", str(folder / "data"), "--format", "report", "--out", str(report)]
        subprocess.run(history, cwd=ROOT, check=True)
        page = browser.new_page(viewport={"width": 1000, "height": 1400})
        page.goto(report.as_uri())
        page.screenshot(path=IMAGES / "shift_report.png")
        browser.close()


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


def _look(browser: Browser, address: str) -> None:
    page = _opened(browser, address, dark=False)
    page.screenshot(path=IMAGES / "page.png")
    page = _opened(browser, address, dark=True)
    page.keyboard.press("f")
    page.wait_for_function("() => document.getElementById('detail-picture').naturalWidth > 100")
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "page_verdict.png")


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
