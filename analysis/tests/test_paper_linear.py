"""P4 and P5 where their rules have a catch: slopes that fall short at every rate, and equal eigenvalues."""

import numpy as np
import pytest
import xarray as xr
from sharpseek.files import Experiment
from sharpseek.paper_theory import largest_eigenvalue, largest_two
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, judge
from synthetic import make_dataset
from worlds_paper import depths, one


def eigenvalue_run(teacher: np.ndarray, conditions: dict[float, float]) -> Experiment:
    """Two rates; the sharpness at each of these conditions is so many times the closed form."""
    run = make_dataset(rates=(0.001, 0.002), noise=0.003)
    run = run.isel(replica=np.isin(run["condition"], list(conditions)))
    kappa = run["condition"].values
    noise = np.array([np.diag([1.0, 1 / k]) for k in kappa])
    factor = xr.DataArray([conditions[k] for k in kappa], dims="replica")
    run = run.assign(
        sharpness_mean=run["sharpness_mean"] * factor,
        teacher=(("output", "input"), teacher),
        input_covariance=(("input", "input_b"), np.eye(2)),
        noise_covariance=(("replica", "output", "output_b"), noise),
    )
    return one(run, "P5")[0]


def test_the_two_largest_eigenvalues_are_those_of_equation_72() -> None:
    for depth in (2, 3, 5):
        signal, noise = np.array([1.5, 0.7]), np.array([2.0, 0.1])
        first, second = largest_two(depth, np.diag(signal), np.eye(2), np.diag(noise))
        assert first == pytest.approx(largest_eigenvalue(depth, signal, np.ones(2), noise), rel=1e-10)
        assert second < 0.99 * first
        # Isotropic noise and V = I: every direction is like every other.
        first, second = largest_two(depth, np.eye(2), np.eye(2), np.eye(2))
        assert second == pytest.approx(first, rel=1e-10)


def test_equal_eigenvalues_are_left_out() -> None:
    # V = I: at kappa 1 all eigenvalues are equal in closed form, and SGD splits them.
    (verdict,) = judge([eigenvalue_run(np.eye(2), {1.0: 1.1, 10.0: 1.0, 100.0: 1.0})])
    assert verdict.outcome == SUPPORTED
    assert [e.subject for e in verdict.evidence] == [f"sharpness, kappa {k}, rate to 0" for k in (10, 100)]
    (verdict,) = judge([eigenvalue_run(np.diag([1.5, 1.0]), {1.0: 1.1, 10.0: 1.0})])
    assert verdict.outcome == REFUTED
    (verdict,) = judge([eigenvalue_run(np.eye(2), {1.0: 1.1})])
    assert verdict.outcome == UNDECIDED
    assert "simple largest eigenvalue" in verdict.evidence[0].subject


def test_slopes_are_judged_at_rate_0() -> None:
    # At every rate the slope falls short of Theorem 1's, by 4 % and 9 % in these worlds.
    (verdict,) = judge(depths(1, of_depth=(1.0, 1.0, 1.1)))
    assert verdict.outcome == SUPPORTED
    (verdict,) = judge(depths(2, steep=0.7))
    assert verdict.outcome == REFUTED
    assert "depth 2" in next(e.subject for e in verdict.evidence if e.outcome == REFUTED)


def test_one_rate_does_not_refute_a_slope() -> None:
    (experiment,) = depths(3, steep=0.7)
    run = experiment.run
    run = run.isel(replica=run["learning_rate"].values == 0.001).drop_vars("learning_rate")
    (verdict,) = judge(one(run, "P4"))
    assert verdict.outcome == UNDECIDED
