"""Verdicts on ensembles whose truth is known."""

import json

import numpy as np
import pytest
from sharpseek.verdicts import (
    CLAIMS,
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    balance_table,
    combine,
    judge,
    overall,
    positive,
    within,
)
from synthetic import make_experiment


def outcomes(**options: object) -> dict[str, str]:
    return overall(judge([make_experiment(**options)]))


def test_a_world_as_claimed_supports_every_claim_on_linear_networks() -> None:
    found = outcomes()
    assert found == dict.fromkeys(["C1", "C2", "C3", "C4", "C5", "C6a", "C6b"], SUPPORTED)


def test_trend_of_a_nonlinear_network() -> None:
    common = {"linear": False, "architecture": "tanh mlp", "claims": ["C7"]}
    assert outcomes(slope=0.05, **common) == {"C7": SUPPORTED}
    assert outcomes(slope=-0.05, **common) == {"C7": REFUTED}


def test_no_effect_is_not_called_one() -> None:
    supported = 0
    for seed in range(40):
        found = outcomes(
            slope=0.0,
            noise=0.05,
            linear=False,
            architecture="rnn",
            claims=["C7"],
            generator_seed=seed,
            seeds=8,
        )
        supported += found["C7"] == SUPPORTED
    # Trace and sharpness share their noise here, so that one side of a 95 % interval errs 1 time in 40.
    assert supported <= 5


def test_a_value_that_theory_does_not_predict_is_not_supported() -> None:
    assert outcomes(bias=1.05, claims=["C1"]) == {"C1": UNDECIDED}


def test_the_trace_of_pairs_is_asked_more_narrowly() -> None:
    for bias, apart, in_pairs in ((1.015, SUPPORTED, REFUTED), (1.004, SUPPORTED, SUPPORTED)):
        experiment = make_experiment(bias=bias, noise=0.002, rates=(0.001, 0.002), claims=["C1"])
        assert overall(judge([experiment])) == {"C1": apart}
        for run in experiment.runs.values():
            run.attrs["config"] = json.dumps({"noise": {"antithetic": True}})
        assert overall(judge([experiment])) == {"C1": in_pairs}


def test_two_rates_extrapolate_to_the_prediction_or_refute_it() -> None:
    # A deficit of 5 % at the smaller rate that is proportional to the rate vanishes at rate 0.
    assert outcomes(deficit=0.05, rates=(0.001, 0.002), claims=["C1"]) == {"C1": SUPPORTED}
    assert outcomes(bias=1.1, rates=(0.001, 0.002), claims=["C1"]) == {"C1": REFUTED}


def test_two_ends_refute_uniqueness() -> None:
    assert outcomes(start_gap=1.1, claims=["C2"]) == {"C2": REFUTED}
    assert outcomes(start_gap=1.02, noise=0.03, claims=["C2"]) == {"C2": UNDECIDED}


def test_broken_balance_is_refuted_and_noise_alone_is_not() -> None:
    assert outcomes(imbalance=0.15, claims=["C6b"]) == {"C6b": REFUTED}
    refuted = sum(outcomes(claims=["C6b"], generator_seed=s) == {"C6b": REFUTED} for s in range(40))
    assert refuted <= 2


def test_heavy_tailed_gradients_do_not_bias_the_imbalance() -> None:
    # The mean difference is 0. The mean of difference / sum is -0.03: large sums come with large differences.
    means, errors = [], []
    for seed in range(30):
        row = balance_table(make_experiment(tails=0.5, generator_seed=seed).run).iloc[0]
        means.append(row["mean"])
        errors.append(row["errors"])
    assert abs(np.mean(means)) < 3 * np.std(means, ddof=1) / np.sqrt(len(means))
    assert np.sum(np.abs(errors) > 3) <= 2


def test_too_few_stationary_replicas_decide_nothing() -> None:
    found = outcomes(stationary=0.2)
    assert SUPPORTED not in found.values()
    assert REFUTED not in found.values()
    verdict = judge([make_experiment(stationary=0.2)])[0]
    assert verdict.usable_share < 0.5


@pytest.mark.parametrize("condition", [1.0, 100.0])
def test_a_slope_without_one_of_its_ends_decides_nothing(condition: float) -> None:
    # Two thirds of all replicas are usable, but none at this condition.
    assert outcomes(unusable=condition, claims=["C4"]) == {"C4": UNDECIDED}
    nonlinear = {"linear": False, "architecture": "rnn", "claims": ["C7"]}
    assert outcomes(unusable=condition, **nonlinear) == {"C7": UNDECIDED}


def test_the_slope_over_theory_does_not_depend_on_which_replicas_are_usable() -> None:
    # Log trace is curved in log kappa, and half of the replicas at the largest kappa are missing.
    experiment = make_experiment(claims=["C4"], noise=0.001)
    run = experiment.runs[""]
    for name in ("trace_mean", "closed_form_trace"):
        run[name] = run[name] * np.exp(0.1 * np.log(run["condition"]) ** 2)
    run["stationary"] = run["stationary"].where((run["condition"] < 100) | (run["seed"] < 4), 0)
    piece = judge([experiment])[0].evidence[0]
    assert piece.usable == 40
    assert piece.estimate == pytest.approx(1, abs=2e-3)


def test_the_closed_form_is_no_prediction_where_noise_and_signal_do_not_commute() -> None:
    assert outcomes(commutes=0, claims=["C4", "C6a"]) == {}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.99, 1.01, SUPPORTED),
        (1.03, 1.05, REFUTED),
        (0.9, 0.95, REFUTED),
        (0.97, 1.01, UNDECIDED),
        (np.nan, 1, UNDECIDED),
    ],
)
def test_equivalence(low: float, high: float, expected: str) -> None:
    assert within(low, high, 0.02) == expected


def test_sign_and_combination() -> None:
    assert (positive(0.1, 1), positive(-1, -0.1), positive(-1, 1)) == (SUPPORTED, REFUTED, UNDECIDED)
    assert combine([SUPPORTED, SUPPORTED]) == SUPPORTED
    assert combine([SUPPORTED, UNDECIDED]) == UNDECIDED
    assert combine([SUPPORTED, UNDECIDED, REFUTED]) == REFUTED
    assert combine([]) == UNDECIDED


def test_every_claim_states_its_rule() -> None:
    for claim in CLAIMS:
        assert "upported if" in claim.rule
        assert claim.test and claim.effect and claim.statement
