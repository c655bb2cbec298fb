"""Antithetic pairs: two replicas of one seed that saw the same inputs and label noise of opposite sign.

What is linear in the noise has opposite signs in the two and cancels in their mean, so that the mean of a pair varies
less than that of two independent replicas. The two are not independent: a pair counts as one seed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from sharpseek.config import configuration

SIGN = "noise_sign"
"""The coordinate of files with pairs: +1 or -1."""

MIRRORED = "_mirrored"
"""Ends the names of the weights of a pair's second replica."""


def in_pairs(run: xr.Dataset) -> bool:
    """Whether every replica of the run is the mean of a pair, by its configuration."""
    return configuration(run).get("noise", {}).get("antithetic") is True


def pair_means(run: xr.Dataset) -> xr.Dataset:
    """The run with one replica for each pair; one without pairs as it is.

    Of a real variable the mean of the two, of a status the worse, of texts and whole numbers those of the first, whose
    noise has the sign +1. Weights have no meaningful mean: `parameters` are those of the first, `parameters_mirrored`
    those of the second. A pair of which only one replica is there (a shard may cut it) is left out; attribute
    `incomplete_pairs` counts them.
    """
    if SIGN not in run.coords:
        return run
    first, second = _places(run)
    single = np.flatnonzero(~_in_pairs(run))
    alone = run.sizes["replica"] - 2 * len(first) - len(single)
    one, other = run.isel(replica=first), run.isel(replica=second)
    joined = one.copy()
    for name, variable in one.data_vars.items():
        if "replica" not in variable.dims:
            continue
        worse = _worse(str(name))
        if worse is not None:
            joined[name] = variable.copy(data=worse(variable.values, other[name].values))
        elif "parameter" in variable.dims:
            joined[f"{name}{MIRRORED}"] = other[name].variable
        elif variable.dtype.kind == "f":
            joined[name] = variable.copy(data=(variable.values + other[name].values) / 2)
    if single.size:
        joined = xr.concat([run.isel(replica=single), joined], "replica", data_vars="minimal", coords="minimal")
    joined.attrs = run.attrs | {"incomplete_pairs": alone}
    return joined.drop_vars(SIGN)


def gains(run: xr.Dataset, variable: str) -> pd.DataFrame:
    """How much pairs save, from a run that was opened with its `members`.

    At each sweep point: the swept axes, `pairs`, `mean` (of the pairs' means), `gain`: the variance of the mean of two
    independent replicas over that of a pair's mean, 1 / (1 + correlation), with its 95 % interval `low`, `high` from
    Fisher's transform of the correlation. Seeds enter with the variable as it is; NaN where it is not finite.
    """
    first, second = _places(run)
    axes = [str(n) for n, c in run.coords.items() if c.dims == ("replica",) and n not in ("seed", "replica", SIGN)]
    values = run[variable].values
    frame = pd.DataFrame({axis: run[axis].values[first] for axis in axes} | {"a": values[first], "b": values[second]})
    rows = []
    for point, group in frame.groupby(axes, sort=True) if axes else [((), frame)]:
        a, b = group["a"].to_numpy(), group["b"].to_numpy()
        within = (a.var(ddof=1) + b.var(ddof=1)) / 2
        correlation = np.cov(a, b)[0, 1] / within if len(a) > 3 and within > 0 else np.nan
        half = special.ndtri(0.975) / np.sqrt(len(a) - 3) if len(a) > 3 else np.nan
        low, high = np.tanh(np.arctanh(correlation) + np.array([half, -half]))
        rows.append(
            dict(zip(axes, point, strict=True))
            | {"pairs": len(a), "mean": ((a + b) / 2).mean()}
            | {"gain": 1 / (1 + correlation), "low": 1 / (1 + low), "high": 1 / (1 + high)}
        )
    return pd.DataFrame(rows)


def _worse(name: str) -> np.ufunc | None:
    """What takes the worse of two values, where a variable grades its replica: NaN is that of neither."""
    if name == "status" or name.endswith("_status") or name == "diverged_at":
        return np.fmax
    return np.fmin if name == "stationary" else None


def _in_pairs(run: xr.Dataset) -> np.ndarray:
    """[replica] which replicas are of pairs; only noise.antithetic may be swept to false."""
    if "antithetic" in run.coords:
        return run["antithetic"].values.astype(str) == "true"
    return np.ones(run.sizes["replica"], dtype=bool)


def _places(run: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The places of the first and of the second of each whole pair."""
    axes = [str(n) for n, c in run.coords.items() if c.dims == ("replica",) and n not in ("replica", SIGN)]
    table = pd.DataFrame({axis: run[axis].values for axis in axes})
    table["place"], table["sign"] = np.arange(run.sizes["replica"]), run[SIGN].values
    table = table[_in_pairs(run)]
    places = table.pivot_table(index=axes, columns="sign", values="place", sort=False)
    whole = places.dropna().reindex(columns=[1, -1]).dropna().sort_values(1)
    return whole[1].to_numpy(dtype=int), whole[-1].to_numpy(dtype=int)
