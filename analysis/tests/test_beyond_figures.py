"""The figures and the headline of the preset `beyond`, on runs with known truth."""

import numpy as np
import pytest
from sharpseek.figures.beyond import charts
from sharpseek.figures.beyond_maps import FINE, limit, theorem_1, theory_field
from sharpseek.figures.interactive import plotly_figure
from sharpseek.figures.static import draw_chart
from sharpseek.files import Experiment
from sharpseek.findings import answer, findings
from sharpseek.verdicts import judge
from sharpseek.verdicts.beyond_saturation import angle
from worlds_beyond import axes, divergence, entropy_flow, plateaus, saturation, suppression

V = np.diag([1.5, 0.7])


def test_angles_are_read() -> None:
    assert [angle(word) for word in ("teacher", "teacher:-30", "teacher:2.5")] == [0, -30, 2.5]
    assert np.isnan([angle(word) for word in ("axes", "teacher-reversed", "teacher:x", "random")]).all()


def test_the_limit_leaves_theorem_1_with_the_angle() -> None:
    # docs/beyond.md: 30 degrees at kappa 1e4; at no angle both are Theorem 1.
    assert limit(V, 30, 1e4) == pytest.approx(1.896, abs=1e-3)
    assert theorem_1(V, 30, 1e4) == pytest.approx(18.07, abs=0.01)
    assert limit(V, 0, 1e4) == theorem_1(V, 0, 1e4)


def whole(experiment: Experiment) -> Experiment:
    """With what the figure of saturation reads: a teacher of two outputs and two layers."""
    run = experiment.run.assign(teacher=(("output", "input"), V)).assign_coords(layer=["W_1", "W_2"])
    return Experiment("saturation", "saturation", "linear", experiment.claims, {"": run})


def test_saturation_is_drawn_with_theory_and_points() -> None:
    (experiment,) = saturation(1)
    _, chart = charts([whole(experiment)], [])
    assert [panel.x_label for panel in chart.panels] == [
        "condition number",
        "angle between noise and signal in degrees",
    ]
    points = [s for s in chart.panels[0].series if s.label.startswith("SGD")]
    assert [s.label for s in points] == ["SGD, 30 degrees", "SGD, 60 degrees"]
    for series in points:
        assert series.x.tolist() == [1e4, 1e6]
        assert np.allclose(series.y, 2.0, rtol=0.03)  # 40 over a flattest of 20, at rate 0
        assert series.firm is not None and series.firm.all()
    short = whole(experiment).run.assign(small_lr_limit_relaxation_rate=experiment.run["trace_mean"] * 0 + 2.0)
    _, chart = charts([Experiment("saturation", "", "linear", ["B1"], {"": short})], [])
    marks = [s for s in chart.panels[0].series if s.label.startswith("SGD")]
    assert not any(s.firm.any() for s in marks if s.firm is not None)


def test_the_map_shows_theory_behind_and_points_in_front() -> None:
    field = theory_field(V)
    assert field.z.shape == (FINE, FINE)
    row, column = np.searchsorted(field.y, np.sqrt(30.0)), np.searchsorted(field.x, 4.0)
    assert field.z[row, column] == pytest.approx(1.896, abs=0.02)  # docs/beyond.md: 30 degrees at kappa 1e4
    assert field.z[0, -1] == pytest.approx(theorem_1(V, 0, 1e7), rel=1e-6)  # without bound at angle 0
    (experiment,) = saturation(1)
    chart, _ = charts([whole(experiment)], [])
    (points,) = chart.panels[0].series
    assert points.values is not None and np.allclose(points.values, 2.0, rtol=0.03)
    places = sorted(zip(points.x.tolist(), np.round(points.y**2).tolist(), strict=True))
    assert places == [(4, 30), (4, 60), (6, 30), (6, 60)]
    assert all("±" in text for text in points.texts)
    assert set(chart.frame()["value"]) == set(points.values)
    heat, marks = plotly_figure(chart)["data"]
    assert heat["type"] == "heatmap" and np.shape(heat["z"]) == (FINE, FINE)
    assert np.allclose(marks["marker"]["color"], np.log10(points.values))
    assert (heat["zmin"], heat["zmax"]) == (marks["marker"]["cmin"], marks["marker"]["cmax"]) == (0, 2)
    draw_chart(chart)


def test_the_phase_map_has_the_edge_of_each_noise() -> None:
    (world,) = divergence(3, place=0.5, conditions=(100.0,))
    run = world.run.drop_vars("condition", errors="ignore")
    size = run.sizes["replica"]
    run = run.assign_coords(total=("replica", np.full(size, 3.0)), condition=("replica", np.full(size, 100.0)))
    run = run.assign(trace=(("replica", "time"), np.full((size, run.sizes["time"]), 24.0)))
    chart = charts([Experiment("rates", "rates", "linear", ["B4"], {"": run})], [])[-1]
    assert chart.name == "phase" and [panel.title.split(", ")[-1] for panel in chart.panels] == ["kappa 100"]
    squares, predicted, edge = chart.panels[0].series
    assert squares.values is not None and np.nanmax(np.abs(squares.values / 0.8 - 1)) < 1e-9  # 24 over a limit of 30
    assert predicted.y.tolist() == [0, 0]
    assert 10 ** edge.y[0] == pytest.approx(0.5, rel=0.1)  # where SGD begins to diverge
    draw_chart(chart)


def test_trajectories_of_cross_entropy_have_a_panel_for_each_start() -> None:
    (chart,) = charts(entropy_flow(1, factor=1.0, everywhere=False), [])
    assert [panel.title for panel in chart.panels] == ["only, imbalance 1", "only, imbalance 3"]
    for panel, start in zip(chart.panels, (1.0, 3.0), strict=True):
        last = panel.series[-1]
        assert last.label == "rate to 0"
        assert last.y[-1] == pytest.approx(2.05 * start, rel=0.03)  # the path falls from 4 to 2
    draw_chart(chart)


def test_trajectories_are_asked_for_while_eigenvalues_are_above_the_rates() -> None:
    # The smallest eigenvalue falls to .008 after three fifths of the way; rates .005 and .01.
    worlds = entropy_flow(2, factor=1.2, everywhere=True, smallest=0.008)
    (verdict,) = judge(worlds)
    assert len(verdict.evidence) == 4  # two quarters of two starts
    assert verdict.outcome == "supported"  # T leaves the flow after half of the way
    (chart,) = charts(worlds, [])
    assert [panel.series[-1].firm.tolist() for panel in chart.panels] == 2 * [[True, True, False, False]]
    (experiment,) = worlds
    low = experiment.run.assign(flow_smallest_eigenvalue=0 * experiment.run["flow_smallest_eigenvalue"] + 0.008)
    (never,) = judge([Experiment("low", "low", "tanh mlp", ["B3b"], {"": low})])
    assert never.outcome == "undecided" and "eigenvalue" in never.evidence[0].subject


def test_plateaus_of_mini_batches_are_not_judged() -> None:
    (full,) = plateaus(4, factors=(1.0, 1.0))
    (verdict,) = judge([full])
    assert (verdict.outcome, len(verdict.evidence)) == ("supported", 2)
    small = full.run.assign_attrs(config=full.run.attrs["config"].replace('"gd"', '"sgd"'))
    assert [e for v in judge([Experiment("only", "only", "linear", ["B5b"], {"": small})]) for e in v.evidence] == []


def test_networks_and_rates_are_drawn() -> None:
    (network,), (rates,) = axes(2), suppression(3, high=0.6, isotropic=1.0)
    size = rates.run.sizes["replica"]
    run = rates.run.assign(batch_sharpness_ratio_of_means=(("replica", "time"), np.full((size, 40), 10.0)))
    rates = Experiment("rates", "rates", "linear", ["B4"], {"": run})
    first, second = (chart for chart in charts([network, rates], []) if chart.name != "phase")
    assert {s.label.split(", ", 1)[1] for s in first.panels[0].series} == {"own axes", "turned by 45 degrees"}
    kappa_1, kappa_100 = second.panels[0].series
    assert kappa_1.x.tolist() == [0.5, 1.0]  # rate x 10 / 2; the largest rate diverged
    assert kappa_100.y[-1] == pytest.approx(0.6, rel=0.05)


def test_the_headline_says_what_was_asked() -> None:
    made = [*saturation(1), *axes(2)]
    text = answer(findings(judge(made)))
    assert text.startswith("Beyond the paper: sharpening saturates where noise and signal do not commute (B1: ")
    assert "so it does in nonlinear networks (B2: " in text
    refuted = answer(findings(judge(saturation(1, factor=1.3, everywhere=True))))
    assert "(B1, refuted: " in refuted
