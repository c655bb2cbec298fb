"""Three functionals of two-layer linear networks with x ~ N(0, I), and their least values on the set of minima:
Tr H, the gradient fluctuation E|grad l|^2, and Tr Diag(H)^(1/2), which Adam is said to minimise (arXiv:2511.02773).

Units: loss = sum over outputs of squared error, no 1/2. NumPy and SciPy only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize

NAMES = ("trace", "fluctuation", "half")
STARTS = 8
"""Random starts of a minimisation: Tr Diag(H)^(1/2) is not convex."""


def values_at(first: np.ndarray, last: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    """The functionals at W_1 [.., hidden, inputs], W_2 [.., outputs, hidden] that fit the teacher, label noise S."""
    outputs, inputs = last.shape[-2], first.shape[-1]
    rows, columns = (first**2).sum(axis=-1), (last**2).sum(axis=-2)  # [.., hidden]
    noisy = np.einsum("...ih,ij,...jh->...h", last, noise, last)
    return {
        "trace": 2 * (outputs * rows + inputs * columns).sum(axis=-1),
        "fluctuation": 4 * (np.trace(noise) * rows + inputs * noisy).sum(axis=-1),
        "half": np.sqrt(2) * (outputs * np.sqrt(rows) + inputs * np.sqrt(columns)).sum(axis=-1),
    }


def least(teacher: np.ndarray, noise: np.ndarray) -> dict[str, float]:
    """The least value of each over W_2 W_1 = V, V square and regular.

    Computed with as many hidden units as outputs; more of them lower none of the three (numerically: the tests).
    """
    return dict(zip(NAMES, _least(_frozen(teacher), _frozen(noise)), strict=True))


Frozen = tuple[tuple[float, ...], ...]


def _frozen(matrix: np.ndarray) -> Frozen:
    return tuple(map(tuple, matrix.tolist()))


@lru_cache(maxsize=64)
def _least(teacher: Frozen, noise: Frozen) -> tuple[float, ...]:
    v, s = np.array(teacher), np.array(noise)
    if v.shape[0] != v.shape[1]:
        raise ValueError(f"teacher {v.shape[0]} x {v.shape[1]}: must be square")

    def functional(z: np.ndarray, name: str) -> float:
        first = z.reshape(v.shape)
        if abs(np.linalg.det(first)) < 1e-9:
            return 1e9
        return float(values_at(first, v @ np.linalg.inv(first), s)[name])

    generator = np.random.default_rng(0)
    starts = generator.normal(size=(STARTS, v.size))
    return tuple(
        min(float(optimize.minimize(functional, z, args=(name,), method="BFGS").fun) for z in starts)
        for name in NAMES
    )  # fmt: skip
