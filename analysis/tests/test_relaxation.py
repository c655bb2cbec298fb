"""What is left to go of a relaxing quantity: against closed forms, a direct fit, and worlds with known truth."""

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import optimize, stats
from scipy.signal import lfilter
from sharpseek.files import Experiment
from sharpseek.relaxation import HORIZON, TIMES, left_to_go
from sharpseek.summaries import (
    DRIFT_SHARE,
    asked,
    known_relaxation_time,
    left_at,
    points,
    pooled,
    relaxation_table,
    usable,
)
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, judge
from synthetic import make_dataset

RECORDS = 64
TIME = np.arange(RECORDS) / (RECORDS - 1)


def correlated(seeds: int, rho: float, generator: np.random.Generator) -> np.ndarray:
    """[seed, record] of variance 1 with correlation rho^lag."""
    noise = generator.standard_normal((seeds, RECORDS + 100))
    return lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=1)[:, 100:]


def relaxing(amplitude: float, time: float) -> np.ndarray:
    return 1 + amplitude * np.exp(-TIME / time)


@pytest.mark.parametrize("time", [0.2, 0.5, 1.0, 3.0])
def test_a_clean_exponential_gives_its_limit_and_time_back(time: float) -> None:
    generator = np.random.default_rng(1)
    series = relaxing(-0.3, time) + 1e-6 * correlated(6, 0.5, generator)
    left = left_to_go(5 * series, 8 * TIME)
    mean = series[:, RECORDS // 2 :].mean()
    # The grid of relaxation times is 10 % wide.
    assert left.time == pytest.approx(8 * time, rel=0.11)
    assert left.time_low * 0.999 <= 8 * time <= left.time_high * 1.001
    assert left.low < 1 / mean - 1 < left.high
    assert left.value == pytest.approx(1 / mean - 1, rel=0.25)


def test_at_one_relaxation_time_the_interval_is_that_of_a_regression_seed_by_seed() -> None:
    generator = np.random.default_rng(2)
    tau = TIMES[20]
    series = 40 * (relaxing(0.5, tau) + 0.001 * correlated(10, 0.0, generator))
    wave = np.exp(-TIME / tau)
    mean = series[:, 32:].mean()
    own = np.array([-stats.linregress(wave[16:], row[16:]).slope for row in series]) * wave[32:].mean() / mean
    left = left_to_go(series, TIME)
    assert left.time == pytest.approx(tau, rel=1e-9)
    assert left.value == pytest.approx(own.mean(), rel=1e-9)
    low, high = stats.t.interval(0.95, 9, own.mean(), stats.sem(own))
    assert left.low <= low <= high <= left.high


def test_agrees_with_a_nonlinear_fit_of_the_mean_series() -> None:
    generator = np.random.default_rng(3)
    series = relaxing(0.2, 0.4) + 0.01 * correlated(16, 0.4, generator)
    mean = series.mean(axis=0)
    fit, _ = optimize.curve_fit(lambda t, a, b, c: a + b * np.exp(-t / c), TIME[16:], mean[16:], p0=(1, 0.2, 0.4))
    left = left_to_go(series, TIME)
    window = mean[32:].mean()
    assert left.time == pytest.approx(fit[2], rel=0.12)
    assert left.low < (fit[0] - window) / window < left.high


@pytest.mark.parametrize(("rho", "noise", "seeds"), [(0.0, 0.03, 8), (0.5, 0.02, 8), (0.5, 0.03, 16), (0.8, 0.02, 16)])
def test_what_has_arrived_can_be_used(rho: float, noise: float, seeds: int) -> None:
    # Margin 5 %: nothing is known of the relaxation.
    generator = np.random.default_rng(4)
    passed = [
        left_to_go(1 + noise * correlated(seeds, rho, generator), TIME).within(DRIFT_SHARE * 0.05) for _ in range(200)
    ]
    assert np.mean(passed) >= 0.97


@pytest.mark.parametrize(("rho", "noise", "seeds"), [(0.0, 0.02, 8), (0.5, 0.02, 16), (0.5, 0.03, 16), (0.8, 0.02, 16)])
def test_what_has_arrived_can_be_used_at_two_percent_where_theory_knows_the_time(
    rho: float, noise: float, seeds: int
) -> None:
    generator = np.random.default_rng(5)
    passed = [
        left_to_go(1 + noise * correlated(seeds, rho, generator), TIME, known=0.25).within(DRIFT_SHARE * 0.02)
        for _ in range(200)
    ]
    assert np.mean(passed) >= 0.97


@pytest.mark.parametrize("time", [0.15, 0.3, 0.6, 1.0])
@pytest.mark.parametrize(("rho", "noise", "seeds"), [(0.0, 0.02, 8), (0.5, 0.03, 16), (0.0, 0.03, 4)])
def test_what_has_farther_to_go_than_allowed_is_rarely_used(time: float, rho: float, noise: float, seeds: int) -> None:
    # The window's mean is 1.3 times as far from the limit as half of a margin of 5 % allows.
    generator = np.random.default_rng(6)
    away = 1.3 * DRIFT_SHARE * 0.05
    amplitude = away / np.exp(-TIME[RECORDS // 2 :] / time).mean()
    passed = [
        left_to_go(relaxing(sign * amplitude, time) + noise * correlated(seeds, rho, generator), TIME).within(
            DRIFT_SHARE * 0.05
        )
        for _ in range(100)
        for sign in (-1, 1)
    ]
    assert np.mean(passed) <= 0.06, np.mean(passed)


def test_the_interval_holds_the_truth() -> None:
    generator = np.random.default_rng(7)
    for time in (0.3, HORIZON, 1.0):
        held = 0
        for _ in range(200):
            series = relaxing(0.1, time) + 0.02 * correlated(8, 0.5, generator)
            left = left_to_go(series, TIME)
            away = 1 / (relaxing(0.1, time)[RECORDS // 2 :].mean()) - 1
            held += left.low <= away <= left.high
        assert held >= 180, (time, held)


def test_cpp_computes_the_same() -> None:
    # tests/training/relaxation_test.cpp holds the C++ stopping rule to the same table.
    table = np.genfromtxt(Path(__file__).parents[2] / "tests/data/left_to_go.csv", delimiter=",", names=True)
    assert len(table) >= 8
    for row in table:
        seeds, records = int(row["seeds"]), int(row["records"])
        t, k, s = np.arange(records) / (records - 1), np.arange(records), np.arange(seeds)[:, None]
        wiggle = np.sin(12.9898 * (k + 1) * (s + 1) + 1.7 * s * s)
        series = 40 * (1 + row["amplitude"] * np.exp(-t / row["tau"]) + row["noise"] * wiggle)
        left = left_to_go(series, 3 * t, row["known"])
        np.testing.assert_allclose((left.value, left.low, left.high), [row[n] for n in ("value", "low", "high")],
                                   rtol=0, atol=1e-12)  # fmt: skip


def test_what_cannot_be_judged_is_nan() -> None:
    assert np.isnan(left_to_go(np.ones((4, 39))).low)
    assert np.isnan(left_to_go(np.ones((0, 64))).low)
    broken = np.ones((4, 64))
    broken[1, 60] = np.nan
    assert np.isnan(left_to_go(broken).low)
    assert not left_to_go(broken).within(1.0)
    assert left_to_go(np.ones((4, 64))).within(1e-9)


def world(
    amplitude: float, time: float, noise: float, seeds: int, generator: np.random.Generator, **attributes: object
) -> xr.Dataset:
    """Two starts at three conditions that relax to the same trace from both sides."""
    axes = np.meshgrid((1.0, 10.0, 100.0), (1.0, 3.0), np.arange(seeds), indexing="ij")
    condition, start, seed = (axis.ravel() for axis in axes)
    sign = np.where(start == 1, -1, 1)[:, None]
    decay = np.exp(-TIME / time)
    trace = 40 * (1 + sign * amplitude * decay) * (1 + noise * generator.standard_normal((seed.size, RECORDS)))
    window = trace[:, RECORDS // 2 :]
    drift = (window[:, 16:].mean(axis=1) - window[:, :16].mean(axis=1)) / window.mean(axis=1)
    return xr.Dataset(
        {
            "status": ("replica", np.zeros(seed.size, dtype=int)),
            "stationary": ("replica", np.ones(seed.size, dtype=int)),
            "trace_mean": ("replica", window.mean(axis=1)),
            "trace_drift": ("replica", drift),
            "trace": (("replica", "time"), trace),
            "rescaled_time": (("replica", "time"), np.tile(TIME, (seed.size, 1))),
        },
        coords={
            "condition": ("replica", condition),
            "init_imbalance": ("replica", start),
            "seed": ("replica", seed),
        },
        attrs=attributes,
    )


def outcome(run: xr.Dataset) -> str:
    return judge([Experiment("slow", "slow", "mlp", ["C2"], {"": run})])[0].outcome


@pytest.mark.parametrize(
    ("amplitude", "time", "noise", "seeds"),
    [(0.2, 1.0, 0.03, 16), (0.1, 1.0, 0.03, 8), (0.15, 0.6, 0.03, 16), (0.06, 1.0, 0.02, 8), (0.3, 0.35, 0.02, 8)],
)
def test_starts_on_the_way_to_the_same_trace_refute_nothing(
    amplitude: float, time: float, noise: float, seeds: int
) -> None:
    generator = np.random.default_rng(8)
    found = [outcome(world(amplitude, time, noise, seeds, generator)) for _ in range(30)]
    assert found.count(REFUTED) <= 1  # nominal: 2.5 %; over 1500 worlds at most 1.8 % were seen
    assert found.count(SUPPORTED) <= 2


def test_starts_that_have_arrived_support() -> None:
    generator = np.random.default_rng(9)
    assert [outcome(world(0.2, 0.04, 0.02, 16, generator)) for _ in range(20)].count(SUPPORTED) >= 19


def test_the_margin_decides_what_is_near_enough() -> None:
    # Every replica is 1.2 % below its limit.
    run = world(0.05, 0.5, 0.001, 8, np.random.default_rng(10))
    assert not usable(run, 0.02, ["trace"]).any()
    assert usable(run, 0.05, ["trace"]).all()
    assert not usable(asked(run, 0.02, "trace").isel(replica=slice(0, 48))).any()
    assert usable(run, 0.02, ["sharpness"]).all()  # of which the file says nothing


@pytest.mark.parametrize(("rise", "expected"), [(0.12, SUPPORTED), (0.02, UNDECIDED)])
def test_a_trend_wants_what_is_left_to_be_small_against_the_rise(rise: float, expected: str) -> None:
    # Both starts have 2 % of trace left to go, from either side: little against a rise of 12 %, too much for 2 %.
    run = world(0.07, 0.6, 0.002, 8, np.random.default_rng(15))
    factor = run["condition"] ** (np.log1p(rise) / np.log(100))
    for name in ("trace", "trace_mean"):
        run[name] = run[name] * factor
    run["sharpness"], run["sharpness_mean"] = run["trace"] / 5, run["trace_mean"] / 5
    assert judge([Experiment("slow", "slow", "mlp", ["C7"], {"": run})])[0].outcome == expected


def test_theory_knows_the_time_of_plain_sgd_only() -> None:
    run = world(0.05, 0.5, 0.001, 8, np.random.default_rng(11), config=json.dumps({"training": {"momentum": 0.0}}))
    run["small_lr_limit_relaxation_rate"] = ("replica", np.full(run.sizes["replica"], 2.0))
    assert (known_relaxation_time(run) == 0.5).all()
    run.attrs["config"] = json.dumps({"training": {"momentum": 0.9}})
    assert np.isnan(known_relaxation_time(run)).all()


def test_the_table_of_a_run_has_every_point() -> None:
    run = world(0.3, 0.4, 0.005, 8, np.random.default_rng(14))
    table = relaxation_table(run, "trace")
    assert len(table) == 6
    for row in table.itertuples():
        here = (run["condition"].values == row.condition) & (run["init_imbalance"].values == row.init_imbalance)
        left = left_to_go(run["trace"].values[here], TIME)
        assert (row.left_low, row.left_high, row.relaxation_time) == (left.low, left.high, left.time)
        assert row.relaxation_time == pytest.approx(0.4, rel=0.25)
    assert relaxation_table(run, "sharpness")["left"].isna().all()


def test_pooled_groups_remember_what_their_series_said() -> None:
    slow = world(0.1, 1.0, 0.005, 8, np.random.default_rng(12))
    quick = world(0.1, 0.05, 0.005, 8, np.random.default_rng(13))
    both = pooled(Experiment("both", "both", "mlp", [], {"depth=2": slow, "depth=3": quick}))
    assert "trace" not in both
    for point in points(both):
        depth = both["depth"].values[point][0]
        assert usable(both, 0.05)[point].all() == (depth == 3)
    series = left_at(quick, points(quick)[0], "trace")
    kept = left_at(both, points(both)[6], "trace")
    assert kept is not None
    assert series is not None
    np.testing.assert_array_equal(astuple(kept), astuple(series))


def test_without_a_series_the_drift_decides_and_without_that_stationarity() -> None:
    run = make_dataset(seeds=4)
    bare = run.drop_vars(["trace", "gradient_fluctuation"])
    alone = np.where(run["seed"] == 3, 0, 1)
    np.testing.assert_array_equal(usable(bare.assign(stationary=("replica", alone))), alone == 1)
    # Half of a drift of 6 % is more than half of a margin of 5 %, and less than that of one of 7 %; as is its interval.
    drift = np.where(run["condition"] == 10, 0.06, 0.0) * (1 + 0.01 * (run["seed"].values - 1.5))
    drifting = bare.assign(trace_drift=("replica", drift))
    np.testing.assert_array_equal(usable(drifting, 0.05, ["trace"]), run["condition"] != 10)
    assert usable(drifting, 0.07, ["trace"]).all()
    assert usable(drifting, 0.05, ["sharpness"]).all()
