"""Writes docs/images/ from a reproduction's report: `python docs/screenshots.py out/quick` (needs chromium)."""

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"
COLOURS = 96
"""Of the palette that keeps the pictures small."""


def main() -> None:
    report = Path(sys.argv[1], "report.html").resolve()
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, size, scheme, figure in (
            ("report", (1366, 768), "light", None),
            ("report-figures", (1366, 700), "dark", "#figure-theory-linear-2"),
            ("report-trend", (1366, 560), "light", "#figure-trend"),
            ("report-phone", (390, 844), "light", None),
        ):
            page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            page.goto(f"file://{report}")
            page.wait_for_selector("html[data-drawn]", timeout=120_000)
            if figure:
                page.locator(figure).evaluate("e => e.scrollIntoView()")
            target = IMAGES / f"{name}.png"
            page.screenshot(path=target)
            picture = Image.open(target).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            picture.save(target, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
