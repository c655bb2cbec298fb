"""A user's table with several targets, made ready for the test: does SGD end sharper under the noise that was measured?

The table is standardised, a linear teacher V is fitted by least squares, and what it leaves of the targets is taken for
label noise: its covariance Sigma has an imbalance, from which the closed form of linear networks predicts the sharpness
under that noise and under isotropic noise of the same total.
"""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sharpseek.files import SharpseekFileError
from sharpseek.tables import read_table as read_table
from sharpseek.tables import visible
from sharpseek.theory import ClosedForm, closed_form

SINGULAR = 1e-12
"""Share of the largest eigenvalue of a covariance below which the smallest one is rounding."""
EXACT = 1e-7
"""Standard deviation of what is left of a standardised target below which it is rounding."""


@dataclass(frozen=True)
class Problem:
    """A regression problem with measured label noise. All numbers are in standardised units (mean 0, variance 1)."""

    inputs: list[str]
    targets: list[str]
    samples: np.ndarray
    """[N, inputs + targets]"""
    teacher: np.ndarray
    """V [targets, inputs]: least squares."""
    explained: np.ndarray
    """[targets] share of the variance that V explains."""
    noise: np.ndarray
    """Sigma [targets, targets]: residual covariance, divided by N - inputs - 1."""

    @property
    def total(self) -> float:
        """Tr Sigma."""
        return float(np.trace(self.noise))

    @property
    def imbalance(self) -> float:
        """Largest over smallest eigenvalue of Sigma: kappa."""
        eigenvalues = np.linalg.eigvalsh(self.noise)
        return float(eigenvalues[-1] / eigenvalues[0])

    @property
    def isotropic(self) -> np.ndarray:
        """Noise of the same total without preferred direction."""
        return np.eye(len(self.targets)) * self.total / len(self.targets)

    def predictions(self, depth: int = 2) -> dict[str, ClosedForm]:
        """The closed form of a linear network under the measured and under isotropic noise."""
        x = self.samples[:, : len(self.inputs)]
        moment = x.T @ x / len(x)
        kinds = {"measured": self.noise, "isotropic": self.isotropic}
        return {name: closed_form(depth, self.teacher, moment, sigma) for name, sigma in kinds.items()}


def make_problem(table: pd.DataFrame, targets: list[str], inputs: list[str] | None = None) -> Problem:
    """Standardises the table and fits the teacher. `inputs` defaults to all other columns.

    Raises SharpseekFileError for unknown, repeated, constant or linearly dependent columns, fewer than two targets, no
    input, too few rows, and targets whose residuals have a singular covariance.
    """
    inputs = inputs or [name for name in table.columns if name not in targets]
    for name in [*inputs, *targets]:
        if name not in table.columns:
            known = ", ".join(visible(str(other)) for other in table.columns)
            raise SharpseekFileError(f"column {visible(name)}: not in the table, which has {known}")
        if name in inputs and name in targets:
            raise SharpseekFileError(f"column {name}: is both an input and a target")
        for kind, names in (("inputs", inputs), ("targets", targets)):
            if names.count(name) > 1:
                raise SharpseekFileError(f"column {name}: is given twice among the {kind}")
        if list(table.columns).count(name) > 1:
            raise SharpseekFileError(f"column {name}: is more than once in the table")
        if table[name].isna().any():
            raise SharpseekFileError(f"column {name}: has no number in row {int(table[name].isna().argmax()) + 1}")
        if table[name].nunique() < 2:
            raise SharpseekFileError(f"column {name}: is constant")
    if len(targets) < 2:
        raise SharpseekFileError(f"targets {', '.join(targets)}: the imbalance of noise needs at least two")
    if not inputs:
        raise SharpseekFileError(f"targets {', '.join(targets)}: are all columns of the table; no input is left")
    freedom = len(table) - len(inputs) - 1
    if freedom < len(targets):
        raise SharpseekFileError(f"{len(table)} rows: too few for {len(inputs)} inputs and {len(targets)} targets")
    values = table[[*inputs, *targets]].to_numpy(dtype=float)
    with np.errstate(all="ignore"):
        values = (values - values.mean(axis=0)) / values.std(axis=0)
    for name, column in zip([*inputs, *targets], values.T, strict=True):
        if not np.isfinite(column).all():
            raise SharpseekFileError(f"column {name}: its values are too large or too near one another to standardise")
    x, y = values[:, : len(inputs)], values[:, len(inputs) :]
    if dependent := _dependent(x, inputs):
        raise SharpseekFileError(
            f"columns {', '.join(dependent)}: are linearly dependent; leave out one of these inputs"
        )
    teacher = np.linalg.lstsq(x, y, rcond=None)[0].T
    residuals = y - x @ teacher.T
    left = residuals.std(axis=0)
    for name, spread in zip(targets, left, strict=True):
        if spread <= max(EXACT, SINGULAR**0.5 * left.max()):
            raise SharpseekFileError(f"column {name}: the inputs explain this target exactly, which leaves no noise")
    if dependent := _dependent(residuals, targets):
        raise SharpseekFileError(
            f"columns {', '.join(dependent)}: what the inputs leave of these targets is linearly dependent (the "
            f"covariance of the noise is singular); leave out one of them"
        )
    return Problem(
        list(inputs), list(targets), values, teacher, 1 - residuals.var(axis=0), residuals.T @ residuals / freedom
    )


def _dependent(columns: np.ndarray, names: list[str]) -> list[str]:
    """Which columns take part in a linear relation; none if they are independent."""
    eigenvalues, vectors = np.linalg.eigh(columns.T @ columns)
    if eigenvalues[0] > SINGULAR * eigenvalues[-1]:
        return []
    shares = np.abs(vectors[:, 0]) * columns.std(axis=0)
    return [name for name, share in zip(names, shares, strict=True) if share > 1e-4 * shares.max()]


def write_problem(problem: Problem, directory: str | Path) -> Path:
    """Writes samples.csv, teacher.csv, noise.csv, isotropic.csv and test.ini, the experiment that runs the test.

    `directory` must not exist; it is written whole or not at all. Raises SharpseekFileError.
    """
    directory = Path(directory)
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in str(directory)):
        raise SharpseekFileError(
            f"{str(directory)!r}: test.ini can name no file with control characters or bytes that are not UTF-8; "
            "choose another --out"
        )
    if directory.exists():
        raise SharpseekFileError(f"{directory}: exists already; choose another --out")
    partial = directory.with_name(directory.name + ".partial")
    if partial.exists():
        raise SharpseekFileError(f"{partial}: exists already; remove it, or choose another --out")
    try:
        partial.mkdir(parents=True)
        try:
            _fill(partial, problem, directory)
            partial.rename(directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    except OSError as error:
        raise SharpseekFileError(f"{directory}: cannot be written ({error.strerror or error})") from error
    return directory


def file_value(path: Path) -> str:
    """The value of a configuration key that names a file: in quotes if it holds blanks or what begins a comment."""
    value = f"file:{path}"
    return '"' + value.replace('"', '""') + '"' if set(value) & set(' \t";#') else value


def _fill(folder: Path, problem: Problem, directory: Path) -> None:
    """Writes the files into `folder`, which will be named `directory`."""
    matrices = {
        "samples": problem.samples,
        "teacher": problem.teacher,
        "noise": problem.noise,
        "isotropic": problem.isotropic,
    }
    for name, matrix in matrices.items():
        np.savetxt(folder / f"{name}.csv", matrix, delimiter=",", fmt="%.17g")
    targets = " ".join(", ".join(problem.targets).split())
    (folder / "test.ini").write_text(
        f"""; Does SGD end sharper under the measured noise? Targets: {targets}.
[experiment]
name = test
title = Measured noise against isotropic noise of the same total
replicas = 8

[data]
inputs = {len(problem.inputs)}
outputs = {len(problem.targets)}
dataset = {file_value(directory / "samples.csv")}
teacher = {file_value(directory / "teacher.csv")}

[noise]
covariance = {file_value(directory / "isotropic.csv")} {file_value(directory / "noise.csv")}
distribution = measured

[model]
kind = linear
width = 8
depth = 2
init_imbalance = 1 3

[training]
learning_rate = 0.002
batch = 1
steps = 4000000
until = stationary

[measure]
every = 63500
quantities = excess_risk,spectrum,gradient
""",
        encoding="utf-8",
    )


def describe(problem: Problem) -> str:
    """What was found and what is predicted, as text."""
    lines = [
        f"{len(problem.samples)} samples, {len(problem.inputs)} inputs, {len(problem.targets)} targets",
        *(
            f"  {name}: {share:.1%} of the variance explained, noise variance {variance:.3f}"
            for name, share, variance in zip(problem.targets, problem.explained, np.diag(problem.noise), strict=True)
        ),
        f"noise total {problem.total:.3f}, imbalance kappa {problem.imbalance:.3g}",
    ]
    found = problem.predictions()
    lines += [
        f"predicted for a two-layer linear network under {name} noise: trace {form.trace:.4f}, sharpness "
        f"{form.sharpness:.4f}"
        for name, form in found.items()
    ]
    lines.append(
        f"predicted effect of the imbalance: trace x {found['measured'].trace / found['isotropic'].trace:.4f}, "
        f"sharpness x {found['measured'].sharpness / found['isotropic'].sharpness:.4f}"
    )
    return "\n".join(lines)
