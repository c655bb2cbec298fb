"""What arXiv:2602.05065 says of deep linear networks, in its own units.

Its loss has a factor 1/2, so that its sharpness T is half of our `trace`, its lambda_max half of our `sharpness`, and a
learning rate in its tables twice ours. Theorem 1's weights are those of Theorem 12 of arXiv:2505.12387; `theory.py`
holds them.
"""

from __future__ import annotations

import numpy as np

from sharpseek.theory import closed_form, linear_spectrum, symmetric_power

RANK = 1e-12
"""Singular values below this share of the largest are zero."""


def in_their_units(curvature: np.ndarray | float) -> np.ndarray | float:
    """T of a trace, and lambda_max of a sharpness: half of them."""
    return curvature / 2


def theorem_1(depth: int, teacher: np.ndarray, input_covariance: np.ndarray, noise: np.ndarray) -> float:
    """T of every minimum of the entropic loss as the learning rate goes to 0 (Theorem 1, equation 14)."""
    return closed_form(depth, teacher, input_covariance, noise).trace / 2


def flattest(depth: int, teacher: np.ndarray, input_covariance: np.ndarray) -> float:
    """T_min, the T of the flattest global minimum (equation 15)."""
    nuclear = np.linalg.svd(teacher @ symmetric_power(input_covariance, 0.5), compute_uv=False).sum()
    size = teacher.shape[0] * np.trace(input_covariance)
    return float(depth * nuclear ** (2 * (depth - 1) / depth) * size ** (1 / depth))


def largest_eigenvalue(depth: int, signal: np.ndarray, inputs: np.ndarray, noise: np.ndarray) -> float:
    """lambda_max in closed form where everything commutes (Corollary 3, equation 72).

    `signal`: the singular values s_k of V Sigma_x^(1/2), `inputs` and `noise` the variances of the input and of the
    label noise along their directions, in the same order; the three are equally long.
    """
    joint = np.sqrt(noise) * signal
    total, factor = joint.sum(), _product(depth, joint.sum(), noise.sum(), inputs.sum())
    # p_i = |Sigma_eps^(1/2) A_i|^2 of layer i; p_D = Tr Sigma_eps, each one below it larger by total^2 / factor.
    p = noise.sum() * (total**2 / factor) ** (depth - np.arange(1, depth + 1))
    # Along output k and input l, layer i contributes (A_i A_i')_kk (B_i B_i')_ll.
    above = p[:-1, None] * signal / (np.sqrt(noise) * total)  # [layer < D, k]
    below = joint * total / p[:-1, None]  # [layer > 1, l]
    hessian = np.outer(above[0], inputs) + np.outer(np.ones_like(signal), below[-1])
    for i in range(1, depth - 1):
        hessian += np.outer(above[i], below[i - 1])
    return float(hessian.max())


def largest_two(
    depth: int, teacher: np.ndarray, input_covariance: np.ndarray, noise: np.ndarray
) -> tuple[float, float]:
    """The two largest Hessian eigenvalues at Theorem 1's minima, the larger first, in its units. The second is 0 where
    the Hessian has one eigenvalue only."""
    weights = closed_form(depth, teacher, input_covariance, noise).weights
    values = np.concatenate([[0.0], linear_spectrum(weights, input_covariance)])
    return float(values[-1] / 2), float(values[-2] / 2)


def _product(depth: int, total: float, noise: float, inputs: float) -> float:
    """What each layer contributes to the fluctuation."""
    return float((noise * inputs) ** (1 / depth) * total ** (2 * (depth - 1) / depth))


def expected_at_start(depth: int, outputs: int, inputs: int, width: int, input_trace: float, scale: float) -> float:
    """Mean T of random weights of variance scale^2 / fan-in: the labels do not enter (Proposition 1).

    For equal widths d it is D d_y Tr Sigma_x (d sigma^2)^(D - 1), their formula.
    """
    return float(outputs * input_trace * scale ** (2 * (depth - 1)) * (1 + (depth - 1) * width / inputs))


def power_laws(depth: int, noise: float, inputs: float, signal: float) -> tuple[float, float]:
    """(k1, k2) of T = Theta((D - 1) d^k1 + d^k2) for variances i^-noise of the label noise, i^-inputs of the input and
    singular values i^-signal of the teacher, i = 1 .. d, all along the same axes (Corollary 4, worked out from Theorem
    1). A sum of i^-x grows as d^(1 - x) for x below 1, otherwise not (at 1 as a logarithm)."""

    def sum_of(x: float) -> float:
        return max(0.0, 1 - x)

    joint = sum_of((noise + inputs) / 2 + signal)
    common = (sum_of(noise) + sum_of(inputs)) / depth + 2 * (depth - 1) / depth * joint
    return common + sum_of((inputs - noise) / 2 + signal) - joint, common + 1 - sum_of(noise)
