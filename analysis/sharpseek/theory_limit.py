"""The limit of small learning rates of a deep linear network in NumPy: an independent check of `sharpseek theory`.

SGD with label noise moves along the set of global minima by the slow-manifold flow (Li, Wang, Arora, arXiv:2110.06914)

    d theta / d tau = -1/2 P_T grad < Hess L(theta), S >, S held fixed,   H S + S H = C,   tau = eta^2 steps / batch,

with H the Hessian, C the covariance of the gradient at a minimum and P_T the projector on the kernel of H
(docs/theory.md). L is a polynomial of the weights along any line, so that its derivatives here are exact finite
differences: no formula is shared with the C++ program.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp

from sharpseek.theory import symmetric_power


@dataclass(frozen=True)
class Limit:
    """Where the flow settles. Units: loss = mean over samples of the sum over outputs of squared error.

    `circulation` is |d theta / d tau| there; `settled` is False where trace, sharpness or fluctuation still changed by
    more than the tolerance over the last tenth of the time: then they are no limit. `rotation` are the antisymmetric
    Omega_1 .. Omega_(D-1) of d W_i / d tau = Omega_i W_i - W_i Omega_(i-1) at the end, by least squares.
    """

    trace: float
    sharpness: float
    gradient_fluctuation: float
    circulation: float
    weights: list[np.ndarray]
    rotation: list[np.ndarray]
    time: float
    settled: bool


def _kron(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """np.kron of matrices, without its overhead."""
    return (a[:, None, :, None] * b[:, None, :]).reshape(a.shape[0] * b.shape[0], -1)


class _Network:
    """L(theta) = |(W_D .. W_1 - V) R|^2 with R = Sigma_x^(1/2), for a stack of parameter vectors [..., P]."""

    def __init__(self, shapes: list[tuple[int, int]], teacher: np.ndarray, input_covariance: np.ndarray) -> None:
        self.shapes = shapes
        self.teacher = teacher
        self.root = symmetric_power(input_covariance, 0.5)

    def matrices(self, theta: np.ndarray) -> list[np.ndarray]:
        """W_1 .. W_D, each [..., out, in]."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        parts = np.split(theta, ends, axis=-1)
        return [part.reshape(*theta.shape[:-1], *shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _around(self, weights: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """After_i = W_D .. W_(i+1) and before_i = W_(i-1) .. W_1 R."""
        before = [self.root]
        for w in weights[:-1]:
            before.append(w @ before[-1])
        after = [np.eye(self.teacher.shape[0])]
        for w in reversed(weights[1:]):
            after.append(after[-1] @ w)
        return after[::-1], before

    def residual(self, theta: np.ndarray) -> np.ndarray:
        """(W_D .. W_1 - V) R."""
        weights = self.matrices(theta)
        return weights[-1] @ self._around(weights)[1][-1] - self.teacher @ self.root

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """grad L [..., P]."""
        weights = self.matrices(theta)
        after, before = self._around(weights)
        r = 2 * (weights[-1] @ before[-1] - self.teacher @ self.root)
        parts = [np.swapaxes(a, -1, -2) @ r @ np.swapaxes(b, -1, -2) for a, b in zip(after, before, strict=True)]
        return np.concatenate([part.reshape(*theta.shape[:-1], -1) for part in parts], axis=-1)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """d[(W_D .. W_1) R] / d theta: [outputs * inputs, P]."""
        after, before = self._around(self.matrices(theta))
        return np.concatenate([_kron(a, b.T) for a, b in zip(after, before, strict=True)], axis=1)


STENCILS = {
    3: np.array([1.0, -2.0, 1.0]),
    5: np.array([-1, 16, -30, 16, -1]) / 12,
    7: np.array([2, -27, 270, -490, 270, -27, 2]) / 180,
    9: np.array([-9, 128, -1008, 8064, -14350, 8064, -1008, 128, -9]) / 5040,
}
"""Second derivative by central differences of step 1, exact for polynomials of degree up to the number of points."""


def _velocity(network: _Network, theta: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """d theta / d tau, the eigenvalues of H and of <C> [P] on the normal space: (velocity, curvature, trace of C)."""
    j = network.jacobian(theta)
    outputs, inputs = noise.shape[0], network.root.shape[0]
    # Thin SVD: H = 2 J'J has eigenvalues 2 s^2 on the normal space.
    u, s, vt = np.linalg.svd(j, full_matrices=False)
    keep = s > 1e-9 * s[0]
    u, s, vt = u[:, keep], s[keep], vt[keep]
    h = 2 * s**2
    # C = 4 J' (Sigma_eps kron 1) J in the basis of the normal space.
    c = 4 * (s[:, None] * (u.T @ _kron(noise, np.eye(inputs)) @ u) * s)
    spread, directions = np.linalg.eigh(c / (h[:, None] + h))
    # grad <Hess L, S> = sum_k s_k d^2/dt^2 grad L(theta + t v_k): exact, grad L has degree 2 D - 1 in t.
    stencil = STENCILS[2 * len(network.shapes) - 1]
    steps = np.arange(len(stencil)) - len(stencil) // 2
    size = 0.05
    v = directions.T @ vt
    gradients = network.gradient(theta + size * steps[:, None, None] * v)  # [stencil, normal, P]
    g = np.einsum("k,skp,s->p", spread, gradients, stencil) / size**2
    tangent = g - vt.T @ (vt @ g)
    assert j.shape[0] == outputs * inputs
    return -0.5 * tangent, h, np.array([np.trace(c)])


def _retract(network: _Network, theta: np.ndarray) -> np.ndarray:
    """Newton's way back to the set of minima."""
    for _ in range(20):
        r = network.residual(theta).ravel()
        if np.abs(r).max() < 1e-12:
            break
        theta = theta - np.linalg.lstsq(network.jacobian(theta), r, rcond=1e-10)[0]
    return theta


def _rotation(network: _Network, theta: np.ndarray, velocity: np.ndarray) -> list[np.ndarray]:
    """The rotations of the hidden frames that explain a velocity best."""
    weights = network.matrices(theta)
    generators, columns = [], []
    for i, w in enumerate(weights[:-1]):
        for a, b in zip(*np.tril_indices(w.shape[0], -1), strict=True):
            omega = np.zeros((w.shape[0], w.shape[0]))
            omega[a, b], omega[b, a] = 1, -1
            change = [np.zeros_like(each) for each in weights]
            change[i], change[i + 1] = omega @ w, -weights[i + 1] @ omega
            generators.append((i, omega))
            columns.append(np.concatenate([each.ravel() for each in change]))
    result = [np.zeros((w.shape[0], w.shape[0])) for w in weights[:-1]]
    if columns:
        found = np.linalg.lstsq(np.stack(columns, axis=1), velocity, rcond=None)[0]
        for (i, omega), value in zip(generators, found, strict=True):
            result[i] += value * omega
    return result


def small_rate_limit(
    weights: list[np.ndarray], teacher: np.ndarray, input_covariance: np.ndarray, noise: np.ndarray, *,
    time: float = 60.0, step: float = 2e-3, tolerance: float = 1e-4,
) -> Limit:  # fmt: skip
    """Follows the flow from `weights` (W_1 .. W_D, 2 <= D <= 5; retracted to the minima first) for `time` by RK4.

    teacher V [outputs, inputs], input_covariance [inputs, inputs], noise [outputs, outputs]. Means over the last tenth
    of the time. Raises ValueError for another depth.
    """
    if not 2 <= len(weights) <= 5:
        raise ValueError(f"weights: {len(weights)} matrices, must be 2 to 5")
    network = _Network([w.shape for w in weights], teacher, input_covariance)
    theta = _retract(network, np.concatenate([w.ravel() for w in weights]))
    count = max(20, round(time / step))
    window = count - count // 10
    kept = []
    for i in range(count):
        k1, h, c = _velocity(network, theta, noise)
        if i >= window:
            kept.append((h.sum(), h.max(), c[0], np.linalg.norm(k1)))
        k2 = _velocity(network, theta + step / 2 * k1, noise)[0]
        k3 = _velocity(network, theta + step / 2 * k2, noise)[0]
        k4 = _velocity(network, theta + step * k3, noise)[0]
        theta = _retract(network, theta + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    values = np.array(kept)
    change = np.abs(np.diff(values[[0, -1], :3], axis=0) / values[-1, :3]).max()
    trace, sharpness, fluctuation, circulation = values.mean(axis=0)
    return Limit(
        float(trace), float(sharpness), float(fluctuation), float(circulation), network.matrices(theta),
        _rotation(network, theta, _velocity(network, theta, noise)[0]), time, bool(change < tolerance),
    )  # fmt: skip


def slow_flow_traces(
    weights: list[np.ndarray], teacher: np.ndarray, input_covariance: np.ndarray, noise: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """[time] trace along the slow flow from `weights` (retracted to the minima first) at rescaled times, the first of
    which is 0. Raises ValueError for depths other than 2 to 5."""
    if not 2 <= len(weights) <= 5:
        raise ValueError(f"weights: {len(weights)} matrices, must be 2 to 5")
    network = _Network([w.shape for w in weights], teacher, input_covariance)
    theta = _retract(network, np.concatenate([w.ravel() for w in weights]))
    found = [float((2 * network.jacobian(theta) ** 2).sum())]
    for begin, end in pairwise(times):
        path = solve_ivp(lambda _, x: _velocity(network, x, noise)[0], (begin, end), theta, rtol=1e-7, atol=1e-9)
        theta = _retract(network, path.y[:, -1])
        found.append(float((2 * network.jacobian(theta) ** 2).sum()))
    return np.array(found)
