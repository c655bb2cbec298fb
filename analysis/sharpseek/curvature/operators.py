"""Curvature matrices of a user's model and loss as linear operators; their products stay in PyTorch's autograd."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from sharpseek.curvature.arguments import require_arguments
from sharpseek.curvature.batches import Batches, Forward, default_forward, halves, samples_in
from sharpseek.curvature.checks import require_evaluation_mode, require_mean, require_repeatable
from sharpseek.curvature.graphs import Graph, HessianGraph, MetricGraph, Parts, counted_bytes, twice_differentiable
from sharpseek.curvature.losses import Loss, LossFunction
from sharpseek.curvature.memory import bytes_of, free_bytes

_HELD_DATA = 0.2
"""Share of the memory that batches may take; the rest is for graphs."""


class Curvature:
    """A symmetric P x P matrix of a model's loss, known by its products: `op @ v` for v [P] or [P, K].

    P counts the parameters that require gradients, in the order of `named_parameters()`, each tensor once and row by
    row. `blocks` names them. Graphs of batches are kept while they fit into the memory, and built anew when the weights
    have changed; a product costs one backward pass through each (Hessian) or three (the others).
    """

    kind = ""
    definition = ""
    called = ""
    """The function that makes it, where that is not the kind."""

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        loss_fn: LossFunction,
        *,
        forward: Forward | None = None,
        parameters: Iterable[str] | None = None,
        reduction: str | None = None,
        memory: int | str | None = None,
    ) -> None:
        """See `hessian` for the options."""
        model = getattr(model, "_orig_mod", model)  # torch.compile's has no second derivative
        require_arguments(self.called or self.kind, model, loader, loss_fn, forward)
        self.model: nn.Module = model
        require_evaluation_mode(self.model)
        self._names, self._parameters = _chosen(self.model, parameters)
        self.device: torch.device = self._parameters[0].device
        double = any(p.dtype == torch.float64 for p in self._parameters)
        self.dtype: torch.dtype = torch.float64 if double else torch.float32
        self._sizes = [p.numel() for p in self._parameters]
        self.dim: int = sum(self._sizes)
        self._loss = Loss(loss_fn, reduction)
        self._forward = forward or default_forward
        self._memory = free_bytes(self.device) // 2 if memory is None else bytes_of(memory)
        self._batches = Batches(loader, self.device, int(_HELD_DATA * self._memory), pairs=forward is None)
        self._graphs: list[Graph] = []
        self._graph_bytes: int | None = None
        self._version: tuple[Any, ...] = ()
        self._proven: tuple[Any, ...] = ()
        self.products = 0
        """Products so far."""
        self._check()

    # --- what a matrix is

    @property
    def shape(self) -> tuple[int, int]:
        """(P, P)."""
        return self.dim, self.dim

    @property
    def blocks(self) -> dict[str, int]:
        """The number of elements of each parameter, in the order of the vector."""
        return dict(zip(self._names, self._sizes, strict=True))

    @property
    def samples(self) -> int:
        """How many samples the loss is a mean over."""
        return self._batches.samples

    @property
    def like(self) -> torch.Tensor:
        """A tensor of dtype and device of the vectors."""
        return torch.empty(0, dtype=self.dtype, device=self.device)

    def matvec(self, vector: torch.Tensor) -> torch.Tensor:
        """A v for v [P]."""
        if vector.shape != (self.dim,):
            raise ValueError(f"{self.kind}: a vector has shape {tuple(vector.shape)}, not ({self.dim},)")
        return self._product(vector.to(self.device, self.dtype))

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """A v for v [P], A V for V [P, K]."""
        if vectors.dim() == 1:
            return self.matvec(vectors)
        return torch.stack([self.matvec(column) for column in vectors.T], 1)

    def to_dense(self) -> torch.Tensor:
        """The matrix [P, P], by P products."""
        return self @ torch.eye(self.dim, dtype=self.dtype, device=self.device)

    def __repr__(self) -> str:
        """What it is, in a line."""
        return f"<{self.kind} {self.dim} x {self.dim}, {self.samples} samples, {self.dtype}, {self.device}>"

    # --- products

    def _product(self, vector: torch.Tensor) -> torch.Tensor:
        self.products += 1
        result: torch.Tensor | None = None
        for share, graph in self._all_graphs():
            parts = graph.product(vector)
            if result is None:
                result = self._vector(parts)
                if share != 1:
                    result.mul_(share)
                continue
            for place, product in zip(result.split(self._sizes), parts, strict=True):
                if product is not None:
                    place.add_(product.detach().reshape(-1), alpha=share)
        return torch.zeros_like(vector) if result is None else result

    def _vector(self, parts: Parts) -> torch.Tensor:
        """Parts as a new vector [P] of the operator's dtype."""
        filled = [torch.zeros_like(p) if a is None else a for a, p in zip(parts, self._parameters, strict=True)]
        return torch.cat([part.detach().reshape(-1).to(self.dtype) for part in filled])

    def _all_graphs(self) -> Iterator[tuple[float, Graph]]:
        """Every batch's graph with its share of the samples: those that are kept, then the others one by one."""
        version = self._weights()
        if version != self._version:
            self._graphs.clear()
            self._version = version
            self._refresh()
        shares = [count / self.samples for count in self._batches.counts]
        yield from zip(shares, self._graphs, strict=False)
        kept = len(self._graphs)
        if kept == len(shares):
            return
        if self._graph_bytes is None:
            self._graph_bytes = self._measured_bytes()
        room = int((1 - _HELD_DATA) * self._memory) // max(1, self._graph_bytes)
        for i, batch in enumerate(self._batches):
            if i < kept:
                continue
            graph = self._built(batch)
            if len(self._graphs) == i and i < room:
                self._graphs.append(graph)
            yield shares[i], graph

    def _weights(self) -> tuple[Any, ...]:
        """What changes when the weights do."""
        return tuple((p._version, p.data_ptr()) for p in self._parameters)

    def once(self, check: Callable[[], None]) -> None:
        """Calls check, with graphs built anew, unless it has passed in this state of the model."""
        buffers = tuple((b._version, b.data_ptr()) for b in self.model.buffers())
        state = (self._weights(), buffers, tuple(module.training for module in self.model.modules()))
        if self._proven != state:
            self._version = ()  # buffers and modes may have changed without the weights
            check()
            self._proven = state

    def _measured_bytes(self) -> int:
        total = [0]
        with counted_bytes(total):
            self._built(self._batches.first())
        return total[0]

    def _refresh(self) -> None:
        """Called when the weights have changed."""

    def _built(self, batch: Any) -> Graph:
        require_evaluation_mode(self.model)
        with twice_differentiable(self.model):
            outputs, targets = self._forward(self.model, batch)
            return self._graph(outputs, targets, samples_in(batch))

    def _graph(self, outputs: Any, targets: Any, samples: int) -> Graph:
        raise NotImplementedError

    # --- loss and gradient

    def _loss_of(self, batch: Any) -> torch.Tensor:
        with twice_differentiable(self.model):
            outputs, targets = self._forward(self.model, batch)
            return self._loss.mean(outputs, targets, samples_in(batch))

    def _number(self, batch: Any) -> float:
        return float(self._loss_of(batch).detach())

    def _gradient_of(self, batch: Any) -> torch.Tensor:
        loss = self._loss_of(batch)
        if not loss.requires_grad:
            raise ValueError("loss_fn: the loss depends on no parameter that requires a gradient")
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return torch.cat(
            [
                (torch.zeros_like(p) if g is None else g).reshape(-1).to(self.dtype)
                for g, p in zip(gradients, self._parameters, strict=True)
            ]
        )

    def loss(self) -> float:
        """The loss at the present weights."""
        shares = [count / self.samples for count in self._batches.counts]
        return sum(share * self._number(batch) for share, batch in zip(shares, self._batches, strict=True))

    def gradient(self) -> torch.Tensor:
        """Its gradient [P]."""
        total = torch.zeros(self.dim, dtype=self.dtype, device=self.device)
        for count, batch in zip(self._batches.counts, self._batches, strict=True):
            total.add_(self._gradient_of(batch), alpha=count / self.samples)
        return total

    def _check(self) -> None:
        """The loss of the first batch must be a mean over its samples, and its gradient the same twice."""
        batch = self._batches.first()
        buffers = [(name, buffer, buffer._version) for name, buffer in self.model.named_buffers()]
        first = self._gradient_of(batch)
        again = self._gradient_of(batch)
        require_repeatable(
            first,
            again,
            "the gradient of the first batch",
            "dropout or other random numbers are at work: call model.eval(), or fix them",
        )
        for name, buffer, version in buffers:
            if buffer._version != version:
                raise ValueError(
                    f"model: the forward pass changes the buffer {name}, so that no two products are the same; "
                    "call model.eval() before measuring"
                )
        with torch.no_grad():
            self._loss.require_equal_weights(self._forward(self.model, batch)[1], samples_in(batch))
        parts = halves(batch)
        if parts is None:
            return
        require_mean(
            self._number(batch),
            (self._number(parts[0]), self._number(parts[1])),
            (samples_in(parts[0]), samples_in(parts[1])),
            self.dtype,
        )


class _Hessian(Curvature):
    kind = "hessian"
    definition = "Hessian of the loss, mean over samples"

    def _graph(self, outputs: Any, targets: Any, samples: int) -> Graph:
        return HessianGraph(self._loss.mean(outputs, targets, samples), self._parameters)


class _GaussNewton(Curvature):
    kind = "gauss_newton"
    definition = "generalised Gauss-Newton matrix J' (d2 l / d f2) J, mean over samples"

    def _graph(self, outputs: Any, targets: Any, samples: int) -> Graph:
        if not isinstance(outputs, torch.Tensor):
            raise ValueError(
                f"{self.kind}: outputs are a {type(outputs).__name__}, not one tensor; give forward=lambda model, "
                "batch: (outputs, targets)"
            )
        loss = partial(self._loss.mean, targets=targets, samples=samples)
        return MetricGraph(outputs, self._parameters, loss)


class _Fisher(_GaussNewton):
    kind = "fisher"
    definition = "Fisher matrix of the model's own distribution of labels, mean over samples"


class _SecondMoment(Curvature):
    kind = "empirical_fisher"
    called = "fisher"
    definition = "E g g' of the gradient g of one sample, uncentred"
    _centred = False

    def _refresh(self) -> None:
        self._mean = self.gradient() if self._centred else None

    def _graph(self, outputs: Any, targets: Any, samples: int) -> Graph:
        losses = self._loss.each(outputs, targets, samples)
        return MetricGraph(losses, self._parameters, None, 1 / samples)

    def _product(self, vector: torch.Tensor) -> torch.Tensor:
        result = super()._product(vector)
        if self._mean is None:
            return result
        return result - self._mean * (self._mean @ vector)


class _NoiseCovariance(_SecondMoment):
    kind = called = "noise_covariance"
    definition = "covariance (centred) of the gradient of one sample's loss"
    _centred = True


def _chosen(model: nn.Module, patterns: Iterable[str] | None) -> tuple[list[str], list[torch.Tensor]]:
    """Parameters that require gradients, or those of them whose names fit. Raises ValueError."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if isinstance(patterns, str):
        patterns = [patterns]
    if patterns is not None:
        wanted = list(patterns)
        for pattern in wanted:
            if not fnmatch.filter(found, pattern):
                raise ValueError(f"parameters = {pattern!r}: fits none of {', '.join(found)}")
        found = {name: p for name, p in found.items() if any(fnmatch.fnmatch(name, w) for w in wanted)}
    if not found:
        raise ValueError("model: no parameter requires a gradient")
    for name, p in found.items():
        if not p.is_floating_point():
            raise ValueError(f"model: parameter {name} is {p.dtype}: must be a real floating-point type")
    if len({p.device for p in found.values()}) > 1:
        raise ValueError("model: its parameters lie on several devices; must be one")
    return list(found), list(found.values())


Maker = Callable[..., Curvature]


def hessian(model: nn.Module, loader: Iterable[Any], loss_fn: LossFunction, **options: Any) -> Curvature:
    """The Hessian of the mean loss over a loader's samples.

    `loss_fn(outputs, targets)` returns the batch's mean (PyTorch's losses, or any function) or losses of its samples
    [n, ...]; batches count by their samples. Options of all four operators:

    - `forward(model, batch) -> (outputs, targets)` for batches that are not (inputs, targets)
    - `parameters`: names or patterns ("head.*") of the parameters to differentiate by; default: all
    - `reduction`: "sum" if the loss function sums over the batch
    - `memory` for graphs and batches ("2GB"); default: half of what is free. More of it is less work a product.

    A product costs one backward pass through the kept graph of the gradient; where that does not fit, a forward and a
    backward pass more. Raises ValueError for what would make products random or mix samples: shuffled loaders, dropout
    and batch norm in training mode.
    """
    return _Hessian(model, loader, loss_fn, **options)


def gauss_newton(model: nn.Module, loader: Iterable[Any], loss_fn: LossFunction, **options: Any) -> Curvature:
    """The generalised Gauss-Newton matrix J' (d2 l / d f2) J, f the outputs. Options as of `hessian`."""
    return _GaussNewton(model, loader, loss_fn, **options)


def fisher(
    model: nn.Module, loader: Iterable[Any], loss_fn: LossFunction, *, labels: str = "model", **options: Any
) -> Curvature:
    """The Fisher matrix: with labels drawn from the model's own distribution ("model") or those of the data ("data").

    "model" is the Gauss-Newton matrix, which it equals where the loss is minus the logarithm of a probability in its
    natural parameters, up to a constant: cross-entropy of logits, squared error. "data" is the empirical Fisher
    E g g', g the gradient of one sample's loss, uncentred. Options as of `hessian`.
    """
    if labels not in ("model", "data"):
        raise ValueError(f"labels = {labels!r}: must be 'model' or 'data'")
    kind: Maker = _Fisher if labels == "model" else _SecondMoment
    return kind(model, loader, loss_fn, **options)


def noise_covariance(model: nn.Module, loader: Iterable[Any], loss_fn: LossFunction, **options: Any) -> Curvature:
    """The covariance E g g' - (E g)(E g)' of the gradient g of one sample's loss: SGD's noise. Options as of `hessian`.

    Losses of single samples come from PyTorch's own losses, from losses per sample, or else from one call a sample.
    """
    return _NoiseCovariance(model, loader, loss_fn, **options)


__all__: Sequence[str] = ["Curvature", "fisher", "gauss_newton", "hessian", "noise_covariance"]
