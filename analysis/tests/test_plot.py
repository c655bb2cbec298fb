"""The plotting functions: axes with the run's values on them, and clear words for what a run lacks."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sharpseek
import xarray as xr
from matplotlib.axes import Axes
from sharpseek import plot
from sharpseek.verdicts import judge
from synthetic import Make, make_dataset, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return sharpseek.open_run(make_run(tmp_path_factory.mktemp("run"), seeds=4, noise=0.001))


@pytest.mark.parametrize(
    "draw",
    [plot.trend, plot.theory, plot.residuals, plot.trajectories, plot.spectrum, plot.spectrum_over_time, plot.layers,
     plot.balances],
)  # fmt: skip
def test_each_returns_the_axes_it_drew_on(run, draw: Callable[..., Axes]) -> None:
    _, ax = plt.subplots()
    assert draw(run, ax=ax) is ax
    assert ax.has_data()
    fresh = draw(run)
    assert fresh is not ax and fresh.has_data()
    assert fresh.get_xlabel()
    plt.close("all")


def test_trend_marks_lie_at_the_means(run) -> None:
    ax = plot.trend(run, "trace")
    marks = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 3])
    np.testing.assert_allclose(np.sort(marks[:, 1])[::2], 40 * np.array([1, 10, 100]) ** 0.2, rtol=2e-3)
    plt.close("all")


def test_evidence_draws_a_verdict(reproduction: Make) -> None:
    verdict = judge(sharpseek.open_reproduction(reproduction(**{"linear-2": {}}))[1])[0]
    ax = plot.evidence(verdict)
    assert len(ax.get_yticks()) == len(verdict.evidence)
    plt.close("all")


def test_what_a_run_lacks_is_named(run, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="batch_sharpness_mean is missing"):
        plot.trend(run, "batch_sharpness")
    with pytest.raises(ValueError, match="condition = 7: the run has 1, 10, 100"):
        plot.trajectories(run, condition=7)
    with pytest.raises(ValueError, match=r"noise\.condition was not swept"):
        plot.trend(run.drop_vars("condition"))


def over_axes(**axes: list) -> xr.Dataset:
    """A run in which what was swept is not the condition."""
    run = make_dataset(seeds=4, noise=0.001)
    here = (run["condition"].values == 10) & (run["init_imbalance"].values == 1)  # starts come from both sides
    run = run.isel(replica=np.flatnonzero(here)).drop_vars(["condition", "init_imbalance"])
    parts = [
        run.assign(trace_mean=run["trace_mean"] * (i + 1)).assign_coords(
            {name: ("replica", [values[i]] * run.sizes["replica"]) for name, values in axes.items()}
        )
        for i in range(len(next(iter(axes.values()))))
    ]
    return xr.concat(parts, "replica", data_vars="minimal", coords="minimal", compat="override")


@pytest.mark.parametrize(
    ("axis", "values", "scale", "ticks"),
    [
        ("learning_rate", [0.001, 0.01, 0.1], "log", ["0.001", "0.01", "0.1"]),
        ("weight_decay", [0.0, 0.1, 0.2], "linear", ["0", "0.1", "0.2"]),
        ("rotation", ["axes", "file:a$b$.csv", "teacher"], "linear", ["axes", r"file:a\$b\$.csv", "teacher"]),
    ],
)
def test_trends_are_drawn_over_whatever_was_swept(axis: str, values: list, scale: str, ticks: list[str]) -> None:
    run = over_axes(**{axis: values})
    for draw in (plot.trend, plot.theory, plot.residuals):
        ax = draw(run)
        assert ax.get_xscale() == scale
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ticks
        assert ax.get_xlabel() == axis.replace("_", " ")
        marks = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 3])
        np.testing.assert_allclose(marks[:, 1] / marks[0, 1], [1, 2, 3], rtol=3e-3)
    plt.close("all")


def test_over_names_the_axis_and_other_axes_are_series() -> None:
    run = make_dataset(seeds=4, noise=0.001)
    ax = plot.trend(run, over="init_imbalance")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "3"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        f"κ = {condition}, all starts" for condition in (1, 10, 100)
    ]
    with pytest.raises(ValueError, match="width was not swept: condition, init_imbalance"):
        plot.trend(run, over="width")
    plt.close("all")


@pytest.mark.parametrize(
    "draw", [plot.trajectories, plot.spectrum, plot.spectrum_over_time, plot.layers, plot.balances]
)
def test_what_needs_no_axis_is_drawn_where_nothing_was_swept(draw: Callable[..., Axes]) -> None:
    run = make_dataset(seeds=4)
    run = run.isel(replica=np.flatnonzero(run["condition"].values == 10)).drop_vars(["condition", "init_imbalance"])
    ax = draw(run)
    assert ax.has_data()
    if draw is plot.trajectories:  # with a line of theory: 40 * 10^.2
        (line,) = [line for line in ax.lines if line.get_label().startswith("theory")]
        np.testing.assert_allclose(line.get_ydata(), 40 * 10**0.2)
    plt.close("all")


def test_points_without_enough_usable_replicas_are_named() -> None:
    run = make_dataset(seeds=4, unusable=100.0)
    run["stationary"] = run["stationary"].where(
        (run["condition"] > 1) | (run["init_imbalance"] < 3) | (run["seed"] < 1), 0
    )
    expected = (
        "Too few usable replicas at κ = 100, flat start (0 of 4); κ = 1, sharp start (1 of 4); "
        "κ = 100, sharp start (0 of 4): train longer."
    )
    with pytest.warns(UserWarning) as warned:
        ax = plot.trend(run)
    assert [str(w.message) for w in warned] == [expected]
    assert " ".join(ax.get_xlabel().split("\n")[1:]) == expected
    plt.close("all")


def test_nothing_usable_is_no_plot_without_a_word() -> None:
    with pytest.warns(UserWarning, match=r"κ = 1, flat start \(0 of 2\); .*: train longer\."):
        ax = plot.trend(make_dataset(seeds=2, stationary=0.0))
    assert "Too few usable replicas" in ax.get_xlabel()
    assert [text.get_text() for text in ax.texts] == ["nothing to draw"]
    plt.close("all")


@pytest.mark.parametrize(
    ("diverged", "unusable", "cure"),
    [
        ((1, 100), None, "lower the learning rate."),
        ((100,), None, "lower the learning rate."),
        ((1,), 100.0, "lower the learning rate or train longer."),
    ],
)
def test_the_cure_is_that_of_the_fault(diverged: tuple[float, ...], unusable: float | None, cure: str) -> None:
    run = make_dataset(seeds=3, unusable=unusable)
    lost = np.isin(run["condition"].values, diverged)
    run["status"] = run["status"].where(~lost, 1)
    run["stationary"] = run["stationary"].where(~lost, 0)
    with pytest.warns(UserWarning, match=rf"^Too few usable replicas at κ = .*: {cure}$"):
        ax = plot.trend(run)
    assert not ax.texts  # κ = 10 is drawn
    plt.close("all")


def test_why_a_variable_is_missing_is_said() -> None:
    run = make_dataset(seeds=2, linear=False).drop_vars(["gradient_fluctuation_mean", "balance_difference"])
    for draw, words in (
        (lambda: plot.theory(run), "closed_form_trace is missing: only linear networks have it"),
        (lambda: plot.trend(run, "gradient_fluctuation"), "measure.quantities had no gradient"),
        (lambda: plot.balances(run), "measure.quantities had no balance"),
    ):
        with pytest.raises(KeyError, match=words):
            draw()


@pytest.mark.parametrize("variable", ["trace", "gradient_fluctuation"])
def test_means_of_a_run_that_is_not_finished_are_missing_for_that_reason(variable: str) -> None:
    run = make_dataset(seeds=2).drop_vars([f"{variable}_mean"])
    run.attrs.pop("finished", None)
    with pytest.raises(KeyError, match=rf"the run is not finished; plot.trajectories\(run, '{variable}'\) draws"):
        plot.trend(run, variable)
    with pytest.raises(KeyError, match=r"measure\.quantities had no"):
        plot.trend(run.assign_attrs(finished="2026-11-29T00:00:00Z"), variable)
    plt.close("all")
