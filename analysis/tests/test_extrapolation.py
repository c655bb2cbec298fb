"""The way to learning rate 0: unbiased, with intervals that cover, and a test that sees when the fit is wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sharpseek.extrapolation import extrapolate
from sharpseek.linear_settings import agreement, to_markdown

RATES = (0.0007, 0.001, 0.0014, 0.002, 0.0028)


def worlds(curve, rates, count, seeds=16, noise=0.2, generator_seed=1):
    generator = np.random.default_rng(generator_seed)
    for _ in range(count):
        yield extrapolate({rate: curve(rate) + noise * generator.normal(size=seeds) for rate in rates})


def test_a_quadratic_is_met_and_its_interval_covers() -> None:
    found = list(worlds(lambda r: 50 - 800 * r - 3e5 * r * r, RATES, 400))
    z = np.array([(f.value - 50) / f.error for f in found])
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    covered = sum(f.interval()[0] <= 50 <= f.interval()[1] for f in found)
    assert stats.binomtest(covered, len(found), 0.95).pvalue > 0.01


def test_too_large_a_rate_is_dropped() -> None:
    curve = lambda r: 50 - 800 * r - (10 if r > 0.002 else 0)  # noqa: E731
    found = list(worlds(curve, RATES, 20))
    assert all(f.rates == RATES[:-1] for f in found)
    assert abs(np.mean([f.value for f in found]) - 50) < 4 * found[0].error / np.sqrt(len(found))


def test_four_rates_that_no_parabola_fits_widen_the_error() -> None:
    curve = lambda r: 50 + (2 if r == RATES[1] else 0)  # noqa: E731
    narrow = next(worlds(lambda r: 50.0, RATES[:4], 1))
    wide = next(worlds(curve, RATES[:4], 1))
    assert wide.fit_p < 0.05 < narrow.fit_p
    assert narrow.widened == 1
    assert wide.error == pytest.approx(narrow.error * wide.widened, rel=0.5)
    assert wide.widened > 3


def test_three_rates_or_lone_seeds_are_not_enough() -> None:
    assert next(worlds(lambda r: 50.0, RATES[:3], 1)) is None
    assert extrapolate({rate: np.array([50.0]) for rate in RATES}) is None


def test_agreement_is_the_chi_squared_of_all_settings() -> None:
    table = pd.DataFrame({"z": [1.0, -2.0, 0.5, np.nan]})
    chi2, count, p = agreement(table)
    assert (chi2, count) == (5.25, 3)
    assert p == pytest.approx(stats.chi2.sf(5.25, 3))
    row = {
        "experiment": "e",
        "setting": "s",
        "quantity": "trace",
        "closed_form": 2.0,
        "predicted": 1.0,
        "measured": 1.1,
    }
    row |= {"measured": 1.1, "low": 1.0, "high": 1.2, "half_width": 0.09, "z": 2.0, "rates": 4, "fit_p": 0.5}
    assert "1 settings" in to_markdown(pd.DataFrame([row]))
