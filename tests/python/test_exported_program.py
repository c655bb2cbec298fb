"""`sharpseek measure --module model.pt2`: programs of torch.export against dense Hessians by PyTorch's autograd."""

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek as package
from program import Run

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
sys.path.append(str(Path(__file__).resolve().parents[2] / "analysis/tests"))
from curvature_models import Case, make_case  # noqa: E402  # it needs torch


def squared(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    return (outputs - targets).square().flatten(1).sum(1).mean()


def entropy(outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Summed over tokens."""
    losses = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="sum")
    return losses / len(outputs)


LOSSES = {"mse": squared, "cross-entropy": entropy}


def export(model: "torch.nn.Module", inputs: "torch.Tensor", path: Path, *, dynamic: bool = True) -> None:
    shapes = ({0: torch.export.Dim("n", min=1, max=1024)},) if dynamic else None
    torch.export.save(torch.export.export(model, (inputs,), dynamic_shapes=shapes), path)


def write_data(path: Path, case: Case) -> None:
    with h5py.File(path, "w") as file:
        file["inputs"] = case.inputs.numpy()
        file["targets"] = case.targets.numpy()


@pytest.mark.parametrize(
    ("name", "loss", "dynamic"),
    [
        ("perceptron", "cross-entropy", True),
        ("convolution", "mse", True),
        ("recurrent", "mse", True),
        ("encoder", "cross-entropy", False),
        ("language_model", "cross-entropy", True),
    ],
)
def test_spectra_are_those_of_the_dense_matrices(
    name: str, loss: str, dynamic: bool, sharpseek: Run, tmp_path: Path
) -> None:
    case = make_case(name)
    case.loss = LOSSES[loss]
    export(case.model, case.inputs, tmp_path / "model.pt2", dynamic=dynamic)
    write_data(tmp_path / "data.h5", case)
    arguments = ["--loss", loss, "--eigenvalues", "4", "--quantities", "spectrum,smallest,gauss_newton", "--quiet"]
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", *arguments, "--out", "m.h5")
    assert result.returncode == 0, result.stderr
    found = package.open_run(tmp_path / "m.h5").isel(replica=0, time=0)
    hessian = case.hessian()
    right = np.linalg.eigvalsh(hessian.numpy())
    scale = abs(right).max()
    np.testing.assert_allclose(found["eigenvalues"], right[::-1][:4], atol=1e-10 * scale)
    np.testing.assert_allclose(found["smallest_eigenvalues"], right[:4], atol=1e-10 * scale)
    metric = np.linalg.eigvalsh(case.gauss_newton().numpy())[::-1][:4]
    np.testing.assert_allclose(found["gauss_newton_eigenvalues"], metric, atol=1e-10 * scale)
    assert float(found["trace"]) == pytest.approx(float(hessian.trace()), abs=1e-9 * scale)
    layers = [str(layer) for layer in found["layer"].values]
    assert layers == [n for n, p in case.model.named_parameters() if p.requires_grad]


def build(*layers: "torch.nn.Module") -> "torch.nn.Module":
    return torch.nn.Sequential(torch.nn.Linear(3, 4), *layers, torch.nn.Linear(4, 2))


class Noisy(torch.nn.Module):
    """Draws random numbers."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.part = build()

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Outputs, samples first."""
        return self.part(x) + torch.rand(2)


class Pair(torch.nn.Module):
    """Returns two tensors."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.part = build()

    def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        """Outputs, twice."""
        return self.part(x), self.part(2 * x)


class Counting(torch.nn.Module):
    """Changes a buffer."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.part = build()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Outputs, samples first."""
        self.calls += 1
        return self.part(x)


class Sliced(torch.nn.Module):
    """A parameter that is part of another one."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.all = torch.nn.Parameter(torch.randn(4, 3))
        self.some = torch.nn.Parameter(self.all.detach()[:2])

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Outputs, samples first."""
        return torch.tanh(x @ self.all.T) @ self.all[:, :2] + x @ self.some.T


class Expanded(torch.nn.Module):
    """A parameter whose rows are one in memory."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.rows = torch.nn.Parameter(torch.randn(1, 3).expand(4, 3))
        self.out = torch.nn.Linear(4, 2)

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Outputs, samples first."""
        return self.out(torch.tanh(x @ self.rows.T))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build(torch.nn.Dropout(0.2)).train(), "holds a dropout in training mode"),
        (lambda: build(torch.nn.BatchNorm1d(4)).train(), "batch norm in training mode"),
        (Noisy, "draws random numbers (torch.ops.aten.rand"),
        (Pair, "forward(inputs) must return one tensor"),
        (Counting, "changes its buffer calls"),
        (Sliced, "its tensor some shares memory with all"),
        (Expanded, "its parameter rows has elements that are one in memory"),
        (lambda: build().requires_grad_(False), "has no parameter that requires gradients"),
    ],
)
def test_what_is_no_function_of_the_weights_is_refused_by_its_graph(
    make: Callable[[], "torch.nn.Module"], message: str, sharpseek: Run, tmp_path: Path
) -> None:
    model = make()
    x = torch.randn(6, 3)
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    write_data(tmp_path / "data.h5", Case(model, x, torch.randn(6, 2), squared))
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", "--loss", "mse", "--out", "m.h5")
    assert result.returncode == 2
    assert result.stderr.startswith("sharpseek: --module model.pt2: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m.h5").exists()


def test_a_damaged_program_is_one_line(sharpseek: Run, tmp_path: Path) -> None:
    x = torch.randn(6, 3)
    model = build()
    export(model, x, tmp_path / "whole.pt2")
    write_data(tmp_path / "data.h5", Case(model, x, torch.randn(6, 2), squared))
    whole = (tmp_path / "whole.pt2").read_bytes()
    for name, content in (
        ("cut", whole[: len(whole) // 2] + whole[-200:]),
        ("other", whole.replace(b"graph_module", b"grapf_module")),
    ):
        (tmp_path / f"{name}.pt2").write_bytes(content)
        result = sharpseek("measure", "--module", f"{name}.pt2", "--data", "data.h5", "--loss", "mse")
        assert result.returncode == 2, name
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith(f"sharpseek: --module {name}.pt2: ")


def test_a_series_of_checkpoints_is_a_time_axis(sharpseek: Run, tmp_path: Path) -> None:
    case = make_case("perceptron")
    case.loss = entropy
    write_data(tmp_path / "data.h5", case)
    right = {}
    for step in (100, 20, 3):  # their names sort otherwise
        with torch.no_grad():
            for p in case.model.parameters():
                p.add_(0.01 * step / 20)
        export(case.model, case.inputs, tmp_path / f"net2-{step}.pt2")
        right[step] = np.linalg.eigvalsh(case.hessian().numpy())[-1]
    arguments = ["--data", "data.h5", "--loss", "cross-entropy", "--quantities", "spectrum", "--quiet"]
    result = sharpseek("measure", "--module", "net2-*.pt2", *arguments, "--out", "m.h5")
    assert result.returncode == 0, result.stderr
    run = package.open_run(tmp_path / "m.h5")
    assert list(run["step"].values) == [3, 20, 100]
    np.testing.assert_allclose(run["sharpness"].values[0], [right[3], right[20], right[100]], rtol=1e-9)
    assert [str(layer) for layer in run["layer"].values] == [name for name, _ in case.model.named_parameters()]

    other = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4)).double()
    export(other, case.inputs, tmp_path / "net2-7.pt2")
    result = sharpseek("measure", "--module", "net2-*.pt2", *arguments, "--out", "n.h5")
    assert result.returncode == 2
    assert result.stderr.startswith("sharpseek: --module net2-7.pt2: ")
    assert not (tmp_path / "n.h5").exists()
    result = sharpseek("measure", "--module", "gone-*.pt2", *arguments)
    assert (result.returncode, result.stderr) == (2, "sharpseek: --module gone-*.pt2: fits no file\n")
