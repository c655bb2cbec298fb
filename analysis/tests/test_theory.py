"""The closed form in NumPy against reference digits and brute force."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sharpseek.theory import closed_form

TEACHER = np.loadtxt(__file__.replace("analysis/tests/test_theory.py", "tests/data/teacher_generic.csv"), delimiter=",")


def noise(condition: float) -> np.ndarray:
    variances = condition ** (np.arange(3) / 2)
    return np.diag(3 * variances / variances.sum())


@pytest.mark.parametrize(
    ("depth", "condition", "trace", "sharpness"),
    [
        (2, 1, 42.23193755, 7.7205597),
        (2, 10, 45.80268624, 8.5851981),
        (2, 100, 60.70160757, 11.8904013),
        (2, 1000, 106.64109100, 22.1130163),
        (3, 10, 67.63764810, None),
        (3, 100, 96.58215711, None),
    ],
)
def test_reference_digits(depth: int, condition: float, trace: float, sharpness: float | None) -> None:
    form = closed_form(depth, TEACHER, np.eye(4), noise(condition))
    assert form.trace == pytest.approx(trace, rel=1e-9)
    if sharpness is not None:
        assert form.sharpness == pytest.approx(sharpness, rel=1e-8)
    if condition == 1:
        assert form.trace == pytest.approx(form.flattest_trace, rel=1e-12)
    else:
        assert form.trace > form.flattest_trace


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_weights_fit_the_teacher_and_have_the_stated_fluctuation(depth: int) -> None:
    generator = np.random.default_rng(depth)
    a = generator.normal(size=(4, 6))
    b = generator.normal(size=(3, 5))
    sigma_x, sigma_e = a @ a.T / 4, b @ b.T / 3
    form = closed_form(depth, TEACHER, sigma_x, sigma_e)
    product = np.linalg.multi_dot(form.weights[::-1])
    np.testing.assert_allclose(product, TEACHER, atol=1e-12)
    shares = []
    for i in range(depth):
        after = (
            np.linalg.multi_dot([*form.weights[:i:-1], np.eye(form.weights[i].shape[0])])
            if i < depth - 1
            else np.eye(3)
        )
        before = np.linalg.multi_dot([*form.weights[:i][::-1], np.eye(4)]) if i > 0 else np.eye(4)
        shares.append(4 * np.trace(sigma_e @ after @ after.T) * np.trace(before @ sigma_x @ before.T))
    np.testing.assert_allclose(shares, form.gradient_fluctuation / depth, rtol=1e-10)


def test_brute_force_finds_no_smaller_fluctuation() -> None:
    sigma_e = noise(10)
    form = closed_form(2, TEACHER, np.eye(4), sigma_e)

    def fluctuation(flat: np.ndarray) -> float:
        mix = flat.reshape(3, 3)
        w2, w1 = mix, np.linalg.solve(mix, TEACHER)
        return 4 * (np.trace(w2.T @ sigma_e @ w2) * 4 + np.trace(sigma_e) * np.sum(w1**2))

    best = min(
        minimize(fluctuation, np.random.default_rng(s).normal(size=9), method="BFGS", options={"gtol": 1e-9}).fun
        for s in range(3)
    )
    assert best == pytest.approx(form.gradient_fluctuation, rel=1e-6)


def test_one_matrix_has_no_closed_form() -> None:
    with pytest.raises(ValueError, match="depth = 1"):
        closed_form(1, TEACHER, np.eye(4), noise(1))
