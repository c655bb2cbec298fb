"""Cross-entropy for deep linear networks f = W_D .. W_1 x with x ~ N(0, I): the trace of the Hessian at weights, the
flattest weights with the same outputs, and the whitened condition number of label noise. NumPy and SciPy only.

With softmax outputs q(x) and class weights w the output Hessian is s(x) (diag q - q q'), s(x) = 1 / sum_c q_c / w_c
(docs/beyond.md, "Cross-entropy"). Traces are of the generalised Gauss-Newton matrix, which is the Hessian where the
network represents the labels' mean. Expectations over inputs are Gauss-Hermite sums.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import optimize

NODES = 20
"""Gauss-Hermite nodes of each input; of label noise, and for condition numbers, fewer."""
NODES_OF_CONDITION = 12
LEAST_ENTROPY = 1e-9
"""Largest over smallest eigenvalue of an output Hessian, inverted, below which its input says nothing numerically."""


@lru_cache(maxsize=8)
def normal_nodes(dimensions: int, nodes: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Points [k, dimensions] and weights [k] of the expectation over a standard normal vector."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    weights = weights / weights.sum()
    grid = np.stack(np.meshgrid(*[points] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    product = np.stack(np.meshgrid(*[weights] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    return grid, product.prod(axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def output_hessians(product: np.ndarray, class_weights: np.ndarray) -> np.ndarray:
    """[k, outputs, outputs] at the nodes, times their weights, for f = product x."""
    x, weights = normal_nodes(product.shape[1])
    q = softmax(x @ product.T)
    scale = weights / (q / class_weights).sum(axis=1)
    return scale[:, None, None] * (q[:, :, None] * np.eye(len(product)) - q[:, :, None] * q[:, None, :])


def trace_at(weights: list[np.ndarray], class_weights: np.ndarray) -> float:
    """Trace of the Gauss-Newton matrix: sum over layers of E[Tr(A' H_out A) |B x|^2], A after the layer, B before."""
    product = weights[0]
    for w in weights[1:]:
        product = w @ product
    hessians = output_hessians(product, class_weights)
    h = normal_nodes(product.shape[1])[0]
    befores = [h]
    for w in weights[:-1]:
        h = h @ w.T
        befores.append(h)
    after, total = np.eye(len(product)), 0.0
    for w, before in zip(reversed(weights), reversed(befores), strict=True):
        moment = np.einsum("k,kij->ij", (before**2).sum(axis=1), hessians)
        total += float(np.trace(after.T @ moment @ after))
        after = after @ w
    return total


def flattest_trace(depth: int, product: np.ndarray, class_weights: np.ndarray) -> float:
    """The least trace of `depth` matrices with the outputs of product x, up to what softmax ignores.

    Two layers: Tr(W_1 A W_1') + Tr(W_2' B W_2) has the minimum 2 |B^(1/2) M A^(1/2)|_nuclear, M = W_2 W_1. Deeper ones
    of hidden width equal to the inputs are minimised numerically.
    """
    if depth == 2:
        hessians = output_hessians(product, class_weights)
        x = normal_nodes(product.shape[1])[0]
        a = np.einsum("k,ki,kj->ij", np.trace(hessians, axis1=1, axis2=2), x, x)
        b = np.einsum("k,kij->ij", (x**2).sum(axis=1), hessians)
        return 2 * float(np.linalg.svd(_root(b) @ product @ _root(a), compute_uv=False).sum())
    inputs = product.shape[1]
    size = inputs * inputs

    def trace(z: np.ndarray) -> float:
        hidden = [z[i * size : (i + 1) * size].reshape(inputs, inputs) for i in range(depth - 1)]
        before = np.eye(inputs)
        for w in hidden:
            before = w @ before
        if abs(np.linalg.det(before)) < 1e-12:
            return 1e12
        shifted = product + z[-inputs:]  # the same shift of all logits
        return trace_at([*hidden, shifted @ np.linalg.inv(before)], class_weights)

    # Singular directions of the product, its values shared by the layers.
    centred = product - product.mean(axis=0)
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    share = values ** (1 / depth)
    start = [share[:, None] * right, *[np.diag(share)] * (depth - 2)]
    z = np.concatenate([*[w.ravel() for w in start], -product.mean(axis=0)])
    return float(optimize.minimize(trace, z, method="BFGS", options={"gtol": 1e-5}).fun)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def whitened_condition(teacher: np.ndarray, labels: str, noise: np.ndarray | None, class_weights: np.ndarray) -> float:
    """Largest over smallest eigenvalue of H_out^(-1/2) Sigma H_out^(-1/2) on the space that softmax sees; geometric
    mean over inputs. labels: sampled (Sigma is that of the drawn class) | soft (softmax(teacher x + N(0, noise)))."""
    frozen_noise = None if noise is None else _frozen(noise)
    return _whitened_condition(_frozen(teacher), labels, frozen_noise, _frozen(class_weights))


Frozen = tuple[tuple[float, ...], ...]


def _frozen(matrix: np.ndarray) -> Frozen:
    return tuple(map(tuple, np.atleast_2d(matrix).tolist()))


@lru_cache(maxsize=64)
def _whitened_condition(
    frozen_teacher: Frozen, labels: str, frozen_noise: Frozen | None, frozen_weights: Frozen
) -> float:
    teacher, class_weights = np.array(frozen_teacher), np.array(frozen_weights)[0]
    noise = None if frozen_noise is None else np.array(frozen_noise)
    x, weights = normal_nodes(teacher.shape[1], NODES_OF_CONDITION)
    logits = x @ teacher.T
    if labels == "sampled":
        p = softmax(logits)
        given, chance = np.broadcast_to(np.eye(p.shape[1]), (len(p), p.shape[1], p.shape[1])), p
    else:
        assert noise is not None
        values, vectors = np.linalg.eigh(noise)
        z, part = normal_nodes(len(noise), NODES_OF_CONDITION)
        given = softmax(logits[:, None, :] + (z * np.sqrt(values)) @ vectors.T)
        chance = np.broadcast_to(part, given.shape[:2])
    given = given * class_weights  # [x, draw, class]
    mean = np.einsum("kd,kdc->kc", chance, given)
    scale = mean.sum(axis=1)
    q = mean / scale[:, None]
    hessian = scale[:, None, None] * (q[:, :, None] * np.eye(q.shape[1]) - q[:, :, None] * q[:, None, :])
    gradient = given.sum(axis=2)[:, :, None] * q[:, None, :] - given
    sigma = np.einsum("kd,kdi,kdj->kij", chance, gradient, gradient)
    logs = np.array([_spread(h, s) for h, s in zip(hessian, sigma, strict=True)])
    known = np.isfinite(logs)
    return float(np.exp(weights[known] @ logs[known] / weights[known].sum()))


def _spread(hessian: np.ndarray, sigma: np.ndarray) -> float:
    """Log of the largest over the smallest eigenvalue of the whitened sigma; NaN where the labels are certain."""
    values, vectors = np.linalg.eigh(hessian)
    if values[1] < LEAST_ENTROPY * values[-1]:
        return np.nan
    kept = vectors[:, 1:] / np.sqrt(values[1:])  # the first direction is the shift of all logits
    spectrum = np.linalg.eigvalsh(kept.T @ sigma @ kept)
    return float(np.log(spectrum[-1] / spectrum[0]))
