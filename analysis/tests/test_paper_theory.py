"""The paper's formulas against its own numbers, against brute force and against each other."""

import numpy as np
import pytest
from sharpseek.paper_theory import expected_at_start, flattest, largest_eigenvalue, power_laws, theorem_1
from sharpseek.theory import closed_form, linear_sharpness


def test_the_setting_of_figure_2() -> None:
    # V = I, kappa 1e4, D = 3: T = 258 and T_min = 12.
    noise = np.diag([100.0, 0.01])
    assert theorem_1(3, np.eye(2), np.eye(2), noise) == pytest.approx(257.9, abs=0.05)
    assert flattest(3, np.eye(2), np.eye(2)) == pytest.approx(12)


@pytest.mark.parametrize(
    ("depth", "condition", "ratio"), [(2, 1e2, 2.35), (2, 1e4, 18.1), (2, 1e6, 176), (3, 1e2, 2.56), (3, 1e4, 20.4)]
)
def test_a_rotated_teacher(depth: int, condition: float, ratio: float) -> None:
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    teacher = np.array([[c, -s], [s, c]]) @ np.diag([1.5, 0.7])
    found = theorem_1(depth, teacher, np.eye(2), np.diag([1 / condition, 1.0])) / flattest(depth, teacher, np.eye(2))
    assert found == pytest.approx(ratio, rel=5e-3)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_the_largest_eigenvalue_is_that_of_the_closed_form_s_weights(depth: int) -> None:
    generator = np.random.default_rng(depth)
    signal, inputs, noise = (generator.uniform(0.3, 2, 4) for _ in range(3))
    teacher, covariance = np.diag(signal / np.sqrt(inputs)), np.diag(inputs)
    closed = closed_form(depth, teacher, covariance, np.diag(noise))
    found = largest_eigenvalue(depth, signal, inputs, noise)
    assert 2 * found == pytest.approx(closed.sharpness, rel=1e-9)
    assert 2 * found == pytest.approx(linear_sharpness(closed.weights, covariance), rel=1e-9)


def test_t_of_random_weights_by_drawing_them() -> None:
    depth, outputs, inputs, width, scale = 3, 2, 5, 4, 0.8
    generator = np.random.default_rng(0)
    root = np.diag([1.0, 2.0, 0.5, 1.0, 1.5])
    count, total = 20000, 0.0
    w1 = generator.normal(size=(count, width, inputs)) * scale / np.sqrt(inputs)
    w2 = generator.normal(size=(count, width, width)) * scale / np.sqrt(width)
    w3 = generator.normal(size=(count, outputs, width)) * scale / np.sqrt(width)

    def square(m: np.ndarray) -> np.ndarray:
        return (m**2).sum(axis=(-1, -2))

    total = (
        square(w3 @ w2) * square(root) + square(w3) * square(w1 @ root) + outputs * square(w2 @ w1 @ root)
    ).mean()  # fmt: skip
    expected = expected_at_start(depth, outputs, inputs, width, np.trace(root**2), scale)
    assert total == pytest.approx(expected, rel=0.02)
    assert expected_at_start(3, 8, 8, 8, 8.0, 0.5) == pytest.approx(3 * 8 * 8.0 * 0.5**4)


@pytest.mark.parametrize("laws", [(0.0, 0.0, 0.0), (1.5, 0.0, 0.0), (0.5, 0.25, 0.0), (3.0, 0.0, 0.25), (0, 0.5, 0.25)])
@pytest.mark.parametrize("depth", [2, 3])
def test_power_laws_are_theorem_1_s_for_many_dimensions(laws: tuple[float, float, float], depth: int) -> None:
    noise, inputs, signal = laws

    def sharpness(size: int) -> float:
        # Theorem 1 where everything is diagonal, without matrices of this size.
        i = np.arange(1.0, size + 1)
        joint = i ** (-(noise + inputs) / 2 - signal)
        common = ((i**-noise).sum() * (i**-inputs).sum()) ** (1 / depth) * joint.sum() ** (2 * (depth - 1) / depth)
        return common * ((depth - 1) * (joint * i**noise).sum() / joint.sum() + size / (i**-noise).sum())

    small = np.diag(np.arange(1.0, 6) ** -signal)
    exact = theorem_1(depth, small, np.diag(np.arange(1.0, 6) ** -inputs), np.diag(np.arange(1.0, 6) ** -noise))
    assert sharpness(5) == pytest.approx(exact, rel=1e-9)
    slope = np.log(sharpness(2**21) / sharpness(2**19)) / np.log(4)
    assert slope == pytest.approx(max(power_laws(depth, *laws)), abs=0.05)
    if noise == 0:  # only anisotropic noise sharpens
        assert exact == pytest.approx(flattest(depth, small, np.diag(np.arange(1.0, 6) ** -inputs)))
