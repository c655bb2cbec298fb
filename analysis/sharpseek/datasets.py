"""A user's table with several targets, made ready for the test: does SGD end sharper under the noise that was measured?

The table is standardised, a linear teacher V is fitted by least squares, and what it leaves of the targets is taken for
label noise: its covariance Sigma has an imbalance, from which the closed form of linear networks predicts the sharpness
under that noise and under isotropic noise of the same total.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sharpseek.files import SharpseekFileError
from sharpseek.theory import ClosedForm, closed_form


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


def read_table(path: str | Path) -> pd.DataFrame:
    """A CSV file with a header, or Parquet (needs pyarrow). Raises SharpseekFileError naming file and column."""
    path = Path(path)
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise SharpseekFileError(f"{path}: no such file") from None
    except ImportError:
        raise SharpseekFileError(f"{path}: reading Parquet needs the package pyarrow") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise SharpseekFileError(f"{path}: cannot be read ({error})") from None
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]) or not np.isfinite(table[name].astype(float)).all():
            raise SharpseekFileError(f"{path}: column {name}: must hold finite numbers only")
    return table


def make_problem(table: pd.DataFrame, targets: list[str], inputs: list[str] | None = None) -> Problem:
    """Standardises the table and fits the teacher. `inputs` defaults to all other columns.

    Raises SharpseekFileError for unknown or constant columns, fewer than two targets or too few rows.
    """
    inputs = inputs or [name for name in table.columns if name not in targets]
    for name in [*inputs, *targets]:
        if name not in table.columns:
            raise SharpseekFileError(f"column {name}: not in the table, which has {', '.join(map(str, table.columns))}")
        if table[name].nunique() < 2:
            raise SharpseekFileError(f"column {name}: is constant")
    if len(targets) < 2:
        raise SharpseekFileError(f"targets {', '.join(targets)}: the imbalance of noise needs at least two")
    freedom = len(table) - len(inputs) - 1
    if freedom < len(targets):
        raise SharpseekFileError(f"{len(table)} rows: too few for {len(inputs)} inputs and {len(targets)} targets")
    values = table[[*inputs, *targets]].to_numpy(dtype=float)
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    x, y = values[:, : len(inputs)], values[:, len(inputs) :]
    teacher = np.linalg.lstsq(x, y, rcond=None)[0].T
    residuals = y - x @ teacher.T
    return Problem(
        list(inputs), list(targets), values, teacher, 1 - residuals.var(axis=0), residuals.T @ residuals / freedom
    )


def write_problem(problem: Problem, directory: str | Path) -> Path:
    """Writes samples.csv, teacher.csv, noise.csv, isotropic.csv and test.ini, the experiment that runs the test."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=False)
    matrices = {
        "samples": problem.samples,
        "teacher": problem.teacher,
        "noise": problem.noise,
        "isotropic": problem.isotropic,
    }
    for name, matrix in matrices.items():
        np.savetxt(directory / f"{name}.csv", matrix, delimiter=",", fmt="%.17g")
    (directory / "test.ini").write_text(
        f"""; Does SGD end sharper under the measured noise? Targets: {", ".join(problem.targets)}.
[experiment]
name = test
title = Measured noise against isotropic noise of the same total
replicas = 8

[data]
inputs = {len(problem.inputs)}
outputs = {len(problem.targets)}
dataset = file:{directory}/samples.csv
teacher = file:{directory}/teacher.csv

[noise]
covariance = file:{directory}/isotropic.csv file:{directory}/noise.csv
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
"""
    )
    return directory


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
