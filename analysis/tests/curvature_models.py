"""Small models with data, and their curvature matrices written down densely: by Jacobians of flat functions, without
loaders, batches or kept graphs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

torch.set_num_threads(1)  # threads of these sizes only wait for each other, for long where others use the cores


@dataclass
class Case:
    """A model in float64, all its samples, and a mean loss."""

    model: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor
    loss: Callable

    def loader(self, batch: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Batches, the last one smaller."""
        return list(zip(self.inputs.split(batch), self.targets.split(batch), strict=True))

    @property
    def weights(self) -> torch.Tensor:
        """The parameters as one vector."""
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])

    def outputs(self, weights: torch.Tensor) -> torch.Tensor:
        """Outputs at other weights."""
        named = dict(self.model.named_parameters())
        parts = weights.split([p.numel() for p in named.values()])
        values = {n: part.view_as(p) for part, (n, p) in zip(parts, named.items(), strict=True)}
        with sdpa_kernel(SDPBackend.MATH):
            return functional_call(self.model, values, (self.inputs,), tie_weights=True)

    def hessian(self) -> torch.Tensor:
        """Of the mean loss, [P, P]."""
        return torch.autograd.functional.hessian(lambda w: self.loss(self.outputs(w), self.targets), self.weights)

    def gauss_newton(self) -> torch.Tensor:
        """J' M J."""
        outputs = self.outputs(self.weights)
        jacobian = torch.autograd.functional.jacobian(self.outputs, self.weights).reshape(outputs.numel(), -1)
        metric = torch.autograd.functional.hessian(lambda f: self.loss(f, self.targets), outputs.detach())
        return jacobian.T @ metric.reshape(outputs.numel(), -1) @ jacobian

    def sample_gradients(self) -> torch.Tensor:
        """[n, P]."""

        def losses(weights: torch.Tensor) -> torch.Tensor:
            outputs = self.outputs(weights)
            single = [self.loss(outputs[i : i + 1], self.targets[i : i + 1]) for i in range(len(outputs))]
            return torch.stack(single)

        return torch.autograd.functional.jacobian(losses, self.weights)

    def second_moment(self) -> torch.Tensor:
        """Of the gradients of samples."""
        gradients = self.sample_gradients()
        return gradients.T @ gradients / len(gradients)

    def covariance(self) -> torch.Tensor:
        """Of the gradients of samples."""
        mean = self.sample_gradients().mean(0)
        return self.second_moment() - torch.outer(mean, mean)


class Recurrent(nn.Module):
    """With dropout."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.cells = nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs, samples first."""
        return self.head(self.cells(x)[0][:, -1])


class Encoder(nn.Module):
    """With dropout."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=6, dropout=0.1, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs, samples first."""
        return self.head(self.layer(x).mean(1))


class LanguageModel(nn.Module):
    """Causal attention; the embedding is the head too."""

    def __init__(self) -> None:
        """Random weights."""
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.mix = nn.Linear(4, 12)
        self.norm = nn.RMSNorm(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Outputs, samples first."""
        x = self.embedding(tokens)
        q, k, v = self.mix(self.norm(x)).chunk(3, -1)
        return self.head(x + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))


def token_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def perceptron() -> Case:
    model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 4))
    x = torch.randn(17, 3)
    model.double()(x.double())  # running statistics that are not those of a new layer
    return Case(model, x, torch.randint(0, 4, (17,)), nn.CrossEntropyLoss(label_smoothing=0.1))


def convolution() -> Case:
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 2)
    )
    return Case(model, torch.randn(11, 2, 4, 4), torch.randn(11, 2), nn.MSELoss())


def recurrent() -> Case:
    return Case(Recurrent(), torch.randn(9, 5, 3), torch.randn(9, 2), nn.HuberLoss(delta=3.0))


def encoder() -> Case:
    return Case(Encoder(), torch.randn(8, 3, 4), torch.randint(0, 3, (8,)), nn.CrossEntropyLoss())


def language_model() -> Case:
    tokens = torch.randint(0, 7, (9, 6))
    return Case(LanguageModel(), tokens[:, :-1], tokens[:, 1:], token_loss)


MODELS = {make.__name__: make for make in (perceptron, convolution, recurrent, encoder, language_model)}


def make_case(name: str) -> Case:
    """The model in evaluation mode and float64."""
    torch.manual_seed(len(name))
    case = MODELS[name]()
    case.model = case.model.double().eval()
    if case.inputs.is_floating_point():
        case.inputs = case.inputs.double()
    if case.targets.is_floating_point():
        case.targets = case.targets.double()
    return case


def deep_linear(inputs: int = 8, hidden: int = 16, outputs: int = 6) -> Case:
    """A linear net at a minimum, whitened inputs, singular values from 1.5 to .7: many eigenvalues are repeated."""
    torch.manual_seed(0)
    x = torch.randn(256, inputs, dtype=torch.float64)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / len(x))).T
    model = nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False)).double()
    teacher = torch.zeros(outputs, inputs, dtype=torch.float64)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
        for k, s in enumerate(torch.linspace(1.5, 0.7, outputs)):
            teacher[k, k] = s
            model[0].weight[k, k] = model[1].weight[k, k] = s**0.5
        teacher = model[1].weight @ model[0].weight
    return Case(model, x, x @ teacher.T, lambda f, y: (f - y).square().sum(1).mean())


def same(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, relative to the largest element."""
    return float((a - b).abs().max() / b.abs().max())
