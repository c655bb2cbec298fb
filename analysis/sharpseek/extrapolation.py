"""Stationary values at learning rate 0 from runs at several rates, compared at equal rescaled time.

The difference from the limit is not exactly linear in the rate, so a straight line through two or three rates misleads.
The rule, fixed before any run it was used on:

0. at every rate that enters at least half of the replicas are usable, and two: the largest rates may be left out for
   want of them while four remain, no other;
1. weighted least squares of m(eta) = m0 + m1 eta + m2 eta^2 through the means at all rates (at least four);
2. the lack of fit is tested: chi-squared of the residuals with (rates - 3) degrees of freedom, at 5 %;
3. where it fails and five or more rates remain, the largest rate is dropped and 1 is repeated;
4. where it fails with four rates, the error of m0 is multiplied by sqrt(chi-squared / degrees of freedom).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from sharpseek.confidence import student_quantile

FEWEST_RATES = 4
FIT_LEVEL = 0.05


@dataclass(frozen=True)
class Extrapolation:
    """m0 with its standard error and what the fit looked like. `rates` are those that entered, `widened` the factor of
    rule 4 (1: none), `fit_p` the p-value of the last lack-of-fit test, `seeds` the smallest number at a rate used."""

    value: float
    error: float
    rates: tuple[float, ...]
    fit_p: float
    widened: float
    seeds: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student t with the degrees of freedom of the rate that has the fewest seeds."""
        half = student_quantile((1 - confidence) / 2, self.seeds - 1) * self.error
        return float(self.value - half), float(self.value + half)


def at_rate_zero(rates: np.ndarray, means: np.ndarray, errors: np.ndarray, degree: int) -> tuple[float, float, float]:
    """Value at rate 0, its standard error and chi-squared of the residuals.

    Weighted least squares of a polynomial of this degree in the rate through the means [rates] with standard errors.
    """
    design = np.vander(rates / rates.max(), degree + 1, increasing=True) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    coefficients = covariance @ design.T @ (means / errors)
    chi2 = float(np.sum((means / errors - design @ coefficients) ** 2))
    return float(coefficients[0]), float(np.sqrt(covariance[0, 0])), chi2


def widening(chi2: float, free: int, level: float) -> tuple[float, float]:
    """The p value of the residuals of a fit, and what its error is multiplied by: 1, but where p is below the level the
    root of chi-squared over the degrees of freedom."""
    p = float(special.chdtrc(free, chi2))
    return p, float(np.sqrt(chi2 / free)) if p < level else 1.0


def rates_that_enter(usable: dict[float, int], replicas: dict[float, int], fewest: int) -> list[float]:
    """The rates that may enter an extrapolation, from how many replicas can be used at each, of how many; empty where
    fewer than `fewest` may.

    A rate with fewer than half of its replicas, or than two, must not enter. The largest rates may be left out: they
    are the farthest from rate 0. Where another one lacks replicas there is no extrapolation.
    """
    rates = sorted(usable)

    def lacks(rate: float) -> bool:
        return usable[rate] < max(2, 0.5 * replicas[rate])

    while len(rates) > fewest and lacks(rates[-1]):
        rates.pop()
    return rates if len(rates) >= fewest and not any(map(lacks, rates)) else []


def extrapolate(samples: dict[float, np.ndarray], replicas: dict[float, int] | None = None) -> Extrapolation | None:
    """The mean at learning rate 0 from values of independent seeds [seeds] at each rate.

    `replicas`: how many there were at each rate, usable or not. None for fewer than four rates with half of their
    replicas, and two, each.
    """
    counts = {rate: len(values) for rate, values in samples.items()}
    usable = rates_that_enter(counts, replicas or counts, FEWEST_RATES)
    while len(usable) >= FEWEST_RATES:
        means = np.array([samples[rate].mean() for rate in usable])
        errors = np.array([samples[rate].std(ddof=1) / np.sqrt(len(samples[rate])) for rate in usable])
        seeds = min(len(samples[rate]) for rate in usable)
        value, error, chi2 = at_rate_zero(np.array(usable), means, errors, degree=2)
        fit_p, widened = widening(chi2, len(usable) - 3, FIT_LEVEL)
        if fit_p < FIT_LEVEL and len(usable) > FEWEST_RATES:
            usable.pop()
            continue
        return Extrapolation(value, error * widened, tuple(usable), fit_p, widened, seeds)
    return None
