"""Products of one batch through the kept graph of its gradient: what a second backward pass needs, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Tensors = Sequence[torch.Tensor]
Parts = Sequence[torch.Tensor | None]
"""One tensor for each parameter; None is zero."""


class Graph(Protocol):
    """Products A v of one batch."""

    def product(self, vector: torch.Tensor) -> Parts:
        """A v for v [P]."""


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Inside, PyTorch takes the ways that have a second derivative: fused attention has none, nor has cuDNN's RNN."""
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            stack.callback(torch.backends.mkldnn.set_flags, torch.backends.mkldnn.set_flags(False)[0])  # slower twice
        yield


def _vjp(output: torch.Tensor, inputs: Tensors, along: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    """The output's product with `along`, differentiated; the graph stays."""
    return torch.autograd.grad(output, inputs, along, retain_graph=True, allow_unused=True)


def _joined(parts: Parts, parameters: Tensors) -> torch.Tensor | None:
    """Parts as one vector [P]: a backward pass from one tensor costs less than one from hundreds. None if constant."""
    if not any(part is not None and part.requires_grad for part in parts):
        return None
    filled = [torch.zeros_like(p) if part is None else part for part, p in zip(parts, parameters, strict=True)]
    return torch.cat([part.reshape(-1) for part in filled])


class HessianGraph:
    """The gradient of a loss, differentiated along a vector: one backward pass a product."""

    def __init__(self, loss: torch.Tensor, parameters: Tensors) -> None:
        """Differentiates the loss once."""
        self._parameters = parameters
        parts = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        self._gradient = _joined(parts, parameters)

    def product(self, vector: torch.Tensor) -> Parts:
        """H v."""
        if self._gradient is None:
            return [None] * len(self._parameters)
        return _vjp(self._gradient, self._parameters, vector.to(self._gradient.dtype))


class MetricGraph:
    """J' M J with J = d outputs / d parameters: J v by a second backward pass, M, then J'.

    M is the second derivative of a loss of the outputs; without a loss it is `scale` times the identity.
    """

    def __init__(
        self, outputs: torch.Tensor, parameters: Tensors, loss: LossOfOutputs | None, scale: float = 1
    ) -> None:
        """Differentiates the outputs, and the loss by them, once."""
        self._parameters = parameters
        self._outputs = outputs
        self._scale = scale
        # J'u is linear in u, so that its derivative along v is J v.
        self._u = torch.zeros_like(outputs, requires_grad=True)
        parts = torch.autograd.grad(outputs, parameters, self._u, create_graph=True, allow_unused=True)
        self._pulled = _joined(parts, parameters)
        self._loss_gradient: torch.Tensor | None = None
        self._linear = False
        if loss is not None:
            self._leaf = outputs.detach().requires_grad_()
            (self._loss_gradient,) = torch.autograd.grad(loss(self._leaf), self._leaf, create_graph=True)
            self._linear = not self._loss_gradient.requires_grad

    def product(self, vector: torch.Tensor) -> Parts:
        """J' M J v."""
        pushed = self._metric(self._pushed(vector))
        if pushed is None:
            return [None] * len(self._parameters)
        return _vjp(self._outputs, self._parameters, pushed)

    def _pushed(self, vector: torch.Tensor) -> torch.Tensor | None:
        """J v."""
        if self._pulled is None:
            return None
        return _vjp(self._pulled, [self._u], vector.to(self._pulled.dtype))[0]

    def _metric(self, pushed: torch.Tensor | None) -> torch.Tensor | None:
        """M J v."""
        if pushed is None or self._linear:
            return None
        if self._loss_gradient is None:
            return pushed * self._scale
        return _vjp(self._loss_gradient, [self._leaf], pushed)[0]


class LossOfOutputs(Protocol):
    """A loss as a function of outputs alone."""

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        """The loss."""


@contextmanager
def counted_bytes(total: list[int]) -> Iterator[None]:
    """Adds the bytes that graphs made inside keep to total[0]. The graphs themselves are of no use afterwards."""
    seen: set[int] = set()

    def pack(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total[0] += storage.nbytes()
        # The tensor itself would hold on to its own graph for ever.
        return x.detach().requires_grad_(x.requires_grad)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield
