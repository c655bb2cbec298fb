"""The closed form of the minimal-fluctuation solution in NumPy: an independent check of `sharpseek theory`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClosedForm:
    """Units: loss = mean over samples of the sum over outputs of squared error. `weights` are W_1 .. W_D."""

    trace: float
    flattest_trace: float
    gradient_fluctuation: float
    sharpness: float
    weights: list[np.ndarray]


def symmetric_power(matrix: np.ndarray, power: float) -> np.ndarray:
    """The power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**power) @ vectors.T


def closed_form(depth: int, teacher: np.ndarray, input_covariance: np.ndarray, noise: np.ndarray) -> ClosedForm:
    """Minimum of the gradient fluctuation over all global minima of f = W_D ... W_1 x.

    teacher V [outputs, inputs], input_covariance [inputs, inputs], noise [outputs, outputs]; depth >= 2
    (docs/theory.md, "Closed form"). Raises ValueError for depth < 2.
    """
    if depth < 2:
        raise ValueError(f"depth = {depth}: must be at least 2")
    outputs = teacher.shape[0]
    root_x, root_e = symmetric_power(input_covariance, 0.5), symmetric_power(noise, 0.5)
    p, s, qt = np.linalg.svd(root_e @ teacher @ root_x, full_matrices=False)
    keep = s > 1e-12 * s[0]
    p, s, qt = p[:, keep], s[keep], qt[keep]
    total = s.sum()
    c = (np.trace(noise) * np.trace(input_covariance)) ** (1 / depth) * total ** (2 * (depth - 1) / depth)
    inverse = np.linalg.inv(noise)
    trace = 2 * c * ((depth - 1) * np.trace(inverse @ (p * s) @ p.T) / total + outputs / np.trace(noise))
    nuclear = np.linalg.svd(teacher @ root_x, compute_uv=False).sum()
    flattest = 2 * depth * (outputs * np.trace(input_covariance)) ** (1 / depth) * nuclear ** (2 * (depth - 1) / depth)

    # p_i = p_D (T^2/c)^(D-i);  a_i = sqrt(p_i S'/T)
    a = {i: np.sqrt(np.trace(noise) * (total**2 / c) ** (depth - i) * s / total) for i in range(1, depth)}
    weights = [(s / a[1])[:, None] * qt @ symmetric_power(input_covariance, -0.5)]
    weights += [np.diag(a[i - 1] / a[i]) for i in range(2, depth)]
    weights.append(symmetric_power(noise, -0.5) @ (p * a[depth - 1]))
    return ClosedForm(
        float(trace), float(flattest), float(4 * depth * c), linear_sharpness(weights, input_covariance), weights
    )


def linear_sharpness(weights: list[np.ndarray], input_covariance: np.ndarray) -> float:
    """Largest Hessian eigenvalue at a global minimum."""
    return float(linear_spectrum(weights, input_covariance)[-1])


def linear_spectrum(weights: list[np.ndarray], input_covariance: np.ndarray) -> np.ndarray:
    """The Hessian's eigenvalues at a global minimum but for zeros, in rising order: those of K = 2 sum_i A_i A_i' kron
    (R B_i'B_i R), R = Sigma_x^(1/2)."""
    root = symmetric_power(input_covariance, 0.5)
    depth = len(weights)
    k = np.zeros((len(weights[-1]) * len(root),) * 2)
    for i in range(depth):
        after = np.eye(weights[-1].shape[0])
        for w in reversed(weights[i + 1 :]):
            after = after @ w
        before = np.eye(input_covariance.shape[0])
        for w in weights[:i]:
            before = w @ before
        k = k + 2 * np.kron(after @ after.T, root @ before.T @ before @ root)
    return np.linalg.eigvalsh(k)
