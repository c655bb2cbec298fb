"""Run files made here, with known truth: what the C++ program writes, without it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr
from sharpseek.files import Experiment

CONDITIONS = (1.0, 10.0, 100.0)
STARTS = (1.0, 3.0)

Make = Callable[..., Path]


def make_dataset(
    *,
    seeds: int = 8,
    slope: float = 0.2,
    predicted_slope: float | None = None,
    begins: tuple[float, float] = (30.0, 200.0),
    bias: float = 1.0,
    start_gap: float = 1.0,
    noise: float = 0.005,
    stationary: float = 1.0,
    linear: bool = True,
    imbalance: float = 0.0,
    rates: tuple[float, ...] = (),
    deficit: float = 0.0,
    tails: float = 0.0,
    unusable: float | None = None,
    commutes: int = 1,
    approach: float = 5.0,
    wobble: float = 0.0,
    generator_seed: int = 1,
) -> xr.Dataset:
    """A run whose replicas end at 40 kappa^slope (times `bias`, times `start_gap` from the sharp start).

    Theory predicts the exponent `predicted_slope` (default: that one). The traces of the flat and the sharp start are
    `begins` at first. `noise` is the relative standard deviation between seeds, `imbalance` the relative imbalance of
    squared gradients, `deficit` the relative shortfall at the first of `rates`, proportional to the rate, `tails` the
    standard deviation of the log of incoming squared gradients at a record (mean 1, shared by replicas: they see the
    same inputs) with steady outgoing ones, `unusable` the condition at which no replica is stationary,
    `approach` the relaxation time of trace and fluctuation in records, of 60, and `wobble` their relative standard
    deviation from record to record; with it the run holds the series of sharpness as well.
    """
    generator = np.random.default_rng(generator_seed)
    axes = (CONDITIONS, STARTS, rates or (0.002,), np.arange(seeds))
    condition, start, rate, seed = (a.ravel() for a in np.meshgrid(*axes, indexing="ij"))
    replicas, times, layers = condition.size, 60, 2
    theory = 40 * condition ** (slope if predicted_slope is None else predicted_slope)
    end = (
        40
        * condition**slope
        * bias
        * np.where(start == STARTS[1], start_gap, 1)
        * (1 + noise * generator.normal(size=replicas))
    )
    end = end * (1 - deficit * rate / rate.min())
    begin = np.where(start == STARTS[0], *begins)
    left = np.exp(-np.arange(times) / approach)
    series = np.random.default_rng(generator_seed).normal(size=(3, replicas, times))
    trace = (end[:, None] + (begin - end)[:, None] * left) * (1 + wobble * series[0])
    fluctuation = 80 * (1 + (start == STARTS[1])[:, None] * left) * (1 + wobble * series[1])
    ok = (generator.random(replicas) < stationary) & (condition != unusable)
    per_replica = {
        "status": np.zeros(replicas, dtype=np.int64),
        "diverged_at": np.full(replicas, -1),
        "stationary": ok.astype(np.int64),
        "trace_mean": np.where(ok, end, np.nan),
        "sharpness_mean": np.where(ok, end / 5, np.nan),
        "gradient_fluctuation_mean": np.where(ok, 80.0, np.nan),
    }
    if linear:
        per_replica |= {
            "closed_form_trace": theory,
            "closed_form_sharpness": theory / 5,
            "closed_form_gradient_fluctuation": np.full(replicas, 80.0),
            "closed_form_flattest_trace": np.full(replicas, 40.0),
            "small_lr_limit_trace": theory,
            "small_lr_limit_sharpness": theory / 5,
            "small_lr_limit_gradient_fluctuation": np.full(replicas, 80.0),
            "commutes": np.full(replicas, commutes),
        }
    more = {"sharpness": (("replica", "time"), trace / 5 * (1 + wobble * series[2]))} if wobble else {}
    excess = 0.1 + 5 * np.exp(-np.arange(times) / 2)[None, :] * np.ones((replicas, 1))
    squares = 2 + 0.02 * generator.normal(size=(replicas, times, 2))
    incoming = np.exp(tails * generator.normal(size=(times, 1)) - tails**2 / 2) - 1 if tails else 0.0
    return xr.Dataset(
        {name: ("replica", values) for name, values in per_replica.items()}
        | more
        | {
            "trace": (("replica", "time"), trace),
            "gradient_fluctuation": (("replica", "time"), fluctuation),
            "excess_risk": (("replica", "time"), excess),
            "eigenvalues": (("replica", "time", "eigen"), trace[..., None] / np.arange(2.0, 7.0)),
            "layer_fluctuation": (("replica", "time", "layer"), np.repeat(fluctuation[..., None] / layers, layers, 2)),
            "balance_difference": (
                ("replica", "time", "balance"),
                2 * imbalance + 0.05 * generator.normal(size=(replicas, times, 2)) + incoming,
            ),
            "balance_sum": (("replica", "time", "balance"), squares + incoming),
        },
        coords={
            "condition": ("replica", condition),
            "init_imbalance": ("replica", start),
            "seed": ("replica", seed),
            **({"learning_rate": ("replica", rate)} if rates else {}),
            "step": ("time", np.arange(times) * 10),
            "rescaled_time": (("replica", "time"), np.tile(np.arange(times) * 0.01, (replicas, 1))),
            "layer": ["W_1", "W_2"],
            "balance": ["W_1|W_2[0]", "W_1|W_2[1]"],
            "balance_kind": ("balance", ["linear", "linear"]),
        },
        attrs={
            "schema_version": 1,
            "config": json.dumps({"noise": {"condition": list(CONDITIONS)}}),
            "version": "0.1.0",
            "finished": "b",
        },
    )


def make_run(path: Path, **options: object) -> Path:
    """Writes make_dataset's run as the program would."""
    path.mkdir(parents=True, exist_ok=True)
    make_dataset(**options).to_netcdf(path / "run.h5", engine="h5netcdf")
    return path


def write_run(path: Path, run: xr.Dataset) -> None:
    """Writes a dataset as a finished run; one without records gets two."""
    if "step" not in run:
        records = run.sizes.get("time", 2)
        run = run.assign_coords(step=("time", np.arange(records) * 10))
    if "rescaled_time" not in run:
        clock = np.tile(np.arange(run.sizes["time"]) * 0.01, (run.sizes["replica"], 1))
        run = run.assign_coords(rescaled_time=(("replica", "time"), clock))
    attributes = {"schema_version": 1, "version": "0.1.0", "finished": "b", **run.attrs}
    run.assign_attrs(attributes).to_netcdf(path / "run.h5", engine="h5netcdf")


def as_pairs(run: xr.Dataset, apart: float = 0.01) -> xr.Dataset:
    """The run with each replica in two members of a pair, by `apart` of itself above and below it.

    So that the mean of a pair is the replica. Of every third replica the first is as it was and the second is not
    stationary where the replica is not.
    """
    replicas = run.sizes["replica"]
    both = run.isel(replica=np.repeat(np.arange(replicas), 2))
    sign = np.tile([1, -1], replicas)
    for name, variable in both.data_vars.items():
        if "replica" in variable.dims and variable.dtype.kind == "f" and not str(name).startswith(("closed", "small")):
            factor = (1 + apart * sign).reshape(-1, *[1] * (variable.ndim - 1))
            both[name] = variable.copy(data=variable.values * factor)
    unsettled = both["stationary"].values
    unsettled[(sign > 0) & (np.repeat(np.arange(replicas), 2) % 3 == 0)] = 1
    return both.assign_coords(noise_sign=("replica", sign))


def write_reproduction(directory: Path, **experiments: dict) -> Path:
    """Writes a reproduction of experiments given as name -> options of make_run, plus `claims` and `architecture`."""
    index = {"schema_version": 1, "preset": "test", "version": "0.1.0", "started": "a", "finished": "b"}
    index["experiments"] = []
    for name, options in experiments.items():
        options = dict(options)
        claims = options.pop("claims", ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b", "C7"])
        architecture = options.pop("architecture", "linear")
        make_run(directory / name, **options)
        index["experiments"].append(
            {"name": name, "path": name, "title": name, "claims": claims, "architecture": architecture}
        )
    (directory / "reproduce.json").write_text(json.dumps(index))
    return directory


def make_experiment(claims: list[str] | None = None, architecture: str = "linear", **options: object) -> Experiment:
    """An experiment in memory with one run."""
    speaks_to = claims or ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b", "C7"]
    return Experiment("only", "only", architecture, speaks_to, {"": make_dataset(**options)})
