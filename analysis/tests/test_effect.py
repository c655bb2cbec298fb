"""p values of both sides, against closed forms, and what may be printed of them."""

import numpy as np
import pytest
from scipy import stats
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, p_text
from sharpseek.verdicts.effect import Effect, evidence_of, level_against, smallest_level, student_interval
from sharpseek.verdicts.judge import holm
from sharpseek.verdicts.rules import ABOVE_0, BELOW_1, NOT_BELOW_0, Region, near
from sharpseek.verdicts.slopes import cluster_regression, cluster_slope, cluster_sums


def student(value: float, error: float, seeds: int) -> Effect:
    return Effect(value, student_interval(value, error, seeds), seeds, seeds, True)


@pytest.mark.parametrize("seeds", [3, 8, 32])
@pytest.mark.parametrize("value", [0.93, 1.0, 1.06, 1.2])
@pytest.mark.parametrize("error", [0.01, 0.2])
def test_both_p_values_of_an_equivalence_are_those_of_its_t_tests(value: float, error: float, seeds: int) -> None:
    margin, free = 0.05, seeds - 1
    effect = student(value, error, seeds)
    beyond_low, beyond_high = (value - (1 - margin)) / error, ((1 + margin) - value) / error
    tost = max(stats.t.sf(beyond_low, free), stats.t.sf(beyond_high, free))
    assert smallest_level(effect, near(margin)) == pytest.approx(tost if tost < 0.5 else 1.0, rel=1e-3)
    # The null hypothesis is the whole interval: both tails of an effect at its nearer border.
    distance = abs(value - 1)
    against = stats.t.sf((distance - margin) / error, free) + stats.t.sf((distance + margin) / error, free)
    found = level_against(effect, near(margin))
    if distance > margin:
        assert found == pytest.approx(max(against, 1e-12), rel=1e-3)
    else:
        assert found > 0.5


def test_both_p_values_of_a_sign() -> None:
    effect = student(0.3, 0.1, 9)
    p = stats.t.sf(3, 8)
    assert smallest_level(effect, ABOVE_0) == pytest.approx(p, rel=1e-3)
    assert level_against(effect, ABOVE_0) == 1
    assert level_against(student(-0.3, 0.1, 9), ABOVE_0) == pytest.approx(p, rel=1e-3)
    assert smallest_level(student(0.7, 0.1, 9), BELOW_1) == pytest.approx(p, rel=1e-3)


def test_a_region_that_refutes_nothing_has_no_p_against() -> None:
    one_rate = Region(0.98, 1.02, -np.inf, np.inf)
    assert evidence_of(student(1.5, 0.01, 9), "", one_rate).outcome == UNDECIDED
    assert np.isnan(level_against(student(1.5, 0.01, 9), one_rate))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-1, 1, SUPPORTED), (-2, -1, REFUTED), (-np.inf, np.inf, SUPPORTED), (np.nan, 1, UNDECIDED)],
)
def test_what_is_only_refuted_below_zero(low: float, high: float, expected: str) -> None:
    assert NOT_BELOW_0(low, high) == expected


def test_no_p_is_printed_below_what_was_looked_for() -> None:
    sure = evidence_of(student(1.0, 1e-6, 30), "", near(0.05))
    assert (sure.p, sure.p_text) == (1e-12, "< 1e-12")
    assert evidence_of(student(0.3, 0.1, 9), "", ABOVE_0).p_text == f"{stats.t.sf(3, 8):.2g}"
    assert p_text(np.nan) == "–"


def samples(seeds: int, slope: float, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.repeat(np.log([1.0, 10.0, 100.0]), seeds)
    return x, slope * x + noise * rng.normal(size=x.size), np.tile(np.arange(seeds), 3)


@pytest.mark.parametrize("resamples", [500, 4000])
def test_a_slope_shows_no_p_below_one_in_its_resamples(resamples: int) -> None:
    slope, interval, least = cluster_slope(*samples(16, 0.5, 0.001, 1), resamples=resamples)
    effect = Effect(slope, interval, 16, 16, True, least)
    assert least == pytest.approx(1 / (resamples + 1))
    assert interval(least / 2) == (-np.inf, np.inf)
    found = evidence_of(effect, "", ABOVE_0)
    assert found.p == least
    assert found.p_text == f"< {1 / (resamples + 1):.2g}"


def test_three_seeds_show_no_small_p_by_chance() -> None:
    # Quantiles of resamples of three seeds alone gave p <= 1e-4 in one of seventy such worlds.
    levels = []
    for trial in range(200):
        slope, interval, least = cluster_slope(*samples(3, 0.0, 0.05, trial), resamples=4000)
        levels.append(smallest_level(Effect(slope, interval, 9, 9, True, least), ABOVE_0))
    assert min(levels) > 1e-3
    assert np.mean(np.array(levels) <= 0.025) < 0.05


def test_a_regression_by_sums_is_the_regression() -> None:
    x, y, clusters = samples(5, 0.2, 0.1, 3)
    design = np.stack([np.ones_like(x), x], axis=1)
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    residual = y - design @ expected
    bread = np.linalg.inv(design.T @ design)
    scores = [design[clusters == c].T @ residual[clusters == c] for c in range(5)]
    error = np.sqrt((bread @ sum(np.outer(s, s) for s in scores) @ bread)[1, 1] * 5 / 4)
    found = cluster_regression(cluster_sums(x, y, clusters), np.ones((1, 5)))
    assert (found[0][0], found[1][0]) == pytest.approx((expected[1], error), rel=1e-9)
    # A resample that has cluster 0 twice and not cluster 1 is the regression of those data.
    twice = np.concatenate([np.flatnonzero(clusters == c) for c in (0, 0, 2, 3, 4)])
    found = cluster_regression(cluster_sums(x, y, clusters), np.array([[2.0, 0, 1, 1, 1]]))
    assert found[0][0] == pytest.approx(np.polyfit(x[twice], y[twice], 1)[0], rel=1e-9)


def test_holm_is_that_of_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, np.nan, 0.9]) == pytest.approx([1.0, np.nan, 1.0], nan_ok=True)
