"""Rules of ablations on ensembles whose truth is known."""

from pathlib import Path

import pytest
from sharpseek.files import Experiment
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, judge, overall
from sharpseek.verdicts.ablations import ABLATIONS
from synthetic import make_dataset


def outcome(claim: str, runs: dict) -> str:
    return overall(judge([Experiment("only", "only", "linear", [claim], runs)]))[claim]


def with_axis(axis: str, values: tuple, factors: tuple[float, ...], **options: object) -> dict:
    """Groups of a sweep over shapes whose traces differ by these factors."""
    return {
        f"{axis}={value}": make_dataset(bias=factor, generator_seed=seed, **options)
        for seed, (value, factor) in enumerate(zip(values, factors, strict=True))
    }


@pytest.mark.parametrize(
    ("factors", "expected"), [((1.0, 1.0), SUPPORTED), ((1.0, 1.2), REFUTED), ((1.0, 1.05), UNDECIDED)]
)
def test_the_same_end(factors: tuple[float, float], expected: str) -> None:
    assert outcome("C9a", with_axis("batch", (1, 4), factors)) == expected


def test_the_first_value_of_the_axis_is_what_others_are_compared_with() -> None:
    assert outcome("C9f", with_axis("optimizer", ("sgd", "sam"), (1.0, 0.8))) == SUPPORTED
    assert outcome("C9f", with_axis("optimizer", ("sgd", "sam"), (1.0, 1.2))) == REFUTED


def test_a_slope_at_every_value_of_the_axis() -> None:
    good, flat = make_dataset(slope=0.2, seeds=16), make_dataset(slope=-0.2, seeds=16)
    assert outcome("C9o", {"width=4": good, "width=16": good}) == SUPPORTED
    assert outcome("C9o", {"width=4": good, "width=16": flat}) == REFUTED


def test_descent_stays_or_does_not() -> None:
    run = make_dataset(noise=0.001)
    run["excess_risk"] = run["excess_risk"] - 0.1
    moved = outcome("C9i", {"": run})
    still = run.copy()
    still["trace"] = still["trace"] * 0 + still["trace_mean"]
    assert (moved, outcome("C9i", {"": still})) == (REFUTED, SUPPORTED)


def test_every_ablation_of_the_table_has_one_experiment_that_names_it() -> None:
    presets = Path(__file__).resolve().parents[2] / "experiments" / "presets" / "full"
    named = [
        line.split("=")[1].strip()
        for f in presets.glob("ablation-*.ini")
        for line in f.read_text().splitlines()
        if line.startswith("claims")
    ]
    assert sorted(named) == [claim.name for claim in ABLATIONS]
