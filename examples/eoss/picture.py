"""The edge of stochastic stability: judges the expectation of eoss.ini and draws eoss.png.

python examples/eoss/picture.py out/eoss [eoss.png]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import sharpseek
import xarray as xr
from scipy import stats
from sharpseek.files import open_groups

RATIOS = {
    "batch_sharpness_mean_of_ratios": "batch sharpness",
    "batch_lambda_max": "largest eigenvalue of a batch",
}
JUDGED = {"sgd": "batch_sharpness_mean_of_ratios", "gd": "batch_lambda_max"}


def over_the_edge(run: xr.Dataset) -> None:
    """Divides what is compared by 2 / rate."""
    training = sharpseek.configuration(run)["training"]
    # The rate that belongs to this run's steps: they are swept together.
    rate = np.atleast_1d(training["learning_rate"])[list(np.atleast_1d(training["steps"])).index(run.attrs["steps"])]
    for name, words in RATIOS.items():
        run[name] = (run[name] * rate / 2).assign_attrs(long_name=f"{words} over 2 / rate", units="1")


def late(values: xr.DataArray) -> tuple[float, float]:
    """Mean over the last third of the records and over seeds, with half the width of its 95 % interval."""
    seeds = values.isel(time=slice(-(values.sizes["time"] // 3), None)).mean("time").values
    half = stats.t.ppf(0.975, len(seeds) - 1) * seeds.std(ddof=1) / np.sqrt(len(seeds))
    return float(seeds.mean()), float(half)


def main(folder: str, picture: str = "eoss.png") -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    for group, run in open_groups(folder).items():
        over_the_edge(run)
        optimizer = "gd" if "optimizer=gd" in group else "sgd"
        ax = axes[0 if optimizer == "sgd" else 1]
        judged = JUDGED[optimizer]
        sharpseek.plot.trajectories(run, judged, ax=ax)
        ax.axhline(1, color="black", linewidth=0.8)
        ax.set_title(f"{optimizer}: {RATIOS[judged]}", loc="left")
        ax.set_ylabel("over 2 / rate")
        ax.set_ylim(0, 2)
        mean, half = late(run[judged])
        says = "holds" if abs(mean - 1) + half <= 0.1 else "does not hold"
        print(
            f"{optimizer}: {RATIOS[judged]} over 2 / rate, last third: {mean:.3f} +- {half:.3f}; 1 within 10 % {says}"
        )
        if optimizer == "sgd":
            mean, half = late(run["batch_lambda_max"])
            print(f"sgd: largest eigenvalue of a batch over 2 / rate, last third: {mean:.3f} +- {half:.3f}")
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
