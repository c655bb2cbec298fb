"""Learning rates as replicas of one file and as groups with files of their own: the same verdicts."""

import numpy as np
import pytest
import xarray as xr
from sharpseek.files import Experiment
from sharpseek.rates import join_rates
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, Verdict, judge, overall
from synthetic import make_dataset
from worlds import circulation, flow

CLAIMS = ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b"]


def grouped(run: xr.Dataset, **more: str) -> dict[str, xr.Dataset]:
    """The rates of a run as the groups that `training.time` makes; `more` names other axes of the group."""
    runs = {}
    for rate in np.unique(run["learning_rate"]):
        part = run.isel(replica=np.flatnonzero(run["learning_rate"].values == rate)).drop_vars("learning_rate")
        name = ",".join([f"{axis}={value}" for axis, value in more.items()] + [f"learning_rate={rate:g}"])
        runs[name] = part.assign_attrs(group=name)
    return runs


def evidence(runs: dict[str, xr.Dataset], claims: list[str], architecture: str) -> list[Verdict]:
    return judge([Experiment("only", "only", architecture, claims, runs)])


@pytest.mark.parametrize("rates", [(0.001, 0.002), (0.001, 0.002, 0.003, 0.004)])
@pytest.mark.parametrize("options", [{"deficit": 0.05}, {"deficit": 0.2, "bias": 1.1, "start_gap": 1.1}])
def test_the_layout_of_files_decides_nothing_for_linear_networks(rates: tuple[float, ...], options: dict) -> None:
    run = make_dataset(rates=rates, **options)
    one = evidence({"": run}, CLAIMS, "linear")
    many = evidence(grouped(run), CLAIMS, "linear")
    assert [(v.claim, v.outcome) for v in one] == [(v.claim, v.outcome) for v in many]
    for left, right in zip(one, many, strict=True):
        assert [e.subject for e in left.evidence] == [e.subject for e in right.evidence]
        values = [[(e.estimate, e.low, e.high, e.p, e.p_against) for e in v.evidence] for v in (left, right)]
        assert np.allclose(*values, equal_nan=True, rtol=1e-9)


def test_the_layout_of_files_decides_nothing_for_other_networks() -> None:
    run = make_dataset(rates=(0.004, 0.008), linear=False, deficit=0.3)
    one, many = (evidence(runs, ["C2", "C5", "C7"], "rnn") for runs in ({"": run}, grouped(run)))
    assert {v.claim: v.outcome for v in one} == {"C2": SUPPORTED, "C5": SUPPORTED, "C7": SUPPORTED}
    assert [[e.estimate for e in v.evidence] for v in one] == [[e.estimate for e in v.evidence] for v in many]


def test_rates_of_each_shape_are_joined_and_shapes_are_not() -> None:
    run = make_dataset(rates=(0.001, 0.002), seeds=3)
    joined = join_rates(
        Experiment("e", "e", "linear", [], {**grouped(run, depth="2"), **grouped(run, depth="3,learning")})
    )
    assert list(joined.runs) == ["depth=2", "depth=3,learning"]
    for whole in joined.runs.values():
        assert whole.sizes["replica"] == run.sizes["replica"]
        assert set(np.unique(whole["learning_rate"])) == {0.001, 0.002}
        assert whole["layer_fluctuation"].dims == ("replica", "time", "layer")


def test_files_of_different_lengths_are_thinned_to_the_shortest() -> None:
    run = make_dataset(rates=(0.001, 0.002), seeds=3)
    groups = grouped(run)
    first, second = groups
    groups[second] = groups[second].isel(time=slice(0, None, 2))
    whole = join_rates(Experiment("e", "e", "linear", [], groups)).runs[""]
    assert whole.sizes["time"] == 30
    slow = whole["learning_rate"].values == 0.001
    assert whole["trace"].values[slow][:, [0, -1]] == pytest.approx(groups[first]["trace"].values[:, [0, -1]])
    assert whole["step"].values[slow][0, -1] == groups[first]["step"].values[-1]


def test_paths_and_circulation_are_judged_alike_from_one_file_and_from_several() -> None:
    (several,) = flow(3, everywhere=False, seeds=8)
    together = Experiment("flow", "flow", "tanh mlp", ["C10"], join_rates(several).runs)
    assert len(together.runs) == 1
    assert [e.estimate for e in judge([several])[0].evidence] == [e.estimate for e in judge([together])[0].evidence]
    (one,) = circulation(3)
    parts = Experiment("only", "only", "linear", ["C8"], grouped(one.run))
    found = [judge([world])[0].evidence for world in (one, parts)]
    assert [e.estimate for e in found[0]] == pytest.approx([e.estimate for e in found[1]])


def without(run: xr.Dataset, rate: float, share: float) -> xr.Dataset:
    """The run with only a share of the seeds usable at one rate."""
    few = (run["learning_rate"].values == rate) & (run["seed"].values >= share * (run["seed"].values.max() + 1))
    return run.assign(stationary=("replica", np.where(few, 0, run["stationary"].values)))


@pytest.mark.parametrize("rates", [(0.001, 0.002), (0.001, 0.002, 0.003, 0.004), (0.001, 0.002, 0.003, 0.004, 0.005)])
@pytest.mark.parametrize("claim", ["C1", "C4", "C6b"])
def test_a_smallest_rate_without_half_of_its_replicas_decides_nothing(rates: tuple[float, ...], claim: str) -> None:
    run = make_dataset(rates=rates)
    assert overall(evidence({"": run}, [claim], "linear")) == {claim: SUPPORTED}
    for share in (0.0, 0.25):
        poor = without(run, rates[0], share)
        assert overall(evidence({"": poor}, [claim], "linear")) == {claim: UNDECIDED}
        assert overall(evidence(grouped(poor), [claim], "linear")) == {claim: UNDECIDED}


def test_the_largest_of_five_rates_may_be_left_out() -> None:
    run = make_dataset(rates=(0.001, 0.002, 0.003, 0.004, 0.005), noise=0.002)
    assert overall(evidence({"": without(run, 0.005, 0.25)}, ["C1"], "linear")) == {"C1": SUPPORTED}
    assert overall(evidence({"": without(run, 0.003, 0.25)}, ["C1"], "linear")) == {"C1": UNDECIDED}


@pytest.mark.parametrize("rates", [(0.001, 0.002, 0.004), (0.001, 0.002, 0.004, 0.008)])
def test_a_path_with_few_finished_replicas_at_the_smallest_rate_decides_nothing(rates: tuple[float, ...]) -> None:
    (found,) = flow(3, everywhere=True, seeds=16, rates=rates)
    first = next(iter(found.runs))
    run = found.runs[first]
    found.runs[first] = run.assign(status=("replica", np.where(run["seed"].values < 4, 0, 1)))
    assert {e.outcome for e in judge([found])[0].evidence} == {UNDECIDED}
    assert {e.p for e in judge([found])[0].evidence} == {1.0}


def test_a_refutation_by_groups_of_rates_is_one_by_rates() -> None:
    # One rate alone cannot refute C1; two can, in whatever files they lie.
    run = make_dataset(rates=(0.001, 0.002), bias=1.1)
    assert overall(evidence(grouped(run), ["C1"], "linear")) == {"C1": REFUTED}
