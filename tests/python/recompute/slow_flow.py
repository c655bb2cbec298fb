"""The slow flow of a linear network of any depth along its minima, from weights: equation (1) of docs/theory.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import integrate, linalg


class Chain:
    """f = W_D .. W_1 R with the target V R."""

    def __init__(self, weights: Sequence[np.ndarray], teacher: np.ndarray, inputs: np.ndarray, noise: np.ndarray):
        """Shapes of the weights, and what they are to fit."""
        self.shapes = [w.shape for w in weights]
        self.root = np.real(linalg.sqrtm(inputs))
        self.target, self.noise = teacher @ self.root, noise

    def split(self, theta: np.ndarray) -> list[np.ndarray]:
        """W_1 .. W_D of a vector."""
        sizes = np.cumsum([rows * columns for rows, columns in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(theta, sizes), self.shapes, strict=True)]

    def product(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """Of matrices, the first of which is applied first, and R."""
        found = self.root
        for w in matrices:
            found = w @ found
        return found

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """Of the product, row by row."""
        weights, blocks = self.split(theta), []
        for i, (_, columns) in enumerate(self.shapes):
            above = np.eye(self.target.shape[0])
            for w in reversed(weights[i + 1 :]):
                above = above @ w
            below = self.product(weights[:i])
            assert below.shape[0] == columns
            blocks.append(np.kron(above, below.T))
        return np.hstack(blocks)

    def retracted(self, theta: np.ndarray) -> np.ndarray:
        """Newton's way to the minima."""
        for _ in range(30):
            error = self.product(self.split(theta)) - self.target
            theta = theta - np.linalg.pinv(self.jacobian(theta), rcond=1e-10) @ error.ravel()
        return theta

    def velocity(self, theta: np.ndarray) -> np.ndarray:
        """-1/2 P_T grad <Hess L, S> with H S + S H = C."""
        jacobian = self.jacobian(theta)
        u, s, vt = np.linalg.svd(jacobian, full_matrices=False)
        keep = s > 1e-9 * s[0]
        u, s, vt = u[:, keep], s[keep], vt[keep]
        curvature = 2 * s**2
        noise = u.T @ np.kron(self.noise, np.eye(self.target.shape[1])) @ u
        spread = 4 * np.outer(s, s) * noise / (curvature[:, None] + curvature)
        values, directions = np.linalg.eigh(spread)
        along = directions.T @ vt
        # d <2 J'J, S> = 4 sum_k s_k (J v_k) . (dJ v_k): central differences of J, a polynomial of degree D - 1.
        pushed = jacobian @ along.T
        gradient, step = np.zeros_like(theta), 1e-4
        for p in range(theta.size):
            change = np.zeros_like(theta)
            change[p] = step
            slope = (self.jacobian(theta + change) - self.jacobian(theta - change)) / (2 * step)
            gradient[p] = 4 * np.sum(values * np.sum(pushed * (slope @ along.T), axis=0))
        return -0.5 * (gradient - vt.T @ (vt @ gradient))

    def trace(self, theta: np.ndarray) -> float:
        """Of the Hessian at a minimum."""
        return float(2 * (self.jacobian(theta) ** 2).sum())


KNOWN: dict[bytes, list[float]] = {}


def traces_of_flow(
    weights: Sequence[np.ndarray], teacher: np.ndarray, inputs: np.ndarray, noise: np.ndarray, times: Sequence[float]
) -> list[float]:
    """The trace at the minimum next to the weights, and at rescaled times along the flow."""
    key = b"".join(np.asarray(m, dtype=float).tobytes() for m in (*weights, teacher, inputs, noise, np.array(times)))
    if key not in KNOWN:
        chain = Chain(weights, teacher, inputs, noise)
        theta = chain.retracted(np.concatenate([np.asarray(w, dtype=float).ravel() for w in weights]))
        found, now = [chain.trace(theta)], 0.0
        for time in times:
            path = integrate.solve_ivp(
                lambda _, x: chain.velocity(x), (now, time), theta, method="DOP853", rtol=1e-7, atol=1e-9
            )
            theta, now = chain.retracted(path.y[:, -1]), time
            found.append(chain.trace(theta))
        KNOWN[key] = found
    return KNOWN[key]
