"""Reports of real runs that lack what claims and figures ask for: always written, and true to the files."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run
from scipy import stats
from sharpseek.files import open_reproduction
from sharpseek.predictions import prediction_table
from sharpseek.report import summary_table

SHORT = [
    "--set=training.steps=400",
    "--set=measure.records=20",
    "--set=experiment.replicas=3",
    "--quiet",
    "--no-report",
]
LONGER = ["--set=training.steps=4000", "--set=training.learning_rate=0.02", "--set=measure.records=60"]
LINEAR = ["--preset=smoke", "--only=linear-2"]
BATCH = ["--preset=full", "--only=ablation-batch", "--set=training.until=steps"]
DECAY = ["--preset=full", "--only=ablation-decay", "--set=training.until=steps"]
UNUSUAL = {
    "an axis of an ablation left unswept": [*BATCH, "--set=training.batch=4"],
    "another axis left unswept": [*DECAY, "--set=training.weight_decay=0.01"],
    "one condition": [*LINEAR, "--set=noise.condition=10"],
    "no spectrum": [*LINEAR, "--set=measure.quantities=excess_risk,gradient"],
    "no gradient": [*LINEAR, "--set=measure.quantities=excess_risk,spectrum"],
    "no excess risk": [*LINEAR, "--set=measure.quantities=spectrum,gradient,balance"],
    "excess risk alone": [*LINEAR, "--set=measure.quantities=excess_risk"],
    "one seed": [*LINEAR, "--set=experiment.replicas=1"],
    "one start": [*LINEAR, "--set=model.init_imbalance=1"],
    "all diverged": [*LINEAR, "--set=training.learning_rate=9"],
    "one record": [*LINEAR, "--set=measure.records=1"],
    "commas in the values of groups": [*LINEAR, "--set=data.teacher=aligned diagonal:1.5,1,0.7"],
    "totals and rotations": [*LINEAR, "--set=noise.total=1 3", "--set=noise.rotation=axes random"],
    "rates and times as groups": [
        *LINEAR,
        "--set=training.learning_rate=0.002 0.004",
        "--set=training.time=0.001 0.002",
    ],
    "a title with dollars, tags, quotes": [*LINEAR, '--set=experiment.title=$x^{$ <b>"é"</b> \'=1'],
}

REASONS = {
    "an axis of an ablation left unswept": ("C9a", "batch was not swept"),
    "another axis left unswept": ("C9e", "weight_decay was not swept"),
    "no spectrum": ("C1", "trace was not measured"),
    "no gradient": ("C6a", "fluctuation was not measured"),
}
"""Claims that cannot be judged, and what the report says of them."""


def reproduced(sharpseek: Run, folder: Path, arguments: list[str]) -> Path:
    done = sharpseek("reproduce", *SHORT, *arguments, "--out", str(folder / "out"))
    assert done.returncode in (0, 3), done.stderr
    return folder / "out"


@pytest.mark.parametrize("what", UNUSUAL)
def test_a_report_is_written_of_whatever_was_run(sharpseek: Run, tmp_path: Path, what: str) -> None:
    directory = reproduced(sharpseek, tmp_path, UNUSUAL[what])
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "sharpseek.report", directory, "--no-figures"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = (directory / "report.html").read_text(encoding="utf-8")
    verdicts = json.loads((directory / "verdicts.json").read_text(encoding="utf-8"))
    for claim in verdicts["claims"]:
        assert claim["sentence"]
        numbers = [e["estimate"] for e in claim["evidence"] if None not in (e["estimate"], e["low"], e["high"])]
        if not numbers:
            assert claim["outcome"] == "undecided"
    if what in REASONS:
        name, words = REASONS[what]
        assert words in next(c["sentence"] for c in verdicts["claims"] if c["claim"] == name).lower()
    assert "nan" not in page.split("<main>")[1].split("<script")[0]


def test_every_mean_of_the_page_is_that_of_its_file(sharpseek: Run, tmp_path: Path) -> None:
    """Recomputed by h5py and SciPy alone, with no drifts in the files so that usable is stationary."""
    directory = reproduced(sharpseek, tmp_path, [*UNUSUAL["totals and rotations"], *LONGER])
    file = directory / "linear-2" / "run.h5"
    with h5py.File(file, "a") as run:
        for name in [n for n in run if n.endswith("_drift")]:
            del run[name]
        for name in ("trace", "sharpness", "gradient_fluctuation"):  # whether a point has arrived is not the question
            run[name][:] = run[name][:, -1:]
        values = {name: run[name][()] for name in run if isinstance(run[name], h5py.Dataset) and run[name].ndim == 1}
    good = (values["stationary"] == 1) & (values["status"] == 0)
    assert 0 < good.sum() < good.size
    (experiment,) = open_reproduction(directory)[1]
    axes = ("condition", "total", "rotation", "init_imbalance")
    texts = {"rotation": np.array([v.decode() for v in values["rotation"]])}

    def here(**point: object) -> np.ndarray:
        return np.all([texts.get(axis, values.get(axis)) == value for axis, value in point.items()], axis=0)

    def same(row: dict, numbers: np.ndarray) -> None:
        expected = [numbers.mean() if numbers.size else np.nan, np.nan, np.nan]
        if numbers.size > 1:
            expected[1:] = stats.t.interval(0.95, numbers.size - 1, numbers.mean(), stats.sem(numbers))
        np.testing.assert_allclose([row["mean"], row["low"], row["high"]], expected)

    table = summary_table([experiment])
    assert len(table) == 4 * 2 * 2 * 2 * 2
    for row in table.to_dict("records"):
        chosen = here(**{axis: row[axis] for axis in axes})
        same(row, values[f"{row['quantity']}_mean"][chosen & good])
        assert (row["replicas"], row["usable"]) == (chosen.sum(), (chosen & good).sum())
    for row in prediction_table(experiment).to_dict("records"):
        words = dict(part.split(" ", 1) for part in row["setting"].split(", "))
        chosen = here(condition=float(words["condition"]), total=float(words["total"]), rotation=words["rotation"])
        name = row["quantity"].replace(" ", "_")
        same(row, values[f"{name}_mean"][chosen & good])
        np.testing.assert_allclose(values[f"small_lr_limit_{name}"][chosen], row["predicted"])


def test_figures_of_hostile_text_are_printed(sharpseek: Run, tmp_path: Path) -> None:
    title = UNUSUAL["a title with dollars, tags, quotes"]
    directory = reproduced(sharpseek, tmp_path, [*title, "--set=experiment.replicas=1", "--set=experiment.name==1+1"])
    subprocess.run([sys.executable, "-m", "sharpseek.report", directory], check=True)
    with open(directory / "figures" / "trend.csv", encoding="utf-8", newline="") as file:
        series = {row["series"] for row in csv.DictReader(file)}
    assert series == {"'=1+1, flat start", "'=1+1, sharp start"}
