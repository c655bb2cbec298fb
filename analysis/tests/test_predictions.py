"""The table of predictions: like with like, at the smallest rate, setting by setting."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sharpseek.figures import settings
from sharpseek.files import Experiment, open_run
from sharpseek.predictions import prediction_table
from synthetic import make_dataset, make_run


def experiment(*runs: xr.Dataset, names: tuple[str, ...] = ("",)) -> Experiment:
    return Experiment("e", "e", "linear", ["C1"], dict(zip(names, runs, strict=True)))


def rotated() -> xr.Dataset:
    """Two rotations whose traces and predictions differ by a factor of 2; of the second, half are stationary."""
    first, second = make_dataset(seeds=4, bias=1.01), make_dataset(seeds=4, bias=1.01, generator_seed=2)
    for name in second.data_vars:
        if str(name).endswith("_trace") or name == "trace_mean":
            second[name] = second[name] * 2
    second["stationary"] = second["stationary"].where(second["seed"] < 2, 0)
    parts = [
        part.assign_coords(rotation=("replica", [name] * part.sizes["replica"]))
        for part, name in ((first, "axes"), (second, "teacher, 'x'"))
    ]
    return xr.concat(parts, "replica", data_vars="minimal", coords="minimal", compat="override")


def test_each_rotation_is_compared_with_its_own_prediction() -> None:
    run = rotated()
    table = prediction_table(experiment(run)).set_index(["quantity", "setting"])
    for rotation in ("axes", "teacher, 'x'"):
        for condition in (1.0, 10.0, 100.0):
            row = table.loc[("trace", f"condition {condition:g}, rotation {rotation}")]
            here = (run["rotation"].values == rotation) & (run["condition"].values == condition)
            good = here & (run["stationary"].values == 1)
            values = run["trace_mean"].values[good]
            low, high = stats.t.interval(0.95, values.size - 1, loc=values.mean(), scale=stats.sem(values))
            np.testing.assert_allclose([row["mean"], row.low, row.high], [values.mean(), low, high])
            np.testing.assert_allclose(row.predicted, run["small_lr_limit_trace"].values[here][0])
            assert (row.usable, row.replicas) == (good.sum(), here.sum())
            assert abs(row["mean"] / row.predicted - 1.01) < 0.01


def test_figures_of_theory_are_drawn_for_each_rotation() -> None:
    from sharpseek.figures import theory

    charts = theory.charts([experiment(rotated())], [])
    assert [chart.name for chart in charts] == ["theory-e: rotation axes", "theory-e: rotation teacher, 'x'"]
    for chart in charts:
        residual = chart.panels[3].series[0]
        np.testing.assert_allclose(residual.y, 1.01, atol=0.01)
        assert chart.source.startswith("e/run.h5: ")


@pytest.mark.parametrize("groups", [True, False])
def test_of_several_rates_only_the_smallest_is_shown_with_its_value(tmp_path: Path, groups: bool) -> None:
    rates = (0.004, 0.001, 0.002)
    if groups:
        names = tuple(f"learning_rate={rate}" for rate in rates)
        runs = [
            open_run(make_run(tmp_path / name, seeds=2, bias=1 + rate)) for name, rate in zip(names, rates, strict=True)
        ]
        found = prediction_table(experiment(*runs, names=names))
    else:
        found = prediction_table(experiment(make_dataset(seeds=2, rates=rates)))
    assert len(found) == 3 * 3
    assert set(found["rate"]) == {0.001}


def test_of_rates_that_are_groups_the_figure_shows_the_smallest(tmp_path: Path) -> None:
    names = ("learning_rate=0.004", "learning_rate=0.001")
    runs = [open_run(make_run(tmp_path / name, bias=bias)) for name, bias in zip(names, (1.2, 1.0), strict=True)]
    (chart,) = settings.charts([experiment(*runs, names=names)], [])
    np.testing.assert_allclose(chart.panels[3].series[0].y, 1.0, atol=0.01)


@pytest.mark.parametrize(
    ("noise", "setting"),
    [
        ({"condition": 100.0, "covariance": ""}, "condition 100"),
        ({"condition": 1.0, "covariance": ""}, "condition 1"),
        ({"condition": 1.0, "covariance": "file:S.csv"}, "all"),
    ],
)
def test_a_condition_that_was_not_swept_is_the_configurations(noise: dict, setting: str) -> None:
    run = make_dataset(seeds=2)
    run = run.isel(replica=np.flatnonzero(run["condition"].values == 100)).drop_vars("condition")
    run.attrs["config"] = json.dumps({"noise": noise})
    assert set(prediction_table(experiment(run))["setting"]) == {setting}


def test_what_was_not_measured_has_no_row() -> None:
    run = make_dataset(seeds=2).drop_vars(["trace_mean", "gradient_fluctuation_mean"])
    assert set(prediction_table(experiment(run))["quantity"]) == {"sharpness"}
    assert prediction_table(experiment(make_dataset(linear=False))).empty
