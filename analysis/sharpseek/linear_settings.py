"""Every setting of linear networks, measured against theory: one row a setting and quantity."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from sharpseek.extrapolation import extrapolate
from sharpseek.files import Experiment
from sharpseek.groups import group_axes, group_values, run_rate
from sharpseek.summaries import START_AXES, usable

__all__ = ["agreement", "group_values", "replica_frame", "settings_table", "to_markdown"]

QUANTITIES = ("trace", "sharpness", "gradient_fluctuation")
MARGINS = {"trace": 0.02, "sharpness": 0.04, "gradient_fluctuation": 0.04}
"""Of the claims about each quantity (C1), for replicas without pairs."""
POOLED = ("learning_rate", "seed", "init", *START_AXES)
"""Coordinates that do not change what theory predicts."""


def _rates(run: xr.Dataset, group: str) -> np.ndarray:
    if "learning_rate" in run.coords:
        return run["learning_rate"].values.astype(float)
    return np.full(run.sizes["replica"], run_rate(run, group))


def replica_frame(experiment: Experiment) -> pd.DataFrame:
    """One row a replica over all runs: its setting in words, rate, whether usable, measured and predicted values, and
    its condition where that was swept. Measured is NaN where the point has more left to go than MARGINS allow.

    Empty where the files hold no `small_lr_limit_*`.
    """
    frames = []
    for group, run in experiment.runs.items():
        if "small_lr_limit_trace" not in run:
            continue
        axes = {name: value for name, value in group_axes(group, run).items() if name not in POOLED}
        columns: dict[str, list[str]] = {}
        for name, coordinate in run.coords.items():
            if coordinate.dims == ("replica",) and name not in POOLED and name != "replica":
                columns[str(name)] = [
                    f"{value:g}" if isinstance(value, float) else str(value) for value in coordinate.values
                ]
        settings = [
            ", ".join([f"{k} {v}" for k, v in axes.items()] + [f"{k} {v[i]}" for k, v in columns.items()]) or "all"
            for i in range(run.sizes["replica"])
        ]
        frame = pd.DataFrame({"setting": settings, "rate": _rates(run, group), "usable": usable(run, variables=[])})
        frame["commutes"] = run["commutes"].values == 1
        for name in QUANTITIES:
            measured = run[f"{name}_mean"].values if f"{name}_mean" in run else np.nan
            frame[name] = np.where(usable(run, MARGINS[name], [name]), measured, np.nan)
            frame[f"limit_{name}"] = run[f"small_lr_limit_{name}"].values
            frame[f"closed_{name}"] = run[f"closed_form_{name}"].values
            if f"closed_form_flattest_{name}" in run:
                frame[f"flattest_{name}"] = run[f"closed_form_flattest_{name}"].values
        if "condition" in run.coords:
            frame["condition"] = run["condition"].values
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def by_rate(part: pd.DataFrame, name: str) -> tuple[dict[float, np.ndarray], dict[float, int]]:
    """Usable values of a quantity at each learning rate of rows of `replica_frame`, and how many replicas it had."""
    samples, replicas = {}, {}
    for rate, here in part.groupby("rate"):
        good = here["usable"] & np.isfinite(here[name])
        samples[float(rate)], replicas[float(rate)] = here.loc[good, name].to_numpy(), len(here)
    return samples, replicas


def settings_table(experiments: Iterable[Experiment], quantities: Iterable[str] = QUANTITIES) -> pd.DataFrame:
    """Theory against SGD at learning rate 0, for every setting that was run at four rates or more.

    Columns: experiment, setting, quantity, commutes, closed_form, predicted (the limit of small rates), measured, low,
    high (95 %), half_width (relative), error, z = (measured - predicted)/error, rates (how many entered), seeds, fit_p,
    widened (`extrapolation`), usable, replicas. Settings whose fit is impossible have NaN.
    """
    rows = []
    for experiment in experiments:
        frame = replica_frame(experiment)
        if frame.empty or frame["rate"].nunique() < 4:
            continue
        for setting, part in frame.groupby("setting", sort=False):
            for name in quantities:
                samples, replicas = by_rate(part, name)
                found = extrapolate(samples, replicas)
                predicted = float(part[f"limit_{name}"].iloc[0])
                low, high = found.interval() if found else (np.nan, np.nan)
                value, error = (found.value, found.error) if found else (np.nan, np.nan)
                rows.append(
                    {
                        "experiment": experiment.name,
                        "setting": setting,
                        "quantity": name,
                        "commutes": bool(part["commutes"].iloc[0]),
                        "closed_form": float(part[f"closed_{name}"].iloc[0]),
                        "predicted": predicted,
                        "measured": value,
                        "low": low,
                        "high": high,
                        "half_width": (high - low) / 2 / abs(value),
                        "error": error,
                        "z": (value - predicted) / error,
                        "rates": len(found.rates) if found else 0,
                        "seeds": found.seeds if found else 0,
                        "fit_p": found.fit_p if found else np.nan,
                        "widened": found.widened if found else np.nan,
                        "usable": sum(map(len, samples.values())),
                        "replicas": len(part),
                    }
                )
    return pd.DataFrame(rows)


def agreement(table: pd.DataFrame) -> tuple[float, int, float]:
    """Chi-squared of the z of one quantity's settings, their number, and the p-value of agreement with theory.

    Settings are independent of each other; trace, sharpness and fluctuation of one setting are not: use one quantity.
    """
    z = table["z"].to_numpy()
    z = z[np.isfinite(z)]
    chi2 = float(np.sum(z * z))
    return chi2, len(z), float(special.chdtrc(len(z), chi2)) if len(z) else np.nan


def to_markdown(table: pd.DataFrame) -> str:
    """The table theory / SGD / interval, and its summary, as Markdown."""
    lines = [
        "| experiment | setting | quantity | closed form | limit | SGD at rate 0 | 95 % interval | half-width | z "
        "| rates | fit p |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.experiment} | {row.setting} | {row.quantity.replace('_', ' ')} | {row.closed_form:.5g} "
            f"| {row.predicted:.5g} | {row.measured:.5g} | {row.low:.5g} to {row.high:.5g} | {row.half_width:.2%} "
            f"| {row.z:+.2f} | {row.rates} | {row.fit_p:.2g} |"
        )
    for name, part in table.groupby("quantity", sort=False):
        chi2, count, p = agreement(part)
        lines.append("")
        lines.append(
            f"{str(name).replace('_', ' ')}: {count} settings, chi-squared {chi2:.1f}, p = {p:.3f}, largest |z| "
            f"{part['z'].abs().max():.2f}, largest half-width {part['half_width'].max():.2%}."
        )
    return "\n".join(lines)
