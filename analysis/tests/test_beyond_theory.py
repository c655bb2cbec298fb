"""What B3 and B5c compare with: Hessians by finite differences, minima over more hidden units, closed cases."""

import numpy as np
import pytest
from scipy import optimize
from sharpseek.diagonal_functionals import NAMES, least, values_at
from sharpseek.softmax_theory import flattest_trace, normal_nodes, softmax, trace_at, whitened_condition

NOISE = np.diag([0.3, 2.0])


def second_differences(loss, z: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """The diagonal of the Hessian."""
    moves = step * np.eye(len(z))
    return np.array([(loss(z + m) + loss(z - m) - 2 * loss(z)) / step**2 for m in moves])


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("class_weights", [[1.0, 1.0, 1.0], [2.0, 0.5, 1.0]])
def test_the_trace_of_cross_entropy_is_that_of_finite_differences(depth: int, class_weights: list[float]) -> None:
    generator, w = np.random.default_rng(depth), np.array(class_weights)
    weights = [generator.normal(size=(2, 2)) for _ in range(depth - 1)] + [generator.normal(size=(3, 2))]
    x, chance = normal_nodes(2)

    def outputs(z: np.ndarray) -> np.ndarray:
        h = x
        for part in np.split(z, np.cumsum([m.size for m in weights])[:-1]):
            h = h @ part.reshape(-1, 2).T
        return h

    z = np.concatenate([m.ravel() for m in weights])
    # The class is drawn with p, its loss is weighted by w: the fit is q = w p / sum.
    q = softmax(outputs(z))
    labels = q / (q / w).sum(axis=1, keepdims=True)

    def loss(z: np.ndarray) -> float:
        return float(-chance @ (labels * np.log(softmax(outputs(z)))).sum(axis=1))

    assert trace_at(weights, w) == pytest.approx(second_differences(loss, z).sum(), rel=1e-4)


def test_two_layers_have_the_nuclear_norm_and_three_the_least_that_is_found() -> None:
    teacher, w = np.array([[2.0, 0.3], [-0.5, 1.0], [0.0, 0.0]]), np.ones(3)
    for depth in (2, 3):
        found = flattest_trace(depth, teacher, w)

        def trace(z: np.ndarray, depth: int = depth) -> float:
            hidden = z[: 4 * (depth - 1)].reshape(depth - 1, 2, 2)
            before = np.linalg.multi_dot([np.eye(2), *hidden[::-1], np.eye(2)])
            return trace_at([*hidden, (teacher + z[-2:]) @ np.linalg.inv(before)], w)

        generator = np.random.default_rng(depth)
        ends = []
        for _ in range(3):
            z = np.concatenate([(np.eye(2) + 0.3 * generator.normal(size=(depth - 1, 2, 2))).ravel(), np.zeros(2)])
            ends.append(optimize.minimize(trace, z, method="BFGS").fun)
        assert min(ends) == pytest.approx(found, rel=1e-5)
    # A shift of all logits changes nothing.
    assert flattest_trace(2, teacher + np.array([0.7, -2.0]), w) == pytest.approx(
        flattest_trace(2, teacher, w), rel=1e-9
    )


def test_whitening_makes_sampled_labels_even_and_nothing_else() -> None:
    teacher = np.array([[3.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
    assert whitened_condition(teacher, "sampled", None, np.ones(3)) == pytest.approx(1, abs=1e-9)
    assert whitened_condition(teacher, "sampled", None, np.array([5.0, 1.0, 1.0])) > 2
    # Little noise on the logits: labels move by H_out eps, so that whitened they have H^(1/2) S H^(1/2).
    small = 1e-6 * np.diag([1.0, 2.0, 3.0])
    x, chance = normal_nodes(2, 12)
    logs = []
    for point in x:
        q = softmax(teacher @ point)
        h = np.diag(q) - np.outer(q, q)
        spectrum = np.sort(np.linalg.eigvals(small @ h).real)[1:]
        logs.append(np.log(spectrum[1] / spectrum[0]))
    assert whitened_condition(teacher, "soft", small, np.ones(3)) == pytest.approx(np.exp(chance @ logs), rel=1e-3)


def test_functionals_are_those_of_a_numerical_hessian() -> None:
    generator = np.random.default_rng(0)
    first, last = generator.normal(size=(3, 2)), generator.normal(size=(2, 3))
    teacher = last @ first
    shape = first.size

    def loss(z: np.ndarray) -> float:
        error = z[shape:].reshape(2, 3) @ z[:shape].reshape(3, 2) - teacher
        return float((error**2).sum())

    diagonal = second_differences(loss, np.concatenate([first.ravel(), last.ravel()]), 1e-4)
    values = values_at(first, last, NOISE)
    assert values["trace"] == pytest.approx(diagonal.sum(), rel=1e-5)
    assert values["half"] == pytest.approx(np.sqrt(diagonal.clip(0)).sum(), rel=1e-5)
    x = generator.normal(size=(400_000, 2))
    noise = generator.normal(size=(400_000, 2)) * np.sqrt(np.diag(NOISE))
    one = ((x @ first.T) ** 2).sum(axis=1) * (noise**2).sum(axis=1)
    two = (x**2).sum(axis=1) * ((noise @ last) ** 2).sum(axis=1)
    assert values["fluctuation"] == pytest.approx(4 * (one + two).mean(), rel=0.02)


def test_more_hidden_units_lower_no_functional() -> None:
    teacher = np.array([[1.2, 0.4], [-0.3, 0.8]])
    bottom = least(teacher, NOISE)
    assert bottom["trace"] == pytest.approx(2 * 2 * 2 * np.linalg.svd(teacher)[1].sum(), rel=1e-6)
    for name in NAMES:

        def value(z: np.ndarray, name: str = name) -> float:
            """Four units: W_1 free, W_2 the fit that lies nearest to free weights."""
            first, free = z[:8].reshape(4, 2), z[8:].reshape(2, 4)
            last = free + (teacher - free @ first) @ np.linalg.pinv(first)
            return float(values_at(first, last, NOISE)[name])

        starts = np.random.default_rng(1).normal(size=(6, 16))
        ends = [optimize.minimize(value, z, method="BFGS").fun for z in starts]
        assert min(ends) >= bottom[name] * (1 - 1e-6), name
    with pytest.raises(ValueError, match="must be square"):
        least(np.ones((2, 3)), NOISE)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_the_edge_of_heavy_ball_on_one_direction(momentum: float, spread: float) -> None:
    """x' = x + v', v' = momentum v - rate h x with independent curvatures h of mean m and variance spread m^2: second
    moments neither grow nor shrink where E h^2 / m = 2 (1 - momentum) / rate + 2 momentum m / (1 + momentum)."""
    rate = 0.05
    # Solved for m: (1 + spread - 2 momentum / (1 + momentum)) m = 2 (1 - momentum) / rate.
    mean = 2 * (1 - momentum) / rate / (1 + spread - 2 * momentum / (1 + momentum))
    square = (1 + spread) * mean**2
    assert square / mean == pytest.approx(2 * (1 - momentum) / rate + 2 * momentum * mean / (1 + momentum))
    if spread == 0:
        assert mean == pytest.approx(2 * (1 + momentum) / rate)  # all samples

    def growth(scale: float) -> float:
        """Of E(x^2, x v, v^2) in a step, from two values of h that have these moments."""
        half = np.sqrt(spread) * mean
        steps = [
            np.array([[1 - rate * h, momentum], [-rate * h, momentum]])
            for h in scale * np.array([mean - half, mean + half])
        ]
        return float(np.abs(np.linalg.eigvals(sum(np.kron(a, a) for a in steps) / 2)).max())

    assert growth(0.98) < 1 - 1e-9 < growth(1.0) < 1 + 1e-9 < growth(1.02)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_variance_of_heavy_ball_on_one_direction(momentum: float) -> None:
    rate, h, c = 0.05, 3.0, 0.7
    step, noise = np.array([[1 - rate * h, momentum], [-rate * h, momentum]]), np.array([-rate, -rate])
    covariance = np.linalg.solve(np.eye(4) - np.kron(step, step), c * np.outer(noise, noise).ravel()).reshape(2, 2)
    e = rate / (1 - momentum)
    next_order = e * h * (1 - momentum) / (2 * (1 + momentum))
    assert covariance[0, 0] == pytest.approx(e * c / (2 * h) / (1 - next_order))
