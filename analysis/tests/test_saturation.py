"""Where sharpening saturates: against the other NumPy limit, reference digits and the law of small angles."""

from pathlib import Path

import numpy as np
import pytest
from sharpseek.saturation import drift, settle, small_angle_trace
from sharpseek.theory import closed_form
from sharpseek.theory_limit import small_rate_limit

ROOT = Path(__file__).resolve().parents[2]


def turned(degrees: float, strengths: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return rotation @ np.diag(strengths)


@pytest.mark.parametrize(
    ("condition", "trace", "sharpness"),
    [(1, 42.23193755, 7.7205597), (10, 45.4965083, 8.57562), (100, 53.126647, 10.177416), (1000, 63.188186, 12.694426)],
)
def test_the_reduced_flow_ends_at_the_reference_digits_of_the_full_one(
    condition: float, trace: float, sharpness: float
) -> None:
    teacher = np.loadtxt(ROOT / "tests" / "data" / "teacher_generic.csv", delimiter=",")
    end = settle(teacher, np.diag([1 / condition, condition**-0.5, 1]))
    assert end.trace == pytest.approx(trace, rel=2e-8)
    assert end.sharpness == pytest.approx(sharpness, rel=1e-6)


def test_the_full_flow_without_noise_on_an_output_ends_where_the_reduced_one_does() -> None:
    teacher, noise = turned(30, (1.5, 0.7)), np.diag([1.0, 0.0])
    start = closed_form(2, teacher, np.eye(2), np.eye(2)).weights
    full = small_rate_limit(start, teacher, np.eye(2), noise, time=60, step=0.02)
    end = settle(teacher, noise)
    assert full.settled
    assert full.trace == pytest.approx(end.trace, rel=1e-5)
    assert full.sharpness == pytest.approx(end.sharpness, rel=1e-5)


def test_the_end_is_at_rest_and_attracts() -> None:
    teacher, noise = turned(50, (1.2, 0.4)), np.diag([0.0, 2.0])
    end = settle(teacher, noise)
    assert np.abs(drift(end.matrix, teacher, noise)).max() < 1e-8
    assert end.relaxation_rate > 0


def test_the_way_to_an_infinite_condition_number_does_not_matter() -> None:
    teacher = np.loadtxt(ROOT / "tests" / "data" / "teacher_generic.csv", delimiter=",")
    end = settle(teacher, np.diag([0.0, 0.0, 1.0])).relative_trace
    for quiet in ([1e-12, 1e-6], [1e-12, 1e-12], [3e-9, 1e-9]):
        assert settle(teacher, np.diag([*quiet, 1.0])).relative_trace == pytest.approx(end, rel=2e-3)


def test_commuting_noise_and_signal_follow_theorem_1_and_have_no_bound() -> None:
    teacher = np.diag([1.5, 0.7])
    for condition in (10.0, 1e4, 1e8):
        noise = np.diag([1.0, 1 / condition])
        assert settle(teacher, noise).trace == pytest.approx(closed_form(2, teacher, np.eye(2), noise).trace, rel=1e-7)
    with pytest.raises(ValueError, match="without bound"):
        settle(teacher, np.diag([1.0, 0.0]))


@pytest.mark.parametrize("strengths", [(1.5, 0.7), (0.7, 1.5), (1.0, 0.9), (3.0, 0.3)])
def test_saturation_is_one_over_the_angle_up_to_a_constant(strengths: tuple[float, float]) -> None:
    noise = np.diag([1.0, 0.0])
    rest = []
    for degrees in (1.0, 0.1, 0.01):
        teacher = turned(degrees, strengths)
        rest.append(settle(teacher, noise).trace - small_angle_trace(teacher, np.array([1.0, 0.0])))
    # The trace itself grows a hundredfold; what the law leaves tends to a constant.
    assert abs(rest[2] - rest[1]) < 0.2 * abs(rest[1] - rest[0]) + 1e-3
    assert abs(rest[2]) < 30


@pytest.mark.parametrize(("weaker", "margin"), [(0.95, 0.01), (0.8, 0.04), (0.5, 0.14), (0.3, 0.28)])
def test_the_law_holds_at_every_angle_the_better_the_flatter_the_spectrum(weaker: float, margin: float) -> None:
    for degrees in (2, 20, 50, 70, 89):
        teacher = turned(degrees, (1.0, weaker))
        end = settle(teacher, np.diag([0.0, 1.0]))
        assert small_angle_trace(teacher, np.array([0.0, 1.0])) == pytest.approx(end.trace, rel=margin), degrees


def test_teachers_of_lower_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="must have rank 2"):
        settle(np.array([[1.0, 2.0], [2.0, 4.0]]), np.eye(2))
