"""Where sharpening ends: the small-rate limit of a two-layer linear network, reduced to one small matrix.

For f = W_2 W_1 x with x ~ (0, I) and a teacher V [m, n] of rank m, a global minimum is known, up to rotations of its
hidden units, by A = W_2 W_2'. SGD's slow flow along the minima closes in A (docs/beyond.md, "Two layers"):

    dA / d tau = -(N A + A N'),   A N A + N G = 2 A Z' A - 2 Tr(S) G,   G = V V',
    Z = sum_j X_j (A + b_j I),   (A + b_j I) X_j + X_j (A + b_j I) = 2 S,

S the noise covariance, b_j the n eigenvalues of V' A^(-1) V. Nothing here divides by S: the limit exists where outputs
have no noise at all, which is where an infinite condition number leads. No formula is shared with the C++ program,
whose `sharpseek theory` does this for any depth and input covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Of an implicit step: changes of the logarithms that are still trusted.
_LONGEST_STEP = 0.2
_MOST_STEPS = 5000


@dataclass(frozen=True)
class Settled:
    """Where the flow ends. Units: loss = sum over outputs of squared error, no 1/2.

    `matrix` is A [m, m]; `relative_trace` the trace over the flattest minimum's; `relaxation_rate` the rate of the
    slowest mode per unit of rescaled time, learning rate^2 x steps / batch.
    """

    matrix: np.ndarray
    trace: float
    sharpness: float
    relative_trace: float
    relaxation_rate: float


def drift(a: np.ndarray, teacher: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """dA / d tau [m, m]."""
    outputs, inputs = teacher.shape
    identity, gram = np.eye(outputs), teacher @ teacher.T
    # The Lyapunov equations of all b_j in the eigenbasis of A; inputs that the network does not read have b_j = 0.
    values, vectors = np.linalg.eigh(a)
    rotated = vectors.T @ noise @ vectors
    seen = np.linalg.eigvals(np.linalg.solve(a, gram)).real
    z = np.zeros_like(a)
    for b in np.concatenate([seen, np.zeros(inputs - outputs)]):
        k = values + b
        z += 2 * rotated / (k[:, None] + k) * k
    z = vectors @ z @ vectors.T
    force = 2 * a @ z.T @ a - 2 * np.trace(noise) * gram
    generator = np.linalg.solve(np.kron(a, a) + np.kron(identity, gram), force.ravel()).reshape(a.shape)
    return -(generator @ a + a @ generator.T)


def settle(teacher: np.ndarray, noise: np.ndarray) -> Settled:
    """Follows the flow from the flattest minimum to its end by implicit steps that grow into Newton's.

    teacher V [m, n] of rank m, noise S [m, m], symmetric, not negative, not zero; it may be singular. Raises ValueError
    where there is no end: a singular S whose range V V' maps into itself sharpens without bound.
    """
    outputs, inputs = teacher.shape
    if np.linalg.matrix_rank(teacher) < outputs:
        raise ValueError(f"teacher {outputs} x {inputs}: must have rank {outputs}")
    gram = teacher @ teacher.T
    scaled = noise / np.trace(noise)
    lower, diagonal = np.tril_indices(outputs), np.diag_indices(outputs)

    def factor(z: np.ndarray) -> np.ndarray:
        """The Cholesky factor L of A from its lower triangle with logarithms on the diagonal."""
        root = np.zeros_like(gram)
        root[lower] = z
        root[diagonal] = np.exp(root[diagonal])
        return root

    def flow(z: np.ndarray) -> np.ndarray:
        """d z / d tau: L^-1 dA L^-T = P + P' with P = L^-1 dL lower triangular."""
        root = factor(z)
        change = np.linalg.solve(root, np.linalg.solve(root, drift(root @ root.T, teacher, scaled)).T).T
        half = np.tril(change, -1) + np.diag(np.diag(change)) / 2
        change = root @ half
        change[diagonal] /= root[diagonal]
        return change[lower]

    def jacobian(z: np.ndarray) -> np.ndarray:
        columns = []
        for k, size in enumerate(1e-6 * np.maximum(1, np.abs(z))):
            step = size * np.eye(len(z))[k]
            columns.append((flow(z + step) - flow(z - step)) / (2 * size))
        return np.array(columns).T

    # The flattest minimum: A = (n / m)^(-1/2) (V V')^(1/2).
    values, vectors = np.linalg.eigh(gram)
    start = np.linalg.cholesky(np.sqrt(outputs / inputs) * (vectors * np.sqrt(values)) @ vectors.T)
    start[diagonal] = np.log(start[diagonal])
    z, pause = start[lower], 0.1
    speed = flow(z)
    for _ in range(_MOST_STEPS):
        slope = jacobian(z)
        step = np.linalg.solve(np.eye(len(z)) / pause - slope, speed)
        if np.abs(step).max() > _LONGEST_STEP:
            pause /= 4
            continue
        z = z + step
        slower = flow(z)
        pause *= 2 if np.linalg.norm(slower) > 0.5 * np.linalg.norm(speed) else 8
        speed = slower
        if np.abs(step).max() < 1e-11 and pause > 1e4:
            break
        if np.abs(z).max() > 40:
            raise ValueError("sharpens without bound: noise and signal commute on the outputs without noise")
    else:
        raise ValueError(f"not settled in {_MOST_STEPS} steps")

    root = factor(z)
    a = root @ root.T
    below = np.linalg.eigvals(np.linalg.solve(a, gram)).real
    trace = 2 * (inputs * np.trace(a) + outputs * below.sum())
    flattest = 4 * np.sqrt(inputs * outputs) * np.sqrt(values).sum()
    return Settled(
        matrix=a,
        trace=float(trace),
        sharpness=float(2 * (np.linalg.eigvalsh(a).max() + below.max())),
        relative_trace=float(trace / flattest),
        relaxation_rate=float(-np.linalg.eigvals(jacobian(z)).real.max() * np.trace(noise)),
    )


def small_angle_trace(teacher: np.ndarray, noisy: np.ndarray) -> float:
    """The trace at which sharpening saturates for two outputs and inputs, one direction of noise, nearly commuting.

    With the unit vector e = `noisy` along all noise and q across it, G = V V':

        trace = 4 sqrt(G_qq / 2) (5 G_ee + G_qq) / |G_eq| + O(1),

    so one over the angle between noise and signal; the O(1) tends to a constant as G_eq goes to 0.
    """
    if teacher.shape != (2, 2):
        raise ValueError(f"teacher {teacher.shape[0]} x {teacher.shape[1]}: must be 2 x 2")
    gram = teacher @ teacher.T
    quiet = np.array([-noisy[1], noisy[0]])
    along, across, mixed = noisy @ gram @ noisy, quiet @ gram @ quiet, noisy @ gram @ quiet
    return float(4 * np.sqrt(across / 2) * (5 * along + across) / abs(mixed))
