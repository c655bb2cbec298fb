"""`sharpseek measure --loss program`: programs that return losses, and programs with several inputs, by torch.func."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import sharpseek as package
from program import Run

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

Tensors = dict[str, "torch.Tensor"]
N = 12


class MaskedTokens(nn.Module):
    """A language model with tied weights: mean cross-entropy of the tokens that a mask keeps."""

    def __init__(self) -> None:
        """Seven words, width 3."""
        super().__init__()
        self.words = nn.Embedding(7, 3)
        self.mix = nn.Linear(3, 3)

    def forward(self, ids: "torch.Tensor", following: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """Losses [N]."""
        past = torch.cumsum(self.words(ids), 1)
        logits = torch.tanh(self.mix(past)) @ self.words.weight.T
        each = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none").view(ids.shape)
        return (each * mask).sum(1) / mask.sum(1)


class Huber(nn.Module):
    """Robust regression with a weight for each sample; returns its outputs too."""

    def __init__(self) -> None:
        """Three inputs and two of another kind."""
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.gate = nn.Linear(2, 4)
        self.last = nn.Linear(4, 2)

    def outputs(self, x: "torch.Tensor", context: "torch.Tensor") -> "torch.Tensor":
        """Outputs [N, 2]."""
        return self.last(torch.tanh(self.first(x)) * torch.sigmoid(self.gate(context)))

    def forward(
        self, x: "torch.Tensor", context: "torch.Tensor", y: "torch.Tensor", weight: "torch.Tensor"
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Losses [N] and outputs."""
        f = self.outputs(x, context)
        return weight * F.huber_loss(f, y, reduction="none", delta=0.7).sum(1), f


class Gaussian(nn.Module):
    """Mean and logarithm of the variance: a loss whose metric is indefinite."""

    def __init__(self) -> None:
        """A small perceptron."""
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: "torch.Tensor", y: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        """Losses [N] and outputs [N, 2]."""
        f = self.net(x)
        return f[:, 1] / 2 + (y - f[:, 0]) ** 2 * torch.exp(-f[:, 1]) / 2, f


class Triplets(nn.Module):
    """Soft triplets: three inputs through one network, no targets."""

    def __init__(self) -> None:
        """An embedding of three numbers."""
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 2))

    def forward(self, anchor: "torch.Tensor", near: "torch.Tensor", far: "torch.Tensor") -> "torch.Tensor":
        """Losses [N]."""
        a, p, n = self.net(anchor), self.net(near), self.net(far)
        return F.softplus((a - p).square().sum(1) - (a - n).square().sum(1) + 0.5)


class AutoEncoder(nn.Module):
    """Reconstruction: one input, which is called x."""

    def __init__(self) -> None:
        """Through two numbers."""
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 3))

    def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
        """Losses [N] and reconstructions."""
        f = self.net(x)
        return (f - x).square().mean(1), f


def numbers(*shape: int) -> "torch.Tensor":
    return torch.randn(*shape, dtype=torch.float64)


def tokens() -> Tensors:
    mask = torch.rand(N, 5) > 0.4
    mask[:, 0] = True
    return {"ids": torch.randint(0, 7, (N, 5)), "following": torch.randint(0, 7, (N, 5)), "mask": mask}


PROGRAMS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensors]]] = {
    "masked tokens": (MaskedTokens, tokens),
    "huber": (
        Huber,
        lambda: {"x": numbers(N, 3), "context": numbers(N, 2), "y": numbers(N, 2), "weight": torch.rand(N).double()},
    ),
    "gaussian": (Gaussian, lambda: {"x": numbers(N, 3), "y": numbers(N)}),
    "triplets": (Triplets, lambda: {"anchor": numbers(N, 3), "near": numbers(N, 3), "far": numbers(N, 3)}),
    "auto-encoder": (AutoEncoder, lambda: {"x": numbers(N, 3)}),
}


def export(model: nn.Module, data: Tensors, path: Path) -> None:
    samples = torch.export.Dim("n", min=1, max=1024)
    shapes = {name: {0: samples} for name in data}
    torch.export.save(torch.export.export(model, (), data, dynamic_shapes=shapes), path)


def write(path: Path, data: Tensors) -> None:
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            file[name] = values.numpy()


def call(model: nn.Module, theta: "torch.Tensor", data: Tensors) -> object:
    """The program as a function of its parameters in one vector."""
    parts, begin = {}, 0
    for name, p in model.named_parameters():
        parts[name] = theta[begin : begin + p.numel()].view_as(p)
        begin += p.numel()
    return torch.func.functional_call(model, parts, (), data)


def flat(model: nn.Module) -> "torch.Tensor":
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def losses(result: object) -> "torch.Tensor":
    return result[0] if isinstance(result, tuple) else result


def hessian(model: nn.Module, data: Tensors) -> np.ndarray:
    return torch.func.hessian(lambda theta: losses(call(model, theta, data)).mean())(flat(model)).numpy()


def second_moment(model: nn.Module, data: Tensors) -> np.ndarray:
    gradients = torch.func.jacrev(lambda theta: losses(call(model, theta, data)))(flat(model)).numpy()
    centred = gradients - gradients.mean(0)
    return centred.T @ centred / N


def metric(model: nn.Module, data: Tensors, loss_of: Callable[["torch.Tensor"], "torch.Tensor"]) -> np.ndarray:
    """J' (d2 l / d f2) J / N of losses as a function of outputs [N, k] alone."""
    f = call(model, flat(model), data)[1].detach()
    j = torch.func.jacrev(lambda theta: call(model, theta, data)[1])(flat(model))
    m = torch.func.hessian(lambda outputs: loss_of(outputs).sum())(f)
    return (torch.einsum("nip,nimj,mjq->pq", j, m, j) / N).numpy()


OUTPUT_LOSSES: dict[str, Callable[[Tensors], Callable[["torch.Tensor"], "torch.Tensor"]]] = {
    "huber": lambda d: lambda f: d["weight"] * F.huber_loss(f, d["y"], reduction="none", delta=0.7).sum(1),
    "gaussian": lambda d: lambda f: f[:, 1] / 2 + (d["y"] - f[:, 0]) ** 2 * torch.exp(-f[:, 1]) / 2,
    "auto-encoder": lambda d: lambda f: (f - d["x"]).square().mean(1),
}


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_losses_of_a_program_have_their_own_matrices(name: str, sharpseek: Run, tmp_path: Path) -> None:
    torch.manual_seed(3)
    make, draw = PROGRAMS[name]
    model, data = make().double(), draw()
    export(model, data, tmp_path / "model.pt2")
    write(tmp_path / "data.h5", data)
    quantities = "spectrum,smallest,gradient,noise_spectrum" + (",gauss_newton" if name in OUTPUT_LOSSES else "")
    arguments = ["--loss", "program", "--eigenvalues", "4", "--chunk", "5", "--quantities", quantities, "--quiet"]
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", *arguments, "--out", "m.h5")
    assert result.returncode == 0, result.stderr
    found = package.open_run(tmp_path / "m.h5").isel(replica=0, time=0)
    assert found.attrs["loss"] == "program"

    dense = hessian(model, data)
    right = np.linalg.eigvalsh(dense)
    room = 1e-10 * abs(right).max()
    np.testing.assert_allclose(found["eigenvalues"], right[::-1][:4], atol=room)
    np.testing.assert_allclose(found["smallest_eigenvalues"], right[:4], atol=room)
    assert float(found["trace"]) == pytest.approx(np.trace(dense), abs=10 * room)
    assert float(found["loss"]) == pytest.approx(float(losses(call(model, flat(model), data)).mean()), rel=1e-12)
    noise = np.linalg.eigvalsh(second_moment(model, data))[::-1]
    np.testing.assert_allclose(found["noise_eigenvalues"], noise[:4], atol=1e-9 * noise[0])
    if name in OUTPUT_LOSSES:
        right = np.linalg.eigvalsh(metric(model, data, OUTPUT_LOSSES[name](data)))[::-1]
        np.testing.assert_allclose(found["gauss_newton_eigenvalues"], right[:4], atol=1e-10 * abs(right).max())


class Gated(nn.Module):
    """An ordinary network of two inputs, one of them integers."""

    def __init__(self) -> None:
        """Three numbers and a kind."""
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.kind = nn.Embedding(5, 4)
        self.last = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor([[0.5]]).expand(1, 4))

    def forward(self, x: "torch.Tensor", kind: "torch.Tensor") -> "torch.Tensor":
        """Outputs [N, 3]."""
        return self.last(torch.tanh(self.first(x) + self.scale * self.kind(kind)))


@pytest.mark.parametrize("loss", ["mse", "cross-entropy"])
def test_ordinary_losses_take_several_inputs_by_their_names(loss: str, sharpseek: Run, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = Gated().double()
    data = {"x": numbers(N, 3), "kind": torch.randint(0, 5, (N,), dtype=torch.int32)}
    targets = torch.randint(0, 3, (N,)) if loss == "cross-entropy" else numbers(N, 3)
    export(model, data, tmp_path / "model.pt2")
    write(tmp_path / "data.h5", {**data, "targets": targets})
    arguments = ["--loss", loss, "--eigenvalues", "3", "--quantities", "spectrum,gauss_newton", "--quiet"]
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", *arguments, "--out", "m.h5")
    assert result.returncode == 0, result.stderr

    def mean(theta: "torch.Tensor") -> "torch.Tensor":
        f = call(model, theta, data)
        return (f - targets).square().sum(1).mean() if loss == "mse" else F.cross_entropy(f, targets)

    right = np.linalg.eigvalsh(torch.func.hessian(mean)(flat(model)).numpy())[::-1]
    found = package.open_run(tmp_path / "m.h5").isel(replica=0, time=0)
    np.testing.assert_allclose(found["eigenvalues"], right[:3], atol=1e-10 * abs(right).max())
    # The definition follows the loss.
    assert ("log softmax" in found.attrs["loss_definition"]) == (loss == "cross-entropy")
    assert "squared" not in found["trace"].attrs["long_name"] and "loss_definition" in found["trace"].attrs["long_name"]


class Faulty(nn.Module):
    """Losses with one of several faults."""

    def __init__(self, fault: str) -> None:
        """One linear layer."""
        super().__init__()
        self.part = nn.Linear(3, 2)
        self.fault = fault

    def forward(self, x: "torch.Tensor", y: "torch.Tensor") -> object:
        """Losses, and maybe outputs."""
        f = self.part(x)
        each = (f - y).square()
        decay = self.part.weight.square().sum()
        results: dict[str, object] = {
            "mean": each.mean(),
            "two numbers": each,
            "mixing": each.sum(1) / each.sum(),
            "alone": each.sum(1),
            "copy": (each.sum(1), f.clone()),
            "past": (each.sum(1) + decay, f),
            "three": (each.sum(1), f, f),
            "constant": (each.sum(1), y * 1),
        }
        return results[self.fault]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("mean", "output [] has not one row for each of 12 samples (reduction='none'?)"),
        ("two numbers", "the module returns [12, 2]: must be losses [N], one number for each sample"),
        ("mixing", "samples must not mix"),
        ("alone", "gauss_newton needs a program that returns losses and the outputs"),
        ("copy", "its losses are not computed from the outputs that it returns after them"),
        ("past", "depend on parameters not only through the outputs"),
        ("three", "returns 3 tensors"),
        ("constant", "depend on no parameter"),
    ],
)
def test_what_are_no_losses_of_samples_is_refused(fault: str, message: str, sharpseek: Run, tmp_path: Path) -> None:
    model, data = Faulty(fault).double(), {"x": numbers(N, 3), "y": numbers(N, 2)}
    export(model, data, tmp_path / "model.pt2")
    write(tmp_path / "data.h5", data)
    arguments = ["--loss", "program", "--quantities", "gauss_newton", "--out", "m.h5"]
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m.h5").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y": None},
            "data.h5: has no data set y; the module takes x, y, weight, kind, each as a data set of its name",
        ),
        ({"x": numbers(N - 1, 3)}, "x [11, 3] and y [12, 2] must have the same number of samples"),
        ({"kind": numbers(N)}, "data.h5: kind: holds real numbers, but the module takes integers as kind"),
        ({"weight": torch.full((N,), 2)}, "data.h5: weight: holds numbers from 2 to 2: must be 0 or 1"),
        ({"kind": torch.full((N,), 2**40)}, "must be Int for the module's input kind"),
    ],
)
def test_data_that_do_not_fit_the_inputs_are_named(
    change: dict[str, "torch.Tensor | None"], message: str, sharpseek: Run, tmp_path: Path
) -> None:
    class Kinds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Linear(3, 2)
            self.kinds = nn.Embedding(3, 2)

        def forward(self, x: "torch.Tensor", y: "torch.Tensor", weight: "torch.Tensor", kind: "torch.Tensor") -> object:
            return ((self.part(x) + self.kinds(kind) - y).square() * weight[:, None]).sum(1)

    data = {"x": numbers(N, 3), "y": numbers(N, 2), "weight": torch.rand(N) > 0.5}
    data["kind"] = torch.randint(0, 3, (N,), dtype=torch.int32)
    export(Kinds().double(), data, tmp_path / "model.pt2")
    write(tmp_path / "data.h5", {k: v for k, v in {**data, **change}.items() if v is not None})
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", "--loss", "program", "--out", "m.h5")
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_torchscript_returns_no_losses_and_outputs_need_another_loss(sharpseek: Run, tmp_path: Path) -> None:
    data = {"inputs": numbers(N, 3), "targets": numbers(N, 3)}
    write(tmp_path / "data.h5", data)
    model = AutoEncoder().double()
    torch.jit.trace(model.net, (data["inputs"],)).save(tmp_path / "model.pt")
    result = sharpseek("measure", "--module", "model.pt", "--data", "data.h5", "--loss", "program")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--loss program needs an exported program (.pt2)" in result.stderr
    export(model, {"x": data["inputs"]}, tmp_path / "model.pt2")
    result = sharpseek("measure", "--module", "model.pt2", "--data", "data.h5", "--loss", "mse")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "forward(inputs) must return one tensor, not 2, unless --loss program" in result.stderr
