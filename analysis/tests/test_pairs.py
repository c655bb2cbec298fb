"""Antithetic pairs become one replica; the gain is what their correlation says."""

from pathlib import Path

import numpy as np
import pytest
import sharpseek
import xarray as xr
from sharpseek.pairs import gains, pair_means
from synthetic import write_run


def pairs_of(a: np.ndarray, b: np.ndarray, condition: np.ndarray) -> xr.Dataset:
    """A run of pairs with these values [pair], written as the program writes them: the two next to each other."""

    def both(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.stack([x, y], axis=1).reshape(-1, *x.shape[1:])

    count = np.arange(a.size)
    seeds = a.size // len(np.unique(condition))
    weights = np.stack([a, a + 1], axis=1)
    return xr.Dataset(
        {
            "trace_mean": ("replica", both(a, b)),
            "status": ("replica", both(0 * count, (count == 1).astype(int))),
            "stationary": ("replica", both(1 + 0 * count, (count != 2).astype(int))),
            "rival_status": ("replica", both(0 * count, np.where(count == 3, 2, 0))),
            "noise_status": (("replica", "time"), both(np.full((a.size, 2), 1), np.full((a.size, 2), [0, 2]))),
            "parameters_final": (("replica", "parameter"), both(weights, -weights)),
            "teacher": (("output", "input"), np.eye(2)),
        },
        coords={
            "condition": ("replica", np.repeat(condition, 2)),
            "seed": ("replica", np.repeat(count % seeds, 2)),
            "noise_sign": ("replica", np.tile([1, -1], a.size)),
            "step": ("time", [0, 10]),
            "rescaled_time": (("replica", "time"), np.tile([0.0, 0.1], (2 * a.size, 1))),
        },
        attrs={"schema_version": 1, "config": "{}"},
    )


@pytest.fixture
def run() -> xr.Dataset:
    return pairs_of(np.arange(8.0), np.arange(8.0)[::-1] * 3, np.repeat([1.0, 100.0], 4))


def test_a_pair_is_one_replica_with_the_mean_of_its_two(run: xr.Dataset) -> None:
    one = pair_means(run)
    assert one.sizes["replica"] == 8 and "noise_sign" not in one.coords
    np.testing.assert_array_equal(one["trace_mean"], (np.arange(8) + 3 * np.arange(8)[::-1]) / 2)
    np.testing.assert_array_equal(one["condition"], np.repeat([1.0, 100.0], 4))
    np.testing.assert_array_equal(one["seed"], np.arange(8) % 4)
    np.testing.assert_array_equal(one["teacher"], np.eye(2))


def test_a_pair_is_as_good_as_the_worse_of_its_two_and_has_the_weights_of_both(run: xr.Dataset) -> None:
    one = pair_means(run)
    np.testing.assert_array_equal(one["status"], [0, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(one["stationary"], [1, 1, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(one["rival_status"], [0, 0, 0, 2, 0, 0, 0, 0])
    np.testing.assert_array_equal(one["noise_status"], np.full((8, 2), [1, 2]))
    np.testing.assert_array_equal(one["parameters_final"][:, 0], np.arange(8))
    np.testing.assert_array_equal(one["parameters_final_mirrored"][:, 0], -np.arange(8))


def test_pairs_are_found_in_any_order_and_halves_are_left_out_and_counted(run: xr.Dataset) -> None:
    order = np.random.default_rng(3).permutation(16)
    order = order[order != 5]  # the second of pair 2
    one = pair_means(run.isel(replica=order)).sortby(["condition", "seed"])
    whole = pair_means(run).isel(replica=[0, 1, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(one["trace_mean"], whole["trace_mean"])
    assert one.attrs["incomplete_pairs"] == 1


def test_runs_are_opened_as_pairs_unless_members_are_asked_for(run: xr.Dataset, tmp_path: Path) -> None:
    write_run(tmp_path, run)
    xr.testing.assert_equal(sharpseek.open_run(tmp_path).load(), pair_means(run))
    assert sharpseek.open_run(tmp_path, members=True).sizes["replica"] == 16


def test_a_run_without_pairs_stays_as_it_is(run: xr.Dataset) -> None:
    plain = run.drop_vars("noise_sign")
    assert pair_means(plain) is plain


def test_replicas_without_a_mirrored_one_stay_where_antithetic_was_swept(run: xr.Dataset) -> None:
    swept = run.assign_coords(antithetic=("replica", np.repeat(["false", "true"], 8)))
    swept["noise_sign"][:8] = 1
    swept["seed"][:8] = np.arange(8)
    one = pair_means(swept)
    assert one.sizes["replica"] == 12 and one.attrs["incomplete_pairs"] == 0
    np.testing.assert_array_equal(one["trace_mean"][:8], run["trace_mean"][:8])


@pytest.mark.parametrize("correlation", [-0.9, 0.0, 0.5])
def test_the_gain_is_that_of_the_correlation_and_its_interval_holds_it(correlation: float) -> None:
    generator = np.random.default_rng(7)
    held, gain = 0, []
    for _ in range(100):
        a, noise = generator.normal(size=(2, 40))
        b = correlation * a + np.sqrt(1 - correlation**2) * noise
        row = gains(pairs_of(a, b, np.full(40, 10.0)), "trace_mean").iloc[0]
        held += row["low"] <= 1 / (1 + correlation) <= row["high"]
        gain.append(row["gain"])
    assert held >= 88  # 95 expected, standard deviation 2.2
    assert np.median(gain) == pytest.approx(1 / (1 + correlation), rel=0.15)
