"""What a claim needs and the data do not have: undecided, with a reason, and never support."""

import numpy as np
import pytest
import xarray as xr
from sharpseek.files import Experiment
from sharpseek.findings import findings
from sharpseek.verdicts import CLAIMS, REFUTED, SUPPORTED, UNDECIDED, adjusted_p, judge, overall
from synthetic import make_dataset, make_experiment
from worlds import circulation, fluctuation, starts


def only(run: xr.Dataset, claim: str, architecture: str = "linear") -> list[Experiment]:
    return [Experiment("only", "only", architecture, [claim], {"": run})]


def at_kappas(run: xr.Dataset, *kappas: float) -> xr.Dataset:
    return run.isel(replica=np.flatnonzero(np.isin(run["condition"].values, kappas)))


@pytest.mark.parametrize(
    ("kappas", "reason"), [((10.0, 100.0), "kappa 1 was not run"), ((1.0,), "no kappa above 1 was run")]
)
def test_the_flattest_minimum_needs_kappa_one_and_a_larger_one(kappas: tuple[float, ...], reason: str) -> None:
    assert overall(judge(only(make_dataset(), "C3"))) == {"C3": SUPPORTED}
    verdicts = judge(only(at_kappas(make_dataset(), *kappas), "C3"))
    assert overall(verdicts) == {"C3": UNDECIDED}
    assert reason in [e.subject for e in verdicts[0].evidence]
    assert verdicts[0].p == 1


def test_what_is_measured_can_still_refute() -> None:
    far = at_kappas(make_dataset(bias=1.2, slope=0.0), 1.0)
    assert overall(judge(only(far, "C3"))) == {"C3": REFUTED}


def test_circulation_needs_the_rotation() -> None:
    (whole,) = circulation(3, seeds=16)
    assert overall(judge([whole])) == {"C8": SUPPORTED}
    (verdict,) = judge(only(whole.run.drop_vars("parameters"), "C8"))
    assert verdict.outcome == UNDECIDED
    assert any("measure.keep_parameters" in e.subject for e in verdict.evidence)
    few = whole.run.isel(replica=np.flatnonzero(whole.run["learning_rate"].values < 0.0035))
    assert overall(judge(only(few, "C8"))) == {"C8": UNDECIDED}


@pytest.mark.parametrize("claim", ["C2", "C5", "C9i"])
def test_starts_that_were_not_swept_say_so(claim: str) -> None:
    run = make_dataset(linear=False)
    one = run.isel(replica=np.flatnonzero(run["init_imbalance"].values == 1)).drop_vars("init_imbalance")
    (verdict,) = judge(only(one, claim, "rnn"))
    assert (verdict.outcome, verdict.p) == (UNDECIDED, 1)
    assert "not swept" in verdict.sentence


@pytest.mark.parametrize("claim", ["C3", "C4", "C5", "C7", "C9d"])
def test_a_kappa_that_was_not_swept_says_so(claim: str) -> None:
    one = at_kappas(make_dataset(), 10.0).drop_vars("condition")
    (verdict,) = judge(only(one, claim, "rnn" if claim == "C7" else "linear"))
    assert verdict.outcome == UNDECIDED
    assert "kappa" in verdict.sentence


@pytest.mark.parametrize("claim", [c.name for c in CLAIMS if c.name.startswith("C9") and c.name not in ("C9s", "C9k")])
def test_ablations_of_an_axis_with_one_value_say_so(claim: str) -> None:
    one = at_kappas(make_dataset(linear=False), 10.0).drop_vars(["condition", "init_imbalance"])
    (verdict,) = judge(only(one, claim, "tanh mlp"))
    assert (verdict.outcome, verdict.p) == (UNDECIDED, 1)
    assert verdict.sentence.startswith("Undecided: ")


@pytest.mark.parametrize("claim", ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b", "C7", "C9a"])
def test_quantities_that_were_not_measured_say_so(claim: str) -> None:
    gone = {"C6a": "gradient_fluctuation", "C6b": "balance_difference"}.get(claim, "trace")
    run = make_dataset()
    run = run.drop_vars([name for name in run.data_vars if name in (gone, f"{gone}_mean")])
    verdicts = judge(only(run, claim, "rnn" if claim == "C7" else "linear"))
    assert overall(verdicts) == {claim: UNDECIDED}
    assert f"{gone} was not measured" in findings(verdicts)[0].sentence.lower()


def test_a_claim_without_data_still_counts_in_the_correction() -> None:
    two = adjusted_p(judge([make_experiment(claims=["C2"])]))
    nothing = make_experiment(claims=["C5"], stationary=0.0)
    both = adjusted_p(judge([make_experiment(claims=["C2"]), nothing]))
    assert both["C5"] == (1, 1)
    assert both["C2"][1] == pytest.approx(2 * two["C2"][1])


def test_every_claim_has_a_p_where_rates_are_extrapolated() -> None:
    # Agreement over all settings is a condition: it has none, and the claim's is that of the other pieces.
    verdicts = judge(only(make_dataset(rates=(0.001, 0.002, 0.003, 0.004)), "C1"))
    assert overall(verdicts) == {"C1": SUPPORTED}
    pieces = verdicts[0].evidence
    assert [np.isnan(e.p) for e in pieces] == [False] * 6 + [True]
    assert verdicts[0].p == max(e.p for e in pieces[:-1]) < 1e-3


def test_settings_that_disagree_together_keep_a_claim_from_being_supported() -> None:
    # Every trace is 1 % off, inside the margin, but twenty standard errors.
    verdicts = judge(only(make_dataset(rates=(0.001, 0.002, 0.003, 0.004), bias=1.01, noise=0.001), "C1"))
    assert [e.outcome for e in verdicts[0].evidence] == [SUPPORTED] * 6 + [UNDECIDED]
    assert overall(verdicts) == {"C1": UNDECIDED}
    assert verdicts[0].p == 1


def test_equal_layers_are_not_refuted_by_noise() -> None:
    for noise in (0.08, 0.15):
        outcomes = [overall(judge(fluctuation(seed, fall=0.7, share=1.0, noise=noise)))["C6a"] for seed in range(40)]
        assert REFUTED not in outcomes
    assert overall(judge(fluctuation(1, fall=0.7, share=1.0, noise=0.02))) == {"C6a": SUPPORTED}
    assert overall(judge(fluctuation(1, fall=0.7, share=1.1, noise=0.02))) == {"C6a": REFUTED}


def test_one_of_many_pieces_just_outside_refutes_nothing() -> None:
    # Each of three pieces is outside by chance one time in forty; one alone may refute, all together need more.
    outside, refuted = 0, 0
    for seed in range(300):
        (one,) = starts(seed, everywhere=True)
        pieces = judge([one])[0].evidence
        outside += any(e.low > 1.05 for e in pieces)
        refuted += any(e.outcome == REFUTED for e in pieces)
        assert all(e.p_against <= 0.025 / 3 for e in pieces if e.outcome == REFUTED and e.p_against == min(
            e.p_against for e in pieces))  # fmt: skip
    assert refuted < outside
    assert refuted / 300 < 0.05
