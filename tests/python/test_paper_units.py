"""The closed form in the terms of arXiv:2602.05065, against formulas written out here."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run

PLANAR = "[data]\ninputs = 2\noutputs = 2\nteacher = diagonal:1,1\n[noise]\nnormalise = largest\ntotal = 100\n"


def theory(sharpseek: Run, path: Path, *arguments: str) -> list[dict]:
    result = sharpseek("theory", str(path), "--format", "json", *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["points"]


def hessian_trace(depth: int, teacher: np.ndarray, noise: np.ndarray, inputs: np.ndarray) -> float:
    """T at the minimum of the gradient fluctuation: its weights, then sum_i |W_D..W_(i+1)|^2 tr(B_i S B_i').

    Of the loss |y - f|^2 / 2."""

    def root(matrix: np.ndarray, power: float) -> np.ndarray:
        values, vectors = np.linalg.eigh(matrix)
        return vectors @ np.diag(values**power) @ vectors.T

    left, s, right = np.linalg.svd(root(noise, 0.5) @ teacher @ root(inputs, 0.5))
    right = right[: len(s)]
    # docs/theory.md: a_i^2 = p_i s / sum s, p_i geometric from p_D = Tr noise, so that layers fluctuate alike.
    total = s.sum()
    c = (np.trace(noise) * np.trace(inputs)) ** (1 / depth) * total ** (2 * (depth - 1) / depth)
    a = [np.sqrt(np.trace(noise) * (total**2 / c) ** (depth - i) * s / total) for i in range(1, depth)]
    weights = [np.diag(s / a[0]) @ right @ root(inputs, -0.5)]
    weights += [np.diag(a[i - 1] / a[i]) for i in range(1, depth - 1)]
    weights.append(root(noise, -0.5) @ left[:, : len(s)] @ np.diag(a[-1]))
    # after[i] = W_D .. W_(i+1), before[i] = W_(i-1) .. W_1.
    before, after = [np.eye(len(inputs))], [np.eye(len(teacher))]
    for w in weights:
        before.append(w @ before[-1])
    for w in weights[::-1]:
        after.append(after[-1] @ w)
    np.testing.assert_allclose(before[-1], teacher, atol=1e-10)
    return sum(np.sum(after[depth - 1 - i] ** 2) * np.trace(before[i] @ inputs @ before[i].T) for i in range(depth))


def test_figure_2_has_its_sharpness_and_the_flattest_one(sharpseek: Run, tmp_path: Path) -> None:
    path = tmp_path / "figure.ini"
    path.write_text(PLANAR + "condition = 1 1e4\n[model]\nwidth = 2\ndepth = 3\n[training]\nlearning_rate = 0.005\n")
    flat, sharp = (point["paper"] for point in theory(sharpseek, path))
    assert sharp["T"] == pytest.approx(hessian_trace(3, np.eye(2), np.diag([0.01, 100]), np.eye(2)), rel=1e-10)
    assert sharp["T"] == pytest.approx(258, abs=0.5)
    assert sharp["T_min"] == pytest.approx(12, rel=1e-12)  # 3 . 2^(4/3) . (2 . 2)^(1/3)
    assert sharp["delta_sgd"] == pytest.approx(sharp["T"] - 12, rel=1e-12)
    assert sharp["relative_sharpness"] == pytest.approx(sharp["T"] / 12, rel=1e-12)
    assert sharp["learning_rate"] == 0.01
    assert flat["T"] == pytest.approx(12, rel=1e-10)
    assert flat["relative_sharpness"] == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_any_teacher_and_noise_agree_with_the_weights_of_theorem_1(sharpseek: Run, tmp_path: Path, depth: int) -> None:
    generator = np.random.default_rng(depth)
    teacher = generator.normal(size=(3, 4))
    half = generator.normal(size=(3, 3))
    np.savetxt(tmp_path / "V.csv", teacher, delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "S.csv", half @ half.T, delimiter=",", fmt="%.17g")
    path = tmp_path / "any.ini"
    path.write_text(
        "[data]\nteacher = file:V.csv\ninput_covariance = diagonal:2,1,0.5,1\n[noise]\ncovariance = file:S.csv\n"
        f"[model]\ndepth = {depth}\n"
    )
    inputs = np.diag([2, 1, 0.5, 1])
    paper = theory(sharpseek, path)[0]["paper"]
    assert paper["T"] == pytest.approx(hessian_trace(depth, teacher, half @ half.T, inputs), rel=1e-9)
    nuclear = np.linalg.svd(teacher @ np.sqrt(inputs))[1].sum()
    flattest = depth * nuclear ** (2 * (depth - 1) / depth) * (3 * 4.5) ** (1 / depth)
    assert paper["T_min"] == pytest.approx(flattest, rel=1e-10)


def test_the_table_has_the_terms_of_the_paper(sharpseek: Run, tmp_path: Path) -> None:
    path = tmp_path / "figure.ini"
    path.write_text(PLANAR + "condition = 1 1e4\n[model]\nwidth = 2\ndepth = 3\n")
    table = sharpseek("theory", str(path)).stdout.split("arXiv:2602.05065")[1].splitlines()
    assert table[1].split() == ["point", "T_min", "T", "Delta_SGD", "T/T_min", "rate"]
    assert table[3].split()[:3] == [
        "condition=1e4",
        "12.00000",
        f"{hessian_trace(3, np.eye(2), np.diag([0.01, 100]), np.eye(2)):.5f}",
    ]


@pytest.mark.parametrize("depth", [2, 3, 4, 7])
def test_without_a_gap_delta_sgd_is_0_and_has_no_sign(sharpseek: Run, tmp_path: Path, depth: int) -> None:
    path = tmp_path / "isotropic.ini"
    path.write_text(f"[noise]\ncondition = 1\n[model]\ndepth = {depth}\nwidth = 5\n")
    for teacher in ("aligned", "diagonal:3,0.7,0.1", "diagonal:1e-3,7,11"):
        arguments = (str(path), "--set", f"data.teacher={teacher}")
        paper = theory(sharpseek, path, "--set", f"data.teacher={teacher}")[0]["paper"]
        assert 0 <= paper["delta_sgd"] <= 1e-9 * paper["T"]
        assert "-0.0" not in sharpseek("theory", *arguments).stdout.split("arXiv:2602.05065")[1]


@pytest.mark.parametrize(("scale", "teacher"), [(1, "diagonal:1,1,1"), (0.5, "diagonal:9,2,0.1")])
def test_proposition_1_the_trace_at_the_start_does_not_depend_on_labels(
    sharpseek: Run, tmp_path: Path, scale: float, teacher: str
) -> None:
    """E T = D d_y Tr Sigma_x (d sigma^2)^(D-1) for equal widths d; ours is twice that; sigma^2 = scale^2 / d."""
    path = tmp_path / "start.ini"
    path.write_text(
        f"[experiment]\nname = start\nreplicas = 4000\n[data]\ninputs = 3\noutputs = 3\nteacher = {teacher}\n"
        f"input_covariance = diagonal:2,1,0.5\n[model]\nwidth = 3\ndepth = 3\ninit_scale = {scale}\n"
        "[training]\nsteps = 0\n[measure]\nquantities = spectrum\n"
    )
    assert sharpseek("run", str(path), "--quiet").returncode == 0
    with h5py.File(tmp_path / "out/start/run.h5") as file:
        trace = file["trace"][:, 0]
    error = trace.std() / np.sqrt(trace.size)
    expected = 2 * 3 * 3 * 3.5 * scale**4
    assert error < 0.03 * expected
    assert abs(trace.mean() - expected) < 4 * error
