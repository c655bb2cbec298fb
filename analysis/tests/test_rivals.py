"""C7b: which predictor is called nearest, where the truth is known."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sharpseek.figures.rivals import charts
from sharpseek.files import Experiment
from sharpseek.verdicts import judge, rival_table
from sharpseek.verdicts.rivals import judge_rivals

CONDITIONS = (1.0, 10.0, 100.0)
TRIALS = 500
MOST = 0.08


def ends(share: float, *, seeds: int = 8, noise: float = 0.02, seed: int = 1, stationary: float = 1.0) -> Experiment:
    """A network that ends a `share` of the way, in the logarithm, from minimal trace (0) to minimal fluctuation (1).

    Minimal trace is 20 at every kappa, minimal fluctuation 20 kappa^0.2; the first seed alone has end points.
    """
    generator = np.random.default_rng(seed)
    condition, number = (a.ravel() for a in np.meshgrid(CONDITIONS, np.arange(seeds), indexing="ij"))
    replicas = condition.size
    truth = 20 * condition ** (0.2 * share)
    measured = truth * np.exp(noise * generator.normal(size=replicas))
    usable = generator.random(replicas) < stationary
    variables = {"status": np.zeros(replicas, dtype=np.int64), "stationary": usable.astype(np.int64)}
    for name, scale in (("trace", 1.0), ("sharpness", 0.2)):
        variables[f"{name}_mean"] = np.where(usable, scale * measured, np.nan)
        variables[f"minimal_trace_{name}"] = np.where(number == 0, scale * 20, np.nan)
        variables[f"minimal_fluctuation_{name}"] = np.where(number == 0, scale * 20 * condition**0.2, np.nan)
    run = xr.Dataset(
        {name: ("replica", values) for name, values in variables.items()},
        coords={"condition": ("replica", condition), "seed": ("replica", number)},
        attrs={"schema_version": 1, "config": "{}"},
    )
    return Experiment("net", "net", "tanh mlp", ["C7b"], {"": run})


def rescaled(share: float) -> Experiment:
    """A relu network whose seeds have very different weights, each a `share` of the way between its own end points."""
    generator = np.random.default_rng(6)
    condition, number = (a.ravel() for a in np.meshgrid(CONDITIONS, np.arange(8), indexing="ij"))
    own = np.exp(0.3 * generator.normal(size=condition.size))
    gap = 1.2 * np.ones(condition.size)
    variables = {"status": np.zeros(condition.size, dtype=np.int64), "stationary": np.ones(condition.size, dtype=int)}
    series = {}
    for name, scale in (("trace", 20.0), ("sharpness", 4.0)):
        last = scale * own * gap**share * np.exp(0.02 * generator.normal(size=condition.size))
        series[name] = (("replica", "time"), np.stack([last * 3, last], axis=1))
        variables[f"{name}_mean"] = np.full(condition.size, scale)
        variables[f"minimal_trace_{name}"] = scale * own
        variables[f"minimal_fluctuation_{name}"] = scale * own * gap
    run = xr.Dataset(
        {name: ("replica", values) for name, values in variables.items()} | series,
        coords={"condition": ("replica", condition), "seed": ("replica", number)},
        attrs={"schema_version": 1, "config": '{"model": {"activation": "relu"}}'},
    )
    return Experiment("relu", "relu", "relu mlp", ["C7b"], {"": run})


def linear(place: str, *, noise: float = 0.005, rates: tuple[float, ...] = (0.002,)) -> Experiment:
    """A linear network that ends at the limit, at the closed form or at the flattest minimum."""
    generator = np.random.default_rng(3)
    condition, rate, number = (a.ravel() for a in np.meshgrid(CONDITIONS, rates, np.arange(8), indexing="ij"))
    predicted = {
        "small_lr_limit": 40 * condition**0.1,
        "closed_form": 40 * condition**0.2,
        "closed_form_flattest": 40 * np.ones(condition.size),
    }
    measured = predicted[place] * (1 - 5 * rate) * np.exp(noise * generator.normal(size=condition.size))
    variables = {
        "status": np.zeros(condition.size, dtype=np.int64),
        "stationary": np.ones(condition.size, dtype=np.int64),
        "commutes": np.zeros(condition.size, dtype=np.int64),
    }
    for name in ("trace", "sharpness", "gradient_fluctuation"):
        variables[f"{name}_mean"] = measured
        for prefix, values in predicted.items():
            if prefix != "closed_form_flattest" or name != "gradient_fluctuation":
                variables[f"{prefix}_{name}"] = values
    run = xr.Dataset(
        {name: ("replica", values) for name, values in variables.items()},
        coords={
            "condition": ("replica", condition),
            "learning_rate": ("replica", rate),
            "seed": ("replica", number),
        },
        attrs={"schema_version": 1, "config": "{}"},
    )
    return Experiment("linear", "linear", "linear", ["C7b"], {"": run})


def paths(truth: str) -> Experiment:
    """Trajectories on the manifold along one of the three paths, at four rates with a deficit linear in the rate."""
    generator = np.random.default_rng(4)
    condition, rate, number = (
        a.ravel() for a in np.meshgrid((10.0, 100.0), (0.001, 0.002, 0.004, 0.008), np.arange(16), indexing="ij")
    )
    time = np.linspace(0, 0.4, 21)
    end = {"flow": 20.0, "descent_flow": 24.0, "isotropic_flow": 12.0}
    curves = {name: value + (40 - value) * np.exp(-10 * time) for name, value in end.items()}
    noise = 1 + 0.01 * generator.normal(size=(condition.size, time.size))
    measured = curves[truth] * (1 - 10 * rate)[:, None] * noise
    variables = {"status": ("replica", np.zeros(condition.size, dtype=np.int64))}
    variables["stationary"] = ("replica", np.zeros(condition.size, dtype=np.int64))
    for name in ("trace", "sharpness"):
        variables[name] = (("replica", "time"), measured)
        for prefix, values in curves.items():
            variables[f"{prefix}_{name}"] = (("replica", "time"), np.tile(values, (condition.size, 1)))
    run = xr.Dataset(
        variables,
        coords={
            "condition": ("replica", condition),
            "learning_rate": ("replica", rate),
            "seed": ("replica", number),
            "rescaled_time": (("replica", "time"), np.tile(time, (condition.size, 1))),
        },
        attrs={"schema_version": 1, "config": "{}"},
    )
    return Experiment("flow", "flow", "tanh mlp", ["C7b"], {"": run})


@pytest.mark.parametrize(
    ("experiment", "outcome", "best"),
    [
        (ends(1.0), "supported", "minimal fluctuation"),
        (ends(0.0), "refuted", "minimal trace"),
        (ends(0.7), "supported", "minimal fluctuation"),
        (rescaled(1.0), "supported", "minimal fluctuation"),
        (rescaled(0.0), "refuted", "minimal trace"),
        (linear("small_lr_limit"), "supported", "slow flow"),
        (linear("closed_form"), "refuted", "minimal fluctuation"),
        (linear("closed_form_flattest"), "refuted", "minimal trace"),
        (linear("small_lr_limit", rates=(0.002, 0.004, 0.006, 0.008)), "supported", "slow flow"),
        (paths("flow"), "supported", "slow flow"),
        (paths("descent_flow"), "refuted", "minimal fluctuation"),
        (paths("isotropic_flow"), "refuted", "minimal trace"),
    ],
)
def test_the_predictor_that_is_right_is_found(experiment: Experiment, outcome: str, best: str) -> None:
    (verdict,) = judge([experiment])
    assert verdict.claim == "C7b"
    assert verdict.outcome == outcome
    table = rival_table(experiment)
    at_the_end = table[table["condition"] == 100]
    assert set(at_the_end["predictor"][at_the_end["best"]]) == {best}
    right = at_the_end[at_the_end["best"]]
    assert (right["factor"] <= at_the_end["factor"].max()).all()


def test_how_far_off_each_is() -> None:
    table = rival_table(ends(1.0, noise=0.001))
    row = table[(table["condition"] == 100) & (table["quantity"] == "trace")].set_index("predictor")
    assert row.loc["minimal trace", "factor"] == pytest.approx(100**0.2, rel=0.01)
    assert row.loc["minimal fluctuation", "ratio"] == pytest.approx(1, abs=0.01)
    assert row.loc["minimal fluctuation", "low"] < row.loc["minimal fluctuation", "ratio"]


def test_predictors_that_agree_are_no_evidence() -> None:
    experiment = ends(1.0)
    evidence = judge_rivals(experiment, experiment.run)
    assert evidence
    assert not any("kappa 1," in e.subject for e in evidence)  # there both are 20


def test_too_few_stationary_seeds_decide_nothing() -> None:
    (verdict,) = judge([ends(1.0, stationary=0.2)])
    assert verdict.outcome == "undecided"


def test_experiments_without_rivals_say_nothing() -> None:
    run = ends(1.0).run.drop_vars(["minimal_trace_trace", "minimal_trace_sharpness"])
    assert judge([Experiment("net", "net", "tanh mlp", ["C7b"], {"": run})]) == []
    assert charts([Experiment("net", "net", "tanh mlp", ["C7b"], {"": run})], []) == []


def test_the_figure_has_a_mark_for_each_predictor_and_setting() -> None:
    (chart,) = charts([ends(1.0), linear("closed_form")], [])
    assert [panel.title for panel in chart.panels] == ["trace", "sharpness"]
    panel = chart.panels[0]
    assert panel.rows[0] == "net, kappa 1"
    assert len(panel.rows) == 6
    assert [(series.label, len(series.x)) for series in panel.series] == [
        ("measured / slow flow", 3),
        ("measured / minimal fluctuation", 6),
        ("measured / minimal trace", 6),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [4, 8])
def test_halfway_between_the_predictors_support_is_rare(seeds: int) -> None:
    """The border: SGD as far from one as from the other at every setting. The mean over settings decides."""
    supported = 0
    for trial in range(TRIALS):
        experiment = ends(0.5, seeds=seeds, noise=0.05, seed=1000 + trial)
        (found,) = (e for e in judge_rivals(experiment, experiment.run) if e.subject.startswith("mean, "))
        supported += found.outcome == "supported"
        assert found.outcome != "supported" or found.p <= 0.0253
    print(f"halfway, {seeds} seeds: supported in {supported} of {TRIALS}")
    assert stats.binomtest(supported, TRIALS).proportion_ci(0.98).high <= MOST
