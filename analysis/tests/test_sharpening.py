"""C9s on pairs of full and small batches with known truth."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sharpseek.figures.sharpening import charts
from sharpseek.files import Experiment
from sharpseek.verdicts import judge, sharpening_table
from sharpseek.verdicts.sharpening import judge_sharpening

RATES = (0.05, 0.1, 0.2)
TRIALS = 500
MOST = 0.08


def experiment(
    *, natural: float = 30.0, edge: float = 1.0, small: float = 0.3, calm: float = 0.5, seeds: int = 8,
    noise: float = 0.03, seed: int = 1, diverged: float = 0.0,
) -> Experiment:  # fmt: skip
    """Full batches end at `natural` sharpness or at `edge` x 2 / rate, whichever is less; small batches at `small` of
    that with `calm` of the fluctuation. `diverged` is the share of small-batch replicas that diverge."""
    generator = np.random.default_rng(seed)
    rate, number = (a.ravel() for a in np.meshgrid(RATES, np.arange(seeds), indexing="ij"))
    grown = 1 - np.exp(-np.arange(41))
    full_end = np.minimum(natural, edge * 2 / rate)
    runs = {}
    for optimizer, share, fluctuation in (("gd", 1.0, 20.0), ("sgd", small, 20.0 * calm)):
        wobble = np.exp(noise * generator.normal(size=(rate.size, 1)))
        sharpness = 3 + (share * full_end[:, None] * wobble - 3) * grown
        lost = (generator.random(rate.size) < diverged) & (optimizer == "sgd")
        values = fluctuation * wobble * np.ones_like(sharpness)
        runs[f"optimizer={optimizer}"] = xr.Dataset(
            {
                "status": ("replica", lost.astype(np.int64)),
                "stationary": ("replica", np.zeros(rate.size, dtype=np.int64)),
                "sharpness": (("replica", "time"), np.where(lost[:, None], np.nan, sharpness)),
                "trace": (("replica", "time"), 5 * sharpness),
                "gradient_fluctuation": (("replica", "time"), np.where(lost[:, None], np.nan, values)),
                "batch_sharpness_mean_of_ratios": (("replica", "time"), sharpness / 2),
            },
            coords={
                "learning_rate": ("replica", rate),
                "seed": ("replica", number),
                "step": ("time", np.arange(41) * 100),
            },
            attrs={"schema_version": 1, "config": "{}", "group": f"optimizer={optimizer}"},
        )
    return Experiment("sharpening", "Sharpening", "tanh mlp", ["C9s"], runs)


@pytest.mark.parametrize(
    ("world", "outcome"),
    [
        ({}, "supported"),
        ({"edge": 0.8}, "refuted"),  # full batches stop short of the edge
        ({"edge": 1.3}, "refuted"),  # or settle beyond it
        ({"small": 1.1}, "refuted"),  # small batches end sharper
        ({"calm": 1.5}, "refuted"),  # or fluctuate more
        ({"calm": 1.0}, "undecided"),
        ({"natural": 5.0}, "undecided"),  # no rate has its edge in the way
        ({"diverged": 0.9}, "undecided"),
    ],
)
def test_known_truths(world: dict, outcome: str) -> None:
    (verdict,) = judge([experiment(**world)])
    assert verdict.claim == "C9s"
    assert verdict.outcome == outcome


def test_the_edge_is_asked_for_only_where_it_is_in_the_way() -> None:
    found = experiment(natural=15.0)  # edges 40, 20 and 10
    full = [e.subject for e in judge_sharpening(found, None) if e.subject.startswith("full batch")]
    assert full == ["full batch, sharpness / (2 / rate), rate 0.2"]


def test_the_table_says_what_was_measured() -> None:
    table = sharpening_table(experiment(noise=0.0))
    row = table[(table["rate"] == 0.2) & (table["batch"] == "full")].iloc[0]
    assert row["edge"] == pytest.approx(10)
    assert row["sharpness"] == pytest.approx(10, rel=0.02)
    assert row["sharpness_at_start"] == pytest.approx(3)
    assert (row["finished"], row["replicas"]) == (8, 8)


def test_other_experiments_say_nothing() -> None:
    full = experiment().runs["optimizer=gd"]
    assert judge([Experiment("x", "x", "tanh mlp", ["C9s"], {"optimizer=gd": full})]) == []


def test_the_figure_shows_the_edge_beside_both() -> None:
    (chart,) = charts([experiment()], [])
    assert len(chart.panels) == 6
    assert chart.columns == 3
    labels = [series.label for series in chart.panels[0].series]
    assert labels == ["full batch", "small batch", "batch sharpness", "2 / rate"]
    assert chart.panels[2].series[-1].y == pytest.approx([10, 10])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "subject"),
    [
        ({"edge": 0.9}, "full batch, sharpness"),
        ({"edge": 1.1}, "full batch, sharpness"),
        ({"small": 1.0}, "small / full batch, sharpness"),
        ({"calm": 1.0}, "small / full batch, gradient fluctuation"),
    ],
)
def test_at_the_border_support_is_rare(world: dict, subject: str) -> None:
    supported = 0
    for trial in range(TRIALS):
        found = experiment(noise=0.05, seed=1000 + trial, **world)
        (one,) = (e for e in judge_sharpening(found, None) if e.subject.startswith(subject) and "rate 0.2" in e.subject)
        supported += one.outcome == "supported"
        assert one.outcome != "supported" or one.p <= 0.0253
    print(f"{world}: supported in {supported} of {TRIALS}")
    assert stats.binomtest(supported, TRIALS).proportion_ci(0.98).high <= MOST
