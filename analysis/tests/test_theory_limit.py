"""The limit of small rates in NumPy: against the closed form where it applies, and reference digits elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from sharpseek.theory import closed_form
from sharpseek.theory_limit import small_rate_limit

ROOT = Path(__file__).resolve().parents[2]


def noise_of(condition: float, outputs: int = 3, total: float = 3.0) -> np.ndarray:
    variances = condition ** (np.arange(outputs) / (outputs - 1))
    return np.diag(total * variances / variances.sum())


def weights_near(depth: int, teacher: np.ndarray, noise: np.ndarray, width: int, scale: float) -> list[np.ndarray]:
    """The closed form's weights in a hidden space of this width, disturbed."""
    generator = np.random.default_rng(4)
    weights = closed_form(depth, teacher, np.eye(teacher.shape[1]), noise).weights
    shapes = [(width, teacher.shape[1]), *[(width, width)] * (depth - 2), (teacher.shape[0], width)]
    padded = []
    for w, shape in zip(weights, shapes, strict=True):
        full = scale * generator.normal(size=shape)
        full[: w.shape[0], : w.shape[1]] += w
        padded.append(full)
    return padded


def test_small_rates_lead_to_the_closed_form_where_noise_and_signal_commute() -> None:
    teacher = np.diag([1.5, 1.0, 0.7])[:, :3]
    noise = noise_of(10)
    limit = small_rate_limit(weights_near(2, teacher, noise, 3, 0.2), teacher, np.eye(3), noise, time=5, step=0.02)
    form = closed_form(2, teacher, np.eye(3), noise)
    assert limit.settled
    assert limit.trace == pytest.approx(form.trace, rel=1e-4)
    assert limit.sharpness == pytest.approx(form.sharpness, rel=1e-4)
    assert limit.gradient_fluctuation == pytest.approx(form.gradient_fluctuation, rel=1e-4)
    assert limit.circulation == pytest.approx(0, abs=1e-2)


def test_small_rates_circulate_elsewhere_and_settle_at_the_reference_values() -> None:
    # Reference: the same flow in an independent implementation (docs/theory.md), condition 10, any start.
    file = ROOT / "tests" / "data" / "teacher_generic.csv"
    teacher, noise = np.loadtxt(file, delimiter=","), noise_of(10)
    limit = small_rate_limit(weights_near(2, teacher, noise, 3, 0.3), teacher, np.eye(4), noise, time=8, step=0.02)
    assert limit.settled
    assert limit.trace == pytest.approx(45.4965, abs=2e-3)
    assert limit.gradient_fluctuation == pytest.approx(90.7693, abs=4e-3)
    assert limit.sharpness == pytest.approx(8.5756, abs=1e-3)
    assert limit.circulation == pytest.approx(1.726, abs=2e-3)
    assert closed_form(2, teacher, np.eye(4), noise).trace > limit.trace + 0.3


def test_the_limit_says_when_it_has_not_settled() -> None:
    teacher, noise = np.diag([1.5, 1.0, 0.7])[:, :3], noise_of(10)
    limit = small_rate_limit(weights_near(2, teacher, noise, 3, 0.5), teacher, np.eye(3), noise, time=0.2, step=0.01)
    assert not limit.settled
    with pytest.raises(ValueError, match="must be 2 to 5"):
        small_rate_limit([np.eye(3)], teacher, np.eye(3), noise)
