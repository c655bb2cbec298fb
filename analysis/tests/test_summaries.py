"""Averages over seeds."""

from pathlib import Path

import numpy as np
import pytest
import sharpseek
from scipy import stats
from sharpseek.summaries import on_manifold, t_interval, usable
from synthetic import make_run


def test_interval_covers_the_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(4000):
        _, low, high = t_interval(generator.normal(3, 2, size=5))
        covered += low < 3 < high
    assert abs(covered / 4000 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)


def test_interval_is_scipys() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    mean, low, high = t_interval(values)
    expected = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose((low, high), expected)
    assert mean == 3.75
    assert np.isnan(t_interval(values[:1])[1])


def test_replicas_that_are_not_stationary_are_counted_but_not_averaged(tmp_path: Path) -> None:
    run = sharpseek.open_run(make_run(tmp_path, stationary=0.5)).load()
    table = sharpseek.summarise(run, "trace_mean", ["condition"])
    use = run["stationary"].values == 1
    for row in table.itertuples():
        here = run["condition"].values == row.condition
        assert row.replicas == 16
        assert row.stationary == (here & use).sum()
        np.testing.assert_allclose(row.mean, run["trace_mean"].values[here & use].mean())


@pytest.mark.parametrize(
    ("drifts", "counts"),
    [
        ([0.02] * 8, True),
        ([0.06] * 8, False),  # every seed drifts
        ([0.02, -0.02, 0.019, -0.021, 0.02, -0.019, 0.021, -0.02], True),  # noise
        ([0.2, -0.2, 0.19, -0.21, 0.2, -0.19, 0.21, -0.2], False),  # noise that could hide 8 %
        ([0.1, 0.04, 0.08, 0.06, 0.09, 0.05, 0.1, 0.04], False),  # 7 % +- 0.8 %
        ([0.9, -0.5, 0.6, -0.7], False),  # nothing can be seen
        ([0.06], False),
    ],
)
def test_seeds_that_drift_on_average_do_not_count(tmp_path: Path, drifts: list[float], counts: bool) -> None:
    run = sharpseek.open_run(make_run(tmp_path)).load().isel(replica=slice(len(drifts)))
    run = run.drop_vars([name for name in ("condition", "init_imbalance", "learning_rate") if name in run])
    run["trace_drift"] = ("replica", np.array(drifts))
    run["stationary"] = ("replica", np.ones(len(drifts), dtype=np.int64))
    run["status"] = ("replica", np.zeros(len(drifts), dtype=np.int64))
    assert usable(run).all() == usable(run).any() == counts


def test_arrival_on_the_manifold_is_where_the_excess_risk_has_fallen(tmp_path: Path) -> None:
    run = sharpseek.open_run(make_run(tmp_path)).load()
    # 5 exp(-t / 2) <= 0.1 (twice the level of 0.1 is 0.2) first at t = 8.
    assert (on_manifold(run) == 8).all()
