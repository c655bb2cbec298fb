"""C10 on trajectories with known truth."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sharpseek.figures.flow import charts
from sharpseek.files import Experiment, open_run
from sharpseek.verdicts import flow_table, judge
from sharpseek.verdicts.flow import flow_at_rate_zero

RATES = (0.001, 0.002, 0.004, 0.008)
CONDITIONS = (1.0, 100.0)


def experiment(
    folder: Path, *, miss: float = 0.0, bend: float = 0.0, seeds: int = 32, rates: tuple[float, ...] = RATES
) -> Experiment:
    """SGD with a deficit linear (and by `bend` quadratic) in the rate around a flow `miss` wrong at kappa 100."""
    runs = {}
    generator = np.random.default_rng(5)
    for rate in rates:
        condition, seed = (a.ravel() for a in np.meshgrid(CONDITIONS, np.arange(seeds), indexing="ij"))
        time = np.linspace(0, 0.4, 21)
        flow = 20 + 20 * np.exp(-5 * time) * np.sqrt(condition)[:, None]
        truth = flow * (1 + miss * (condition == 100.0)[:, None] * time / 0.4)
        trace = truth * (1 - 10 * rate - bend * rate**2) * (1 + 0.02 * generator.normal(size=flow.shape))
        replicas = condition.size
        run = xr.Dataset(
            {
                "trace": (("replica", "time"), trace),
                "flow_trace": (("replica", "time"), flow),
                "flow_circulation": ("replica", np.where(condition == 1, 0.0, 0.3)),
                "status": ("replica", np.zeros(replicas, dtype=np.int64)),
                "stationary": ("replica", np.zeros(replicas, dtype=np.int64)),
            },
            coords={
                "condition": ("replica", condition),
                "seed": ("replica", seed),
                "step": ("time", np.round(time / rate**2).astype(np.int64)),
                "rescaled_time": (("replica", "time"), np.repeat(time[None], replicas, 0)),
            },
            attrs={"schema_version": 1, "config": json.dumps({"training": {"batch": 1}})},
        )
        file = folder / f"learning_rate={rate}" / "run.h5"
        file.parent.mkdir(parents=True)
        run.to_netcdf(file, engine="h5netcdf")
        runs[f"learning_rate={rate}"] = open_run(file)
    return Experiment("flow-mlp", "", "tanh mlp", ["C10"], runs)


def test_a_true_flow_is_supported_at_every_kappa_and_time(tmp_path: Path) -> None:
    table = flow_table(experiment(tmp_path, bend=500))
    assert len(table) == 8
    assert table["time"].unique() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (table["rates"] == 4).all()
    assert (table["z"].abs() < 3.5).all()
    (verdict,) = judge([experiment(tmp_path / "again", bend=500)])
    assert verdict.claim == "C10"
    assert verdict.outcome == "supported"


def test_a_flow_that_is_wrong_is_refuted_where_it_is_wrong(tmp_path: Path) -> None:
    (verdict,) = judge([experiment(tmp_path, miss=0.1)])
    assert verdict.outcome == "refuted"
    wrong = {e.subject for e in verdict.evidence if e.outcome == "refuted"}
    assert "kappa 100, time 0.4" in wrong
    assert not any(subject.startswith("kappa 1,") for subject in wrong)


def test_only_a_linear_network_in_pairs_is_asked_more_narrowly(tmp_path: Path) -> None:
    found = experiment(tmp_path, miss=0.035, bend=500, seeds=600)
    for architecture, antithetic, outcome in (
        ("linear", False, "supported"),
        ("tanh mlp", True, "supported"),
        ("linear", True, "refuted"),
    ):
        config = {"training": {"batch": 1}, "noise": {"antithetic": antithetic}}
        for run in found.runs.values():
            run.attrs["config"] = json.dumps(config)
        (verdict,) = judge([replace(found, architecture=architecture)])
        assert verdict.outcome == outcome, architecture


def test_two_rates_decide_nothing(tmp_path: Path) -> None:
    (verdict,) = judge([experiment(tmp_path, rates=(0.001, 0.002))])
    assert verdict.outcome == "undecided"


def test_errors_at_rate_zero_are_calibrated() -> None:
    generator = np.random.default_rng(1)
    rates, errors = np.array(RATES), np.full(4, 0.01)
    z = []
    for _ in range(400):
        means = 1 - 10 * rates + 300 * rates**2 + errors * generator.normal(size=4)
        value, error = flow_at_rate_zero(rates, means, errors)
        z.append((value - 1) / error)
    assert np.mean(z) == pytest.approx(0, abs=0.2)
    assert np.std(z) == pytest.approx(1, abs=0.12)


def test_rates_that_follow_no_polynomial_widen_the_error() -> None:
    # A transformer whose smallest rate follows the flow, as all smaller ones do, and whose larger ones do not.
    rates, errors = np.array([0.00025, 0.0005, 0.001, 0.002]), np.full(4, 0.008)
    value, error = flow_at_rate_zero(rates, np.array([0.988, 0.849, 0.854, 0.872]), errors)
    smooth = flow_at_rate_zero(rates, 1 - 100 * rates, errors)[1]
    assert error > 5 * smooth
    assert abs(value - 1) < 3 * error
    assert flow_at_rate_zero(rates, 1 - 100 * rates + errors * [1, -1, 1, 0], errors)[1] == pytest.approx(smooth)


def test_the_report_draws_the_prediction_under_the_measurement(tmp_path: Path) -> None:
    (chart,) = charts([experiment(tmp_path)], [])
    assert [panel.title for panel in chart.panels] == ["κ = 1, circulation 0.00", "κ = 100, circulation 0.30"]
    labels = [series.label for series in chart.panels[0].series]
    assert labels == ["rate 0.001", "rate 0.002", "rate 0.004", "rate 0.008", "flow", "rate to 0"]
    diamonds = chart.panels[1].series[-1]
    flow = 20 + 200 * np.exp(-5 * diamonds.x)
    assert diamonds.y == pytest.approx(flow, rel=0.05)
