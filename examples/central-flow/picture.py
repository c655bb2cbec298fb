"""Gradient descent at the edge, averaged over time: judges the expectation of central-flow.ini, draws central-flow.png.

python examples/central-flow/picture.py out/central-flow [central-flow.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import sharpseek
import xarray as xr
from sharpseek.files import open_groups

WINDOW = 15
"""Records that an average over time takes in."""
DRAWN = {"sharpness": "batch_lambda_max", "loss": "train_loss"}
"""Of all samples with the labels of training: for gd the only batch."""


def rate_of(run: xr.Dataset) -> float:
    """The rate that belongs to this run's steps: the two are swept together."""
    training = sharpseek.configuration(run)["training"]
    rates, steps = np.atleast_1d(training["learning_rate"]), np.atleast_1d(training["steps"])
    return float(rates[list(steps).index(run.attrs["steps"])])


def averaged(run: xr.Dataset) -> xr.Dataset:
    """The run with averages over time in the place of single records."""
    found = run.copy()
    for name in DRAWN.values():
        found[name] = run[name].rolling(time=min(WINDOW, run.sizes["time"]), center=True, min_periods=1).mean()
        found[name].attrs = run[name].attrs
    return found


def main(folder: str, picture: str = "central-flow.png") -> None:
    runs = sorted(open_groups(folder).values(), key=rate_of)
    edge = 2 / rate_of(runs[-1])
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for run in runs:
        rate = rate_of(run)
        time = run["rescaled_time"] / rate * run.attrs["batch"]  # rate x steps
        for ax, (words, name) in zip(axes, DRAWN.items(), strict=True):
            single = run.assign_coords(rescaled_time=time).isel(replica=[0])
            colour = "tab:red" if rate == rate_of(runs[-1]) else "tab:blue"
            ax.plot(time[0], single[name][0], color=colour, alpha=0.3, linewidth=0.7)
            ax.plot(time[0], averaged(single)[name][0], color=colour, label=f"rate {rate:g}, averaged over time")
            ax.set_xlabel("rate x steps")
            ax.set_ylabel(words)
        last = run["batch_lambda_max"].isel(time=slice(-(run.sizes["time"] // 3), None)).mean("time") / edge
        seeds = ", ".join(f"{value:.3f}" for value in last.values)
        print(f"rate {rate:g}: sharpness averaged over the last third, over {edge:.0f}: {seeds}")
        if rate == rate_of(runs[-1]):
            print(f"1 within 10 % {'holds' if np.abs(last.values - 1).max() <= 0.1 else 'does not hold'}")
    axes[0].axhline(edge, color="black", linewidth=0.8)
    axes[1].set_yscale("log")
    axes[1].legend(fontsize=8)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
