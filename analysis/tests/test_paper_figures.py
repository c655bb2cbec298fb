"""The chapter on the paper: its figures in its units, and the table of what was said."""

import numpy as np
import pytest
from sharpseek.figures.paper import charts
from sharpseek.files import Experiment
from sharpseek.paper_figures import PAPER, figures_of, table_of
from sharpseek.verdicts import CLAIMS, judge
from synthetic import make_dataset
from worlds_paper import layers, plateau, power


def named(name: str, experiments: list[Experiment]) -> Experiment:
    """The only experiment under another name, its records 10 steps apart."""
    (one,) = experiments
    run = one.run
    return Experiment(
        name, name, one.architecture, one.claims,
        {"": run.assign_coords(step=("time", np.arange(run.sizes.get("time", 4)) * 10))},
    )  # fmt: skip


def test_every_figure_has_claims_and_every_claim_of_the_paper_a_figure() -> None:
    claims = {claim.name for claim in CLAIMS if claim.name.startswith("P")}
    assert {claim for figure in PAPER for claim in figure.claims} == claims
    assert [figure.name for figure in figures_of("figure-2-linear")] == ["Figures 2 and 5, left", "Figure 6"]


def test_trajectories_are_in_the_paper_s_units_with_its_lines() -> None:
    run = make_dataset(noise=0.0)
    run = run.assign(small_lr_limit_trace=run["closed_form_trace"] * 0.8)
    (chart,) = charts([Experiment("theorem-1", "x", "linear", ["P1"], {"": run})], [])
    panel = chart.panels[0]
    end = next(s for s in panel.series if s.label.startswith("κ = 100"))
    assert end.y[-1] == pytest.approx(40 * 100**0.2 / 2, rel=1e-3)
    lines = {s.label: (s.y[0], s.dash) for s in panel.series if s.style == "reference"}
    assert lines["T_min"] == (20.0, "dash")
    assert lines["Theorem 1, κ = 100"] == (pytest.approx(20 * 100**0.2), "dot")
    assert lines["limit of small rates, κ = 100"] == (pytest.approx(16 * 100**0.2), "solid")


def test_panels_say_which_of_several_experiments_they_are_of() -> None:
    run = make_dataset(noise=0.0)
    two = [Experiment(name, "x", "linear", ["P1"], {"": run}) for name in ("theorem-1", "theorem-1-deep")]
    (chart,) = charts(two, [])
    assert [panel.title for panel in chart.panels] == ["T, theorem-1", "T, theorem-1-deep"]


def test_a_fork_that_is_too_short_to_be_seen_has_its_own_panel() -> None:
    run = make_dataset(noise=0.0)
    forks = [
        Experiment(name, "x", "linear", ["P6"], {"": run.assign_coords(step=run["step"] * factor)})
        for name, factor in (("figure-4", 100), ("figure-4-noise", 100), ("figure-4-descent", 1))
    ]
    (chart,) = charts(forks, [])
    assert [panel.title for panel in chart.panels] == ["T", *["T, figure-4-descent"] * (len(chart.panels) - 1)]
    assert len(chart.panels) > 1
    assert max(chart.panels[1].series[0].x) == run["step"].values[-1]


def test_the_plateau_over_the_horizon() -> None:
    experiment = named("figure-3-relu", plateau(1, slopes=(0.0, 0.2)))
    (chart,) = charts([experiment], judge([experiment]))
    heights = chart.panels[-1].series
    assert heights[1].y[-1] / heights[1].y[0] == pytest.approx(16**0.2, rel=0.1)
    assert heights[0].y[-1] / heights[0].y[0] == pytest.approx(1, rel=0.1)
    assert "P12" in chart.caption


def test_layers_and_power_laws_are_drawn() -> None:
    found = charts([named("figure-2-linear", layers(1, ratios=(2.0, 1.0, 2.0)))], [])
    assert [len(chart.panels) for chart in found] == [3]
    late = {s.label: s.y[-1] for s in found[0].panels[0].series}
    assert late["κ = 100"] / late["κ = 1"] == pytest.approx(2, rel=0.1)
    run = named("figure-2-linear", layers(1, ratios=(2.0, 1.0, 2.0))).run
    noise = np.array([np.diag([1.0, 1 / k]) for k in run["condition"].values])
    run = run.assign(
        input_covariance=(("input", "input_b"), np.eye(2)),
        noise_covariance=(("replica", "output", "output_b"), noise),
    )
    (chart,) = charts([Experiment("figure-2-linear", "x", "linear", ["P8"], {"": run})], [])
    # V = I and D = 3: W_3 goes as Sigma^(-1/4), W_1 as Sigma^(1/4), W_2 as the identity (equation 66).
    for panel, at_100 in zip(chart.panels, (100**0.25, 1.0, 100**0.25), strict=True):
        lines = {s.label: s.y[0] for s in panel.series if s.style == "reference"}
        assert lines == {"Theorem 1, κ = 1": pytest.approx(1.0), "Theorem 1, κ = 100": pytest.approx(at_100)}
    experiment = named("power-2", power(1, factors=(1.0, 1.0)))
    run = experiment.run
    run = run.assign(
        trace=(("replica", "time"), np.repeat(run["trace_mean"].values[:, None], 4, axis=1)),
        teacher=(("output", "input"), np.eye(2)), input_covariance=(("input", "input_b"), np.eye(2)),
    )  # fmt: skip
    (chart,) = charts([Experiment("power-2", "x", "linear", ["P11"], {"": run})], [])
    assert chart.panels[0].series[0].x.tolist() == [2.0]


def test_the_table_says_what_each_experiment_said() -> None:
    rows = table_of(["labels", "power-4", "power-8"], [("P7", "labels", "supported"), ("P11", "power-8", "refuted")])
    assert [row.figure.name for row in rows] == ["Proposition 1", "Corollary 4"]
    assert rows[1].said == (("P11", "power-8", "refuted"),)
