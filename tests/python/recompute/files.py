"""Run files as columns of replicas, read with h5py alone, and which replicas can be used (docs/claims.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from recompute.relaxation import FEWEST_SEEDS, left_to_go
from scipy import stats

STARTS = ("init_imbalance", "init_scale")
NOT_A_SETTING = ("learning_rate", "seed", "init", *STARTS)
JUDGED = ("trace", "sharpness", "gradient_fluctuation")
MARGINS = {"trace": 0.02, "sharpness": 0.04}
RELAXATION = "small_lr_limit_relaxation_rate"
INFINITE = float("inf")


@dataclass
class Experiment:
    """What reproduce.json says of an experiment, and its runs."""

    name: str
    architecture: str
    claims: list[str]
    runs: list[Run]


@dataclass
class Run:
    """Replicas of one or more files as columns: arrays whose first axis is the replica, and what replicas share."""

    columns: dict[str, np.ndarray]
    shared: dict[str, np.ndarray]
    axes: list[str]
    config: dict
    group: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Whether the files have a column."""
        return name in self.columns

    def __getitem__(self, name: str) -> np.ndarray:
        """A column."""
        return self.columns[name]

    @property
    def size(self) -> int:
        """The number of replicas."""
        return len(self["status"])

    def rows(self, which: np.ndarray) -> Run:
        """The replicas of a mask or of indices."""
        return Run({k: v[which] for k, v in self.columns.items()}, self.shared, self.axes, self.config, self.group)

    def distinct(self, axis: str) -> list:
        """The values of an axis, in order of appearance."""
        return list(dict.fromkeys(self[axis].tolist())) if axis in self.columns else []

    @property
    def in_pairs(self) -> bool:
        """Whether every replica is the mean of an antithetic pair."""
        return self.config.get("noise", {}).get("antithetic") is True

    @property
    def kappas(self) -> list[float | None]:
        """The conditions in ascending order; None where they were not swept."""
        return sorted(self.distinct("condition")) or [None]

    def at(self, kappa: float | None) -> np.ndarray:
        """The replicas at a condition."""
        return np.ones(self.size, bool) if kappa is None else self["condition"] == kappa


def text(values: np.ndarray) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in np.ravel(values)]


def read_run(file: Path) -> Run:
    """One run.h5, or the folder that holds it."""
    file = file / "run.h5" if file.is_dir() else file
    with h5py.File(file) as h5:
        found = {name: item[()] for name, item in h5.items() if isinstance(item, h5py.Dataset)}
        attributes = {k: text(h5.attrs[k])[0] for k in ("config", "group") if k in h5.attrs}
        # Named by the file or, where xarray wrote it, by each variable.
        named = [item.attrs["coordinates"] for item in (h5, *h5.values()) if "coordinates" in item.attrs]
    replicas = len(found["status"])
    per_replica = [n for n, v in found.items() if v.shape[:1] == (replicas,) and n not in ("replica", "step")]
    shared = {n: v for n, v in found.items() if n not in per_replica}
    # A matrix that all replicas share may have as many rows as there are replicas.
    for name in ("teacher", "input_covariance", "layer", "balance", "balance_kind", "time", "eigen"):
        if name in per_replica:
            per_replica.remove(name)
            shared[name] = found[name]
    columns = {n: found[n] for n in per_replica}
    known = {name for words in named for name in text(words)[0].split()}
    axes = [n for n in per_replica if n in known and found[n].ndim == 1 and n != "seed"]
    for name in (*axes, "seed"):
        if columns[name].dtype.kind in "SO":
            columns[name] = np.array(text(columns[name]))
    if "noise_sign" in columns:
        axes = [axis for axis in axes if axis != "noise_sign"]
        columns = _seeds_of_pairs(columns, axes)
    return Run(columns, shared, axes, json.loads(attributes["config"]), group_of(attributes.get("group", "")))


def _seeds_of_pairs(columns: dict[str, np.ndarray], axes: list[str]) -> dict[str, np.ndarray]:
    """Columns with one row for each antithetic pair, in the order of their first members, and for each replica without
    one: means of real numbers, the worse of what grades a replica, the weights of both, of the rest the first's."""
    partner: dict[tuple, int] = {}
    rows = []
    sign = columns["noise_sign"]
    paired = columns["antithetic"] == "true" if "antithetic" in columns else np.ones(len(sign), bool)
    for i in np.flatnonzero((sign < 0) & paired):
        partner[tuple(columns[a][i] for a in (*axes, "seed"))] = int(i)
    for i in range(len(sign)):
        if not paired[i]:
            rows.append((i, i))
        elif sign[i] > 0 and (j := partner.get(tuple(columns[a][i] for a in (*axes, "seed")))) is not None:
            rows.append((i, j))
    one, two = np.array(rows, int).reshape(-1, 2).T
    found = {}
    for name, values in columns.items():
        a, b = values[one], values[two]
        found[name] = a
        if name == "stationary":
            found[name] = np.fmin(a, b)
        elif name in ("status", "diverged_at") or name.endswith("_status"):
            found[name] = np.fmax(a, b)
        elif name.split("_")[0] == "parameters":
            found[f"{name}/second"] = b
        elif values.dtype.kind == "f" and name not in axes:
            found[name] = 0.5 * (a + b)
    return found


def group_of(name: str) -> dict[str, str]:
    parts = re.split(r",(?=[a-z_]+=)", name)
    return dict(part.split("=", 1) for part in parts if part)


def _with_series(run: Run) -> Run:
    """Adds what is asked of the last half of the records, of the arrival on the set of minima, and of what is left."""
    columns, index = run.columns, np.arange(run.size)
    if "excess_risk" in run:
        excess = run["excess_risk"]
        late = excess[:, excess.shape[1] - excess.shape[1] // 2 :].mean(axis=1)
        arrival = np.argmax(excess <= 2 * late[:, None], axis=1)
        fitted = np.argmax(excess <= 0.01 * excess[:, :1], axis=1)
        for name in ("trace", "gradient_fluctuation"):
            if name in run and f"{name}_mean" in run:
                columns[f"{name}/arrival"] = run[f"{name}_mean"] / run[name][index, arrival]
                columns[f"{name}/fitted"] = run[f"{name}_mean"] / run[name][index, fitted]
    for name in ("layer_fluctuation", "balance_difference", "balance_sum", "sharpness", "gradient_fluctuation"):
        if name in run:
            values = run[name]
            columns[f"{name}/late"] = values[:, values.shape[1] - values.shape[1] // 2 :]
    _left(run)
    return run


def _thinned(run: Run, records: int) -> Run:
    """So many of the records, evenly chosen."""
    own = run["rescaled_time"].shape[1]
    kept = np.round(np.linspace(0, own - 1, records)).astype(int)
    series = [n for n, v in run.columns.items() if v.ndim > 1 and v.shape[1] == own and n != "noise_covariance"]
    columns = run.columns | {n: run[n][:, kept] for n in series}
    return Run(columns, run.shared, run.axes, run.config, run.group)


def joined(runs: list[Run], drop: Iterable[str] = ()) -> Run:
    """Replicas of several runs, with their groups' axes as columns."""
    names = set.intersection(*(set(run.columns) for run in runs))
    shapes = {n: {run[n].shape[1:] for run in runs} for n in names}
    columns = {n: np.concatenate([run[n] for run in runs]) for n in names if len(shapes[n]) == 1}
    axes = [a for a in runs[0].axes if a in columns]
    for axis in dict.fromkeys(a for run in runs for a in run.group if a not in columns):
        values = [[_value(run.group.get(axis, ""))] * run.size for run in runs]
        columns[axis] = np.concatenate(values)
        axes.append(axis)
    rest = {k: v for k, v in runs[0].group.items() if k not in drop}
    return Run(columns, runs[0].shared, axes, runs[0].config, rest)


def _value(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def read_experiment(folder: Path) -> list[Run]:
    """The groups of an experiment; those that differ in the learning rate only are one."""
    if not (folder / "index.json").exists():
        return [_with_series(read_run(folder / "run.h5"))]
    groups = json.loads((folder / "index.json").read_text())["groups"]
    together: dict[tuple, list[Run]] = {}
    for group in groups:
        run = read_run(folder / group["path"])
        run.group = run.group or group_of(group["name"])
        key = tuple((k, v) for k, v in run.group.items() if k != "learning_rate")
        together.setdefault(key, []).append(run)
    found = []
    for key, members in together.items():
        if len(members) == 1:
            found.append(_with_series(members[0]))
            continue
        records = min(m["rescaled_time"].shape[1] for m in members)
        rates = [_thinned(m, records) for m in members]
        for part in rates:
            part.group = {"learning_rate": part.group["learning_rate"]}
        whole = joined(rates)
        whole.group = dict(key)
        found.append(_with_series(whole))
    return found


def usable(run: Run, margin: float, name: str) -> np.ndarray:
    """Finished, stationary, and of a point that has at most half of a claim's margin left to go of a variable, by its
    series and by half of the drift that the file holds."""
    finished = run["status"] == 0
    good = finished & (run["stationary"] == 1)
    for here in points_of(run):
        # The finished replicas of a point all hold what its series say; NaN where they say nothing.
        members = here[finished[here]]
        judged = f"{name}/left" in run and bool(np.isfinite(run[f"{name}/left"][members]).any())
        if judged:
            low, high = run[f"{name}/left"][members[0]]
            good[here] &= bool(-margin / 2 <= low and high <= margin / 2)
        drift = run[f"{name}_drift"][members] / 2 if f"{name}_drift" in run else np.empty(0)
        drift = drift[np.isfinite(drift)]
        if drift.size == 0:
            continue
        error = drift.std(ddof=1) / np.sqrt(drift.size) if drift.size > 1 else INFINITE
        if judged and drift.size < FEWEST_SEEDS:
            error = 0.0
        reach = stats.t.isf(0.025, drift.size - 1) * error if error > 0 else 0.0
        good[here] &= bool(abs(drift.mean()) + reach <= margin / 2)
    return good


def points_of(run: Run) -> list[np.ndarray]:
    """Indices of the replicas that differ in nothing but their seed."""
    points: dict[tuple, list[int]] = {}
    for i in range(run.size):
        points.setdefault(tuple(run[axis][i] for axis in run.axes), []).append(i)
    return [np.array(members) for members in points.values()]


def _left(run: Run) -> None:
    """Adds the interval of what is left to go of each variable at each replica's point, as far as there are series."""
    for name in (n for n in JUDGED if n in run and run[n].ndim == 2):
        found = np.full((run.size, 2), np.nan)
        for here in points_of(run):
            members = here[run["status"][here] == 0]
            if members.size:
                found[members] = left_to_go(run[name][members], *_clock(run, int(members[0]), run[name].shape[1]))
        run.columns[f"{name}/left"] = found


def _clock(run: Run, i: int, records: int) -> tuple[np.ndarray, float]:
    """Rescaled times of a replica's records and the relaxation time that theory knows; the records' numbers and NaN
    where the times do not rise."""
    time = run["rescaled_time"][i] if "rescaled_time" in run else np.empty(0)
    if time.size < 2 or not (np.isfinite(time).all() and (np.diff(time) > 0).all()):
        return np.arange(records, dtype=float), np.nan
    plain = {"optimizer": "sgd", "momentum": 0, "weight_decay": 0, "schedule": "constant"}
    training = run.config.get("training", {})
    other = any(key in run.axes or training.get(key, value) != value for key, value in plain.items())
    rate = 0.0 if other or RELAXATION not in run else run[RELAXATION][i]
    return time, 1 / rate if rate > 0 else np.nan


def half(used: int, replicas: int) -> bool:
    return used >= max(2, replicas / 2)


def enough(run: Run, point: np.ndarray, use: np.ndarray) -> bool:
    """Half of the replicas of a point, at every learning rate."""
    if not half(int((point & use).sum()), int(point.sum())):
        return False
    rates = run["learning_rate"] if "learning_rate" in run else np.zeros(run.size)
    return all((use & point & (rates == r)).sum() >= (point & (rates == r)).sum() / 2 for r in np.unique(rates[point]))


def smallest(run: Run) -> Run:
    return run.rows(run["learning_rate"] == run["learning_rate"].min()) if "learning_rate" in run else run


def start_of(run: Run) -> str | None:
    return next((axis for axis in STARTS if len(run.distinct(axis)) > 1), None)


def settings_of(runs: list[Run]) -> dict[tuple, dict[str, np.ndarray]]:
    """The replicas of linear networks by what changes the prediction: columns, with "rate" and, by the
    margins of C1, "trace/usable" and "sharpness/usable"."""
    parts: dict[tuple, list[dict[str, np.ndarray]]] = {}
    for run in runs:
        if "small_lr_limit_trace" not in run:
            continue
        fixed = tuple((k, v) for k, v in run.group.items() if k not in NOT_A_SETTING)
        axes = [axis for axis in run.axes if axis not in NOT_A_SETTING]
        rate = run["learning_rate"] if "learning_rate" in run else np.full(run.size, rate_of(run))
        good = {n: usable(run, margin, n) for n, margin in MARGINS.items()}
        keys = [(*fixed, *((a, run[a][i]) for a in axes)) for i in range(run.size)]
        for key in dict.fromkeys(keys):
            here = np.array([k == key for k in keys])
            names = [
                n for n in run.columns if n.endswith("_mean") or n.startswith(("small_lr", "closed")) or n == "commutes"
            ]
            columns = {n: run[n][here] for n in names if run[n].ndim == 1}
            columns |= {f"{n}/usable": mask[here] for n, mask in good.items()}
            parts.setdefault(key, []).append(columns | {"rate": rate[here]})
    return {
        key: {n: np.concatenate([p[n] for p in found]) for n in found[0] if all(n in p for p in found)}
        for key, found in parts.items()
    }


def rate_of(run: Run) -> float:
    rate = run.group.get("learning_rate", run.config.get("training", {}).get("learning_rate", np.nan))
    return float(rate)


def samples_of(rows: dict[str, np.ndarray], name: str) -> tuple[dict[float, np.ndarray], dict[float, int]]:
    good = rows[f"{name}/usable"] & np.isfinite(rows[f"{name}_mean"])
    rates = sorted(set(rows["rate"].tolist()))
    return (
        {r: rows[f"{name}_mean"][good & (rows["rate"] == r)] for r in rates},
        {r: int((rows["rate"] == r).sum()) for r in rates},
    )


def rates_of(settings: dict[tuple, dict[str, np.ndarray]]) -> list[float]:
    """The learning rates of all settings, in ascending order; those that no file names are none."""
    return sorted({rate for rows in settings.values() for rate in rows["rate"].tolist() if np.isfinite(rate)})
