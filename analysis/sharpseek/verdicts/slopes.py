"""A slope whose errors are clustered by seed: a studentised bootstrap over seeds, never narrower than Student's t.

Plain percentiles of so few clusters are too narrow; quantiles of (slope* - slope) / error* are not (Cameron, Gelbach,
Miller, Review of Economics and Statistics 90, 2008). Of three or four clusters there are only few different resamples,
however: their quantiles alone reject ten times too often at small levels. Student's t with one degree of freedom less
than there are seeds, and the cluster-robust error, is right there. So an interval is the wider one of both; and
resamples say nothing of levels below one in their number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from sharpseek.confidence import student_quantile

RESAMPLES = 40_000
"""Of the seeds. The smallest level that they can show is one in RESAMPLES + 1."""


def cluster_slope(
    x: np.ndarray, y: np.ndarray, clusters: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, Callable[[float], tuple[float, float]], float]:
    """Least squares slope of y over x [n], its intervals by level, and the smallest level that they can show.

    `clusters` [n] says which values belong together. Below the smallest level the interval is the whole line.
    """
    sums = cluster_sums(x, y, clusters)
    count = len(sums)
    slope, error = (float(value[0]) for value in cluster_regression(sums, np.ones((1, count))))
    slopes, errors = cluster_regression(sums, _resampled(count, resamples, seed))
    with np.errstate(divide="ignore", invalid="ignore"):
        deviations = (slopes - slope) / errors
    deviations = np.sort(deviations[np.isfinite(deviations)])
    least = 1 / (len(deviations) + 1)

    def interval(level: float) -> tuple[float, float]:
        if level < least:
            return -np.inf, np.inf
        place = level * (len(deviations) - 1)
        lower, upper = _at(deviations, place), _at(deviations, len(deviations) - 1 - place)
        reach = student_quantile(level, count - 1)
        return slope - max(upper, reach) * error, slope - min(lower, -reach) * error

    return slope, interval, least


@lru_cache(maxsize=8)
def _resampled(count: int, resamples: int, seed: int) -> np.ndarray:
    """How often each resample has each of so many clusters [resamples, clusters]: what a regression needs is linear or
    quadratic in these counts."""
    draws = np.random.default_rng(seed).integers(count, size=(resamples, count))
    places = (draws + count * np.arange(resamples)[:, None]).ravel()
    return np.bincount(places, minlength=resamples * count).reshape(resamples, count).astype(float)


def _at(values: np.ndarray, place: float) -> float:
    """Of sorted values, the one at a place that need not be whole."""
    below = min(int(place), len(values) - 2)
    share = place - below
    return float((1 - share) * values[below] + share * values[below + 1])


def cluster_sums(x: np.ndarray, y: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Sums of 1, x, y, x^2, xy over each cluster [clusters, 5]: enough for a regression."""
    columns = np.stack([np.ones_like(x), x, y, x * x, x * y], axis=1)
    names, which = np.unique(clusters, return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, which, columns)
    return sums


def cluster_regression(sums: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and its cluster-robust standard error, of each row of `weights` [resamples, clusters]: how often a cluster
    is in the sample."""
    n, x, y, xx, xy = (weights @ sums).T
    spread = xx - x * x / n
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (xy - x * y / n) / spread
        intercept = (y - slope * x) / n
        # A cluster's score, sum of (x - mean) (y - intercept - slope x), is a linear form in its own sums.
        form = (x / n * intercept, x / n * slope - intercept, -x / n, -slope, np.ones_like(n))
        first, second = np.triu_indices(5)
        squares = (weights @ (sums[:, first] * sums[:, second])).T  # of the score: every product of two sums once
        total = sum(
            (1 if i == j else 2) * form[i] * form[j] * products
            for i, j, products in zip(first, second, squares, strict=True)
        )
        count = weights.sum(axis=1)
        error = np.sqrt(np.maximum(total, 0) * count / (count - 1)) / spread
    # One cluster alone, however often, has no error: what rounding leaves of 0 is none.
    alone = (weights > 0).sum(axis=1) < 2
    return np.where((spread > 1e-9) & ~alone, slope, np.nan), error
