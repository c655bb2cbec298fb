"""Where linear networks end, against what theory says, setting by setting: the table of the report."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpseek.files import Experiment
from sharpseek.groups import configuration
from sharpseek.linear_settings import QUANTITIES, replica_frame
from sharpseek.summaries import t_interval

EVERYTHING = "all"
"""What `replica_frame` calls the setting of an experiment that has only one."""


def prediction_table(experiment: Experiment) -> pd.DataFrame:
    """The limit of small rates next to the measured mean at the smallest rate, for every setting of a linear network.

    Columns: quantity, setting, rate, predicted, mean, low, high (95 % over usable seeds and starts), usable, replicas.
    Quantities that were not measured have no rows.
    """
    frame = replica_frame(experiment)
    if frame.empty:
        return pd.DataFrame()
    fixed = _fixed_condition(experiment)
    measured = [n for n in QUANTITIES if any(f"{n}_mean" in run for run in experiment.runs.values())]
    rows = []
    for name in measured:
        for setting, part in frame.groupby("setting", sort=False):
            here = part[part["rate"] == part["rate"].min()] if part["rate"].notna().any() else part
            good = here["usable"] & np.isfinite(here[name])
            mean, low, high = t_interval(here.loc[good, name].to_numpy())
            words = [fixed, "" if fixed and setting == EVERYTHING else str(setting)]
            rows.append(
                {
                    "quantity": name.replace("_", " "),
                    "setting": ", ".join(filter(None, words)),
                    "rate": here["rate"].iloc[0],
                    "predicted": float(here[f"limit_{name}"].iloc[0]),
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "usable": int(good.sum()),
                    "replicas": len(here),
                }
            )
    return pd.DataFrame(rows)


def _fixed_condition(experiment: Experiment) -> str:
    """The condition in words where all runs have the same one; empty where it was swept or noise is given as a file."""
    found = set()
    for run in experiment.runs.values():
        noise = configuration(run).get("noise", {})
        value = noise.get("condition")
        found.add(None if "condition" in run.coords or noise.get("covariance") or isinstance(value, list) else value)
    value = found.pop() if len(found) == 1 else None
    return "" if value is None else f"condition {value:g}"
