"""The report in a real browser (Debian's chromium): no error, no request, every figure drawn, every switch works."""

import csv
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from sharpseek.figures import sections
from sharpseek.files import open_reproduction
from sharpseek.report import write_report
from sharpseek.verdicts import judge
from synthetic import write_reproduction

CHROMIUM = os.environ.get("SHARPSEEK_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "desktop": (1920, 1080)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rnn = {"linear": False, "architecture": "rnn", "claims": ["C2", "C7"], "seeds": 4}
    directory = write_reproduction(tmp_path_factory.mktemp("report"), **{"linear-2": {"seeds": 4}, "rnn": rnn})
    return write_report(directory, figures=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, report: Path, size: str = "laptop", scheme: str = "light") -> Page:
    """The report with all figures drawn; fails on any console error, exception or request."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda m: page.problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: page.problems.append(str(e)))
    local = ("file:", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(local) else page.problems.append(f"request {r.url}"))
    page.goto(f"file://{report}")
    page.wait_for_selector("html[data-drawn]", timeout=120_000)
    assert page.problems == []
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, report: Path) -> Page:
    return opened(browser, report)


def visible(page: Page, figure: str, tag: str, value: str) -> set[bool]:
    return set(
        page.evaluate(
            """([figure, tag, value]) => document.getElementById("plot-" + figure).data
               .filter((t) => t.meta[tag] === value).map((t) => t.visible)""",
            [figure, tag, value],
        )
    )


def test_every_figure_is_drawn(page: Page) -> None:
    empty = page.evaluate(
        """[...document.querySelectorAll("figure")].filter((f) => {
             const plot = f.querySelector(".plot");
             return !plot.querySelector(".scatterlayer .trace path") || plot.getAttribute("aria-label").length < 40;
           }).map((f) => f.id)"""
    )
    assert empty == []
    assert page.locator("figure").count() >= 14


def test_verdicts_of_all_claims_are_on_the_first_screen(page: Page) -> None:
    page.evaluate("scrollTo(0, 0)")
    boxes = [card.bounding_box() for card in page.locator(".card").all()]
    assert len(boxes) == 8
    assert max(box["y"] + box["height"] for box in boxes) <= SIZES["laptop"][1]


def test_switches_hide_and_show_by_mouse_and_by_keyboard(page: Page) -> None:
    figure = page.locator("#figure-way-rnn")
    chip = figure.get_by_role("button", name="κ = 10", exact=True)
    chip.click()
    assert visible(page, "way-rnn", "condition", "κ = 10") == {False}
    assert visible(page, "way-rnn", "condition", "κ = 100") == {True, False}  # single replicas are off at first
    assert chip.get_attribute("aria-pressed") == "false"
    chip.focus()
    page.keyboard.press("Enter")
    assert visible(page, "way-rnn", "condition", "κ = 10") == {True, False}
    figure.get_by_role("button", name="single replicas").click()
    assert visible(page, "way-rnn", "replicas", "single replicas") == {True}
    figure.get_by_role("button", name="reset", exact=True).click()
    assert visible(page, "way-rnn", "replicas", "single replicas") == {False}


def test_axes_become_logarithmic_and_zoom(page: Page) -> None:
    figure = page.locator("#figure-way-linear-2")
    kind = """(axis) => document.getElementById("plot-way-linear-2")._fullLayout[axis].type"""
    assert page.evaluate(kind, "yaxis") == "linear"
    figure.get_by_role("button", name="log y").click()
    assert [page.evaluate(kind, axis) for axis in ("yaxis", "yaxis2", "xaxis")] == ["log", "log", "linear"]
    span = """() => { const r = document.getElementById("plot-way-linear-2")._fullLayout.xaxis.range;
                      return r[1] - r[0]; }"""
    before = page.evaluate(span)
    figure.scroll_into_view_if_needed()
    box = figure.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 120, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert page.evaluate(span) < before / 2
    figure.get_by_role("button", name="reset", exact=True).click()
    assert page.evaluate(kind, "yaxis") == "linear"


def test_hovering_shows_the_value_and_its_interval(page: Page) -> None:
    figure = page.locator("#figure-theory-linear-2")
    figure.scroll_into_view_if_needed()
    box = figure.locator(".subplot.x4y4 .points path").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
    page.wait_for_selector(".hovertext", timeout=5000)
    text = page.locator(".hovertext").first.text_content()
    assert "95 % interval" in text and "replicas stationary" in text


def test_csv_holds_what_is_shown(page: Page, tmp_path: Path) -> None:
    for button, head in (
        (
            page.locator("#figure-trend").get_by_role("button", name="CSV"),
            "panel,series,start,architecture,x,y,low,high",
        ),
        (page.locator("button[data-csv=summary]"), "experiment,quantity,condition,init_imbalance,replicas"),
    ):
        with page.expect_download() as download:
            button.click()
        download.value.save_as(tmp_path / "a.csv")
        lines = (tmp_path / "a.csv").read_text().splitlines()
        assert lines[0].startswith(head)
        assert len(lines) > 10


def csv_of(page: Page, button: Locator) -> list[list[str]]:
    """What a button's file holds, taken from the page: dozens of downloads in a row may stall a browser."""
    text = page.evaluate(
        """(button) => new Promise((resolve) => {
             const original = URL.createObjectURL;
             URL.createObjectURL = (blob) => { blob.text().then(resolve); return "#"; };
             const click = HTMLAnchorElement.prototype.click;
             HTMLAnchorElement.prototype.click = () => {};
             button.click();
             URL.createObjectURL = original;
             HTMLAnchorElement.prototype.click = click;
           })""",
        button.element_handle(),
    )
    return list(csv.reader(io.StringIO(text)))


def test_a_figures_button_saves_its_csv(page: Page, tmp_path: Path) -> None:
    button = page.get_by_role("button", name="CSV").first
    with page.expect_download() as download:
        button.click()
    download.value.save_as(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").startswith("panel,series,")
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == csv_of(page, button)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed, so that nothing has an interval, nothing usable at kappa 100, and names that could be code."""
    names = {
        "=1+1": {"seeds": 1, "unusable": 100.0},
        "-a.b <i>%{x}</i> & $": {"seeds": 3, "linear": False, "architecture": "rnn", "claims": ["C2", "C7"]},
    }
    return write_reproduction(tmp_path_factory.mktemp("odd"), **names)


def test_csv_of_a_figure_is_the_charts_table(browser: Browser, odd: Path) -> None:
    page = opened(browser, write_report(odd, figures=False))
    experiments = open_reproduction(odd)[1]
    charts = [chart for _, group in sections(experiments, judge(experiments)) for chart in group]
    assert len(charts) > 10
    empty = 0
    for chart in charts:
        figure = page.locator(f"#figure-{chart.name}")
        head, *rows = csv_of(page, figure.get_by_role("button", name="CSV"))
        table = chart.frame().reset_index(drop=True)
        assert len(rows) == len(table), chart.name
        for row, (_, expected) in zip(rows, table.iterrows(), strict=True):
            found = dict(zip(head, row, strict=True))
            assert found["panel"].removeprefix("'") == expected["panel"]
            assert found["series"].removeprefix("'") == expected["series"]
            for key in ("x", "low", "high") if "row" in table else ("x", "y", "low", "high"):
                value = float(found[key]) if found[key] else np.nan
                np.testing.assert_allclose(value, expected[key], rtol=2e-6, atol=2e-6, err_msg=f"{chart.name} {key}")
                empty += found[key] == ""
            if "row" in table:
                assert found["y"].removeprefix("'") == expected["row"]
    assert empty > 50
    assert page.problems == []


def test_no_cell_of_a_csv_is_a_formula(browser: Browser, odd: Path) -> None:
    page = opened(browser, write_report(odd, figures=False))
    names = set()
    numbers = 0
    for button in page.locator("button:text-is('CSV')").all():
        for row in csv_of(page, button):
            for cell in row:
                names.add(cell)
                if re.match(r"[-+]?[.\d]", cell):
                    numbers += cell.startswith("-") and re.fullmatch(r"-[\d.]+(e[-+]?\d+)?", cell) is not None
                else:
                    assert not re.match(r"[=+\-@\t\r]", cell), cell
    assert {"'=1+1", "'-a.b <i>%{x}</i> & $"} <= names
    assert numbers > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    colours = page.evaluate(
        """
           Object.fromEntries(
             ["ink", "soft", "link", "supported", "refuted", "undecided", "page", "panel"].map((name) =>
             [name, getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()]))"""
    )

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for back in ("page", "panel"):
        for front in ("ink", "soft", "link", "supported", "refuted", "undecided"):
            light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (scheme, front, back)
    page.emulate_media(color_scheme="light")


def test_phone_has_no_sideways_scrolling_and_print_fits(browser: Browser, report: Path, tmp_path: Path) -> None:
    page = opened(browser, report, "phone", "dark")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").stat().st_size > 50_000
    page.emulate_media(media="print")
    widths = page.evaluate("[...document.querySelectorAll('.plot .main-svg')].map((s) => s.clientWidth)")
    assert max(widths) <= 680  # A4 less margins, in CSS pixels
    assert page.problems == []
