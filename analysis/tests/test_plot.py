"""The plotting functions: axes with the run's values on them, and clear words for what a run lacks."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sharpseek
from matplotlib.axes import Axes
from sharpseek import plot
from sharpseek.verdicts import judge
from synthetic import Make, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return sharpseek.open_run(make_run(tmp_path_factory.mktemp("run"), seeds=4, noise=0.001))


@pytest.mark.parametrize(
    "draw",
    [plot.trend, plot.theory, plot.residuals, plot.trajectories, plot.spectrum, plot.spectrum_over_time, plot.layers,
     plot.balances],
)  # fmt: skip
def test_each_returns_the_axes_it_drew_on(run, draw: Callable[..., Axes]) -> None:
    _, ax = plt.subplots()
    assert draw(run, ax=ax) is ax
    assert ax.has_data()
    fresh = draw(run)
    assert fresh is not ax and fresh.has_data()
    assert fresh.get_xlabel()
    plt.close("all")


def test_trend_marks_lie_at_the_means(run) -> None:
    ax = plot.trend(run, "trace")
    marks = np.concatenate([c.get_offsets() for c in ax.collections if len(c.get_offsets()) == 3])
    np.testing.assert_allclose(np.sort(marks[:, 1])[::2], 40 * np.array([1, 10, 100]) ** 0.2, rtol=2e-3)
    plt.close("all")


def test_evidence_draws_a_verdict(reproduction: Make) -> None:
    verdict = judge(sharpseek.open_reproduction(reproduction(**{"linear-2": {}}))[1])[0]
    ax = plot.evidence(verdict)
    assert len(ax.get_yticks()) == len(verdict.evidence)
    plt.close("all")


def test_what_a_run_lacks_is_named(run, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="batch_sharpness_mean is missing"):
        plot.trend(run, "batch_sharpness")
    with pytest.raises(ValueError, match="condition = 7: the run has 1, 10, 100"):
        plot.trajectories(run, condition=7)
    with pytest.raises(ValueError, match=r"noise\.condition was not swept"):
        plot.trend(run.drop_vars("condition"))
