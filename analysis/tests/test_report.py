"""The report: complete, self-contained, and honest about what is missing. test_browser.py opens it."""

import json
import re
import warnings
from dataclasses import replace
from html import unescape
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from sharpseek.figures import Chart, Panel, Series, sections, settings
from sharpseek.figures.chart import harmless
from sharpseek.figures.interactive import plotly_figure
from sharpseek.figures.static import draw_chart, save_chart
from sharpseek.files import Experiment, open_reproduction, open_run
from sharpseek.report import summary_table, write_report
from sharpseek.verdicts import CLAIMS, judge
from synthetic import Make, make_dataset, make_experiment, make_run, write_reproduction, write_run

EXPERIMENTS = {"linear-2": {}, "rnn": {"linear": False, "architecture": "rnn", "claims": ["C2", "C7"]}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reproduction with its report and figures."""
    directory = write_reproduction(tmp_path_factory.mktemp("whole"), **EXPERIMENTS)
    write_report(directory)
    return directory


def test_report_is_whole_and_asks_nothing_of_the_network(whole: Path) -> None:
    directory = whole
    report = directory / "report.html"
    text = report.read_text()
    assert report.stat().st_size < 8e6
    page = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"'](?!#)", page)
    assert "@import" not in page and "url(" not in page
    assert "default-src 'none'" in page
    names = {c.name for _, charts in sections(*_judged(directory)) for c in charts}
    for name in names:
        assert f'id="figure-{name}"' in page
        assert {"pdf", "svg", "csv"} == {p.suffix[1:] for p in (directory / "figures").glob(f"{name}.*")}
    assert {"theory-linear-2", "way-rnn", "trend", "spectrum-rnn", "layers-linear-2", "balances"} <= names
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_first_lines_state_every_claim_in_words_with_its_number_and_fold_the_statistics(reproduction: Make) -> None:
    directory = reproduction(**EXPERIMENTS)
    page = write_report(directory, figures=False).read_text()
    summaries = re.findall(r'<li class="card.*?<summary>(.*?)</summary>', page, re.DOTALL)
    folded = re.findall(r'<p class="found">(.*?)</p>', page)
    found = json.loads((directory / "verdicts.json").read_text())
    claims = found["claims"]
    assert [c["claim"] for c in claims] == [c.name for c in CLAIMS if f'id="{c.name}"' in page]
    assert len(folded) == len(summaries) == len(claims) >= 8
    for first, more, claim in zip(summaries, folded, claims, strict=True):
        (reading,) = re.findall(r'<span class="reading">(.*?)</span>', first)
        assert re.search(r"\d", reading), reading
        assert not re.search(r"Holm|\[|kappa|κ|replica", re.sub("<svg.*?</svg>", "", first)), first
        assert re.search(r"<b>-?[\d.e-]+ \[-?[\d.e-]+, -?[\d.e-]+\]</b>", more), more
        assert "Holm" in more and claim["effect"] in unescape(more)
    # The answer, then the picture, then the cards.
    places = [page.index(text) for text in (found["headline"], 'id="figure-glance"', '<li class="card')]
    assert places == sorted(places)


def _judged(directory: Path) -> tuple[list, list]:
    experiments = open_reproduction(directory)[1]
    return experiments, judge(experiments)


def test_every_figure_is_valid_plotly_and_holds_the_csvs_points(whole: Path) -> None:
    for _, charts in sections(*_judged(whole)):
        for chart in charts:
            text = json.dumps(plotly_figure(chart), allow_nan=False).replace('"ink"', '"#123456"')
            figure = go.Figure(json.loads(text))
            points = sum(len(s.x) for panel in chart.panels for s in panel.series)
            assert len(figure.data) >= sum(len(panel.series) for panel in chart.panels)
            table = pd.read_csv(whole / "figures" / f"{chart.name}.csv")
            assert len(table) == points == len(chart.frame())


def test_figures_name_files_and_variables_that_exist(reproduction: Make) -> None:
    experiments, verdicts = _judged(reproduction(**EXPERIMENTS))
    runs = {e.name: e.run for e in experiments}
    for _, charts in sections(experiments, verdicts):
        for chart in charts:
            if chart.source.startswith("verdicts.json"):
                continue
            for part in chart.source.split("; "):
                file, variables = part.split(": ")
                for name in variables.split(", "):
                    if name.replace("_", "").isalnum():
                        assert name in runs[file.split("/")[0]].variables, chart.source


def test_same_data_give_the_same_files(whole: Path, tmp_path: Path) -> None:
    before = (whole / "report.html").read_bytes()
    assert write_report(whole, figures=False).read_bytes() == before
    charts = {c.name: c for _, group in sections(*_judged(whole)) for c in group}
    for path in save_chart(charts["trend"], tmp_path):
        assert path.read_bytes() == (whole / "figures" / path.name).read_bytes()


def test_values_in_the_chart_are_the_runs(reproduction: Make) -> None:
    experiments, verdicts = _judged(reproduction(**{"linear-2": {"bias": 1.03, "noise": 0.001}}))
    charts = {c.name: c for _, group in sections(experiments, verdicts) for c in group}
    trace, residual = charts["theory-linear-2"].panels[0], charts["theory-linear-2"].panels[3]
    measured = next(s for s in trace.series if s.label == "flat start")
    np.testing.assert_allclose(measured.y, 1.03 * 40 * np.array([1, 10, 100]) ** 0.2, rtol=2e-3)
    assert all((measured.low < measured.y) & (measured.y < measured.high))
    np.testing.assert_allclose(residual.series[0].y, 1.03, rtol=2e-3)
    layers = charts["layers-linear-2"].panels[0].series[0]
    np.testing.assert_allclose(layers.y, 1.0)  # two equal layers


def test_a_figure_without_its_variables_is_left_out(reproduction: Make) -> None:
    html = write_report(reproduction(**{"rnn": EXPERIMENTS["rnn"]}), figures=False).read_text()
    assert "No experiment here has a closed form" in html
    assert 'id="figure-theory' not in html


def test_what_is_not_stationary_is_drawn_open(reproduction: Make) -> None:
    experiments, verdicts = _judged(reproduction(**{"linear-2": {"unusable": 100.0}}))
    charts = {c.name: c for _, group in sections(experiments, verdicts) for c in group}
    measured = [s for s in charts["trend"].panels[0].series if s.firm is not None]
    for series in measured:
        assert list(series.firm) == [True, True, False]
        assert np.isnan(series.y[2])
    plt.close("all")


def test_every_setting_of_a_sweep_over_shapes_is_compared_with_theory(tmp_path: Path) -> None:
    runs = {f"depth={d}": open_run(make_run(tmp_path / f"{d}", bias=bias)) for d, bias in ((2, 1.0), (3, 1.1))}
    experiment = Experiment("both", "both", "linear", ["C1"], runs)
    (chart,) = settings.charts([experiment], [])
    ratio = chart.panels[3].series[0]
    assert ratio.y.size == 2 * 3 * 2  # shapes, conditions, starts
    np.testing.assert_allclose(ratio.y[:6], 1.0, atol=0.01)
    np.testing.assert_allclose(ratio.y[6:], 1.1, atol=0.01)
    assert ratio.notes[0] == "depth=2, condition 1.0, init_imbalance 1.0"


def test_ablations_share_a_forest_with_ratios_and_slopes_apart(reproduction: Make) -> None:
    tanh = {"linear": False, "architecture": "tanh mlp", "seeds": 4}
    directory = reproduction(
        **{
            "batch": {**tanh, "claims": ["C9d"]},
            "stays": {**tanh, "claims": ["C9i"]},
            "mlp-tanh": {**tanh, "claims": ["C7"]},
        }
    )
    experiments, verdicts = _judged(directory)
    charts = {c.name: c for _, group in sections(experiments, verdicts) for c in group}
    panels = charts["ablations"].panels
    assert [panel.line_at for panel in panels] == [1.0, 0.0]
    assert all(row.startswith("C9i") for row in panels[0].rows) and all(row.startswith("C9d") for row in panels[1].rows)
    assert "With Adam" in charts["ablations"].caption
    assert {name for name in charts if name.startswith("way-")} == {"way-mlp-tanh"}


def test_long_names_of_rows_leave_room_for_the_axes(tmp_path: Path) -> None:
    names = ("a name " * 14, "b")
    series = Series("s", np.array([1.0, 2.0]), np.array([0.0, 1.0]), "mark")
    chart = Chart("long", "long", "", "", (Panel("long", "effect", "", (series,), rows=names),), columns=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(path.stat().st_size > 0 for path in save_chart(chart, tmp_path))
    assert save_chart(chart, tmp_path)[2].read_text().splitlines()[0] == "panel,series,x,y,low,high,firm,row"


def test_text_stays_inside_the_figure() -> None:
    """Long names of series and axes, two dozen of them, and a note of two panels: nothing overlaps or is cut off."""
    series = tuple(
        Series(f"{'a long name of a series ' * 2}{i}", np.array([1.0, 2.0]), np.array([0.0, i]), "line", i)
        for i in range(24)
    )
    nowhere = Series("nowhere", np.array([1.0, 2.0]), np.array([np.nan, np.nan]), "line", 0)
    note = "What could not be drawn. " * 30
    panel = Panel("A title that is " * 8, "what is on this axis, in words " * 4, "y", (*series, nowhere), note=note)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw_chart(Chart("long", "long", "", "", (panel, panel), columns=2))
        figure.draw_without_rendering()
    legend, axes = figure.legends[0], figure.axes
    assert len(legend.get_texts()) == 24
    assert legend.get_title().get_text().replace("\n", " ") == note.strip()
    boxes = [legend.get_window_extent(), *(one.get_tightbbox() for one in axes)]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert all(box.x1 <= b.x0 or b.x1 <= box.x0 or box.y1 <= b.y0 or b.y1 <= box.y0 for b in boxes[:number])
    assert all(one.bbox.height > 100 for one in axes)


def test_nothing_stationary_still_makes_a_report(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"stationary": 0.0, "seeds": 2}})
    page = write_report(directory, figures=False).read_text()
    assert page.count("No point has enough usable replicas") >= 6
    charts = {c.name: c for _, group in sections(*_judged(directory)) for c in group}
    assert all(path.stat().st_size > 0 for path in save_chart(charts["trend"], directory))


@pytest.mark.parametrize("claims", [(), ("C2", "C4")])
def test_a_run_of_one_s_own_has_a_report(tmp_path: Path, claims: tuple[str, ...]) -> None:
    run = make_dataset(seeds=3)
    config = {
        "experiment": {"name": "mine", "title": "My sweep", "claims": ",".join(claims)},
        "model": {"kind": "linear"},
    }
    write_run(tmp_path, run.assign_attrs(config=json.dumps(config)))
    page = write_report(tmp_path, figures=False).read_text(encoding="utf-8")
    found = json.loads((tmp_path / "verdicts.json").read_text(encoding="utf-8"))
    assert [c["claim"] for c in found["claims"]] == list(claims)
    assert page.count('<li class="card') == len(claims)
    assert ("<h1>My sweep</h1>" in page) == (not claims)
    assert ('<ol class="cards"' in page) == bool(claims)
    assert 'id="figure-glance"' in page and 'id="figure-theory-mine"' in page
    assert ("No claim was judged" in page) == (not claims)


def test_a_sweep_over_shapes_has_a_report_with_all_its_groups(tmp_path: Path) -> None:
    groups = []
    for depth in (2, 3):
        make_run(tmp_path / f"depth={depth}", seeds=3)
        groups.append({"name": f"depth={depth}", "path": f"depth={depth}/run.h5"})
    (tmp_path / "index.json").write_text(json.dumps({"schema_version": 1, "groups": groups}), encoding="utf-8")
    write_report(tmp_path, figures=False)
    found = json.loads((tmp_path / "verdicts.json").read_text(encoding="utf-8"))
    assert [run["name"].split()[-1] for run in found["runs"]] == ["depth=2", "depth=3"]
    assert all(run["replicas"] == 18 for run in found["runs"])


def test_stationary_is_what_the_file_says_and_usable_what_is_averaged(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 4}})
    with h5py.File(directory / "linear-2" / "run.h5", "a") as file:
        drifts = np.where(file["condition"][:] == 10, 0.3, 0.0)  # one point's seeds all drift
        file["trace_drift"] = drifts
        file["trace_drift"].dims[0].attach_scale(file["replica"])
    (experiment,) = open_reproduction(directory)[1]
    table = summary_table([experiment])
    of_trace = table[table["quantity"] == "trace"]
    assert of_trace["stationary"].tolist() == [4] * 6
    assert of_trace["usable"].tolist() == [4, 4, 0, 0, 4, 4]
    assert of_trace["mean"].isna().tolist() == [False, False, True, True, False, False]
    write_report(directory, figures=False)
    (run,) = json.loads((directory / "verdicts.json").read_text())["runs"]
    assert (run["replicas"], run["stationary"], run["usable"]) == (24, 24, 16)
    charts = {c.name: c for _, group in sections(*_judged(directory)) for c in group}
    notes = charts["trend"].panels[0].series[0].notes
    assert notes[1] == "4 of 4 replicas stationary, 0 usable: the others are of a point that drifts"


def test_no_p_and_no_chi_squared_is_drawn_as_an_estimate(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"claims": ["C1"], "rates": (0.001, 0.002, 0.003, 0.004), "seeds": 4}})
    experiments, verdicts = _judged(directory)
    charts = {c.name: c for _, group in sections(experiments, verdicts) for c in group}
    (panel,) = charts["evidence-C1"].panels
    assert len(panel.rows) == 2 * 3  # trace and sharpness at three conditions
    assert all("chi-squared" not in row for row in panel.rows)
    assert panel.note == "Not drawn: 1 of 7 pieces of evidence, which hold no estimate."
    np.testing.assert_allclose(np.concatenate([s.x for s in panel.series]), 1.0, atol=0.02)
    assert "chi-squared" in write_report(directory, figures=False).read_text()


HOSTILE = "$x^{$ <b>a</b> & %{x} \\frac 5 $"


def test_titles_are_text_in_print_and_on_the_page(tmp_path: Path) -> None:
    series = Series(HOSTILE, np.array([1.0, 2.0]), np.array([0.0, 1.0]), "mark", notes=[HOSTILE, HOSTILE])
    panel = Panel(HOSTILE, HOSTILE, HOSTILE, (series,), rows=(HOSTILE, "$"), note=HOSTILE)
    over = replace(
        panel, series=(replace(series, style="points"),), rows=(), x_ticks=(1.0, 2.0), x_names=(HOSTILE, "b")
    )
    chart = Chart("hostile", HOSTILE, "", "", (panel, over), columns=1)
    svg = save_chart(chart, tmp_path)[1].read_text()
    texts = {unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)}
    assert HOSTILE in texts and "$" in texts
    figure = plotly_figure(chart)
    assert figure["titles"] == [HOSTILE] * 2 and figure["rows"] == [[HOSTILE, "$"], []]
    shown = json.dumps(figure["layout"]) + json.dumps([trace["hovertemplate"] for trace in figure["data"]])
    assert "<b>a" not in shown and "& " not in shown
    assert shown.count("%{x} ") == 0  # only plotly's own places for numbers
    assert pd.read_csv(tmp_path / "hostile.csv")["panel"].tolist() == [HOSTILE] * 4


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-a", "'-a"),
        ("\t=1", "'\t=1"),
        ("-1.5e-3", "-1.5e-3"),
        ("-1_0", "'-1_0"),
        ("+.5", "+.5"),
        ("κ = 1", "κ = 1"),
        (-1.5, -1.5),
    ],
)
def test_cells_are_no_formulas_and_negative_numbers_stay_numbers(value: object, cell: object) -> None:
    assert harmless(value) == cell


def test_names_of_figures_are_fit_for_files_and_unlike(reproduction: Make) -> None:
    names = ["a/b", "a?b", "x" * 300, "é"]
    experiments = [replace(make_experiment(seeds=2), name=name) for name in names]
    found = [chart.name for _, charts in sections(experiments, []) for chart in charts]
    assert len(set(found)) == len(found) > 4 * 4
    assert all(re.fullmatch(r"[\w-]+", name, flags=re.ASCII) and len(name) < 140 for name in found)


def test_a_hostile_title_stays_text(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {}})
    index = json.loads((directory / "reproduce.json").read_text())
    index["experiments"][0]["title"] = "</script><script>alert(1)</script>"
    (directory / "reproduce.json").write_text(json.dumps(index))
    assert "<script>alert(1)" not in write_report(directory, figures=False).read_text()


@pytest.fixture(autouse=True)
def _close_figures() -> None:
    plt.close("all")
