"""What a loss function returns, as a mean over samples and as losses of single samples."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

LossFunction = Callable[[Any, Any], torch.Tensor]
"""(outputs, targets) -> the mean over the batch's samples, or their losses [n, ...], summed over what follows."""
REDUCTIONS = ("mean", "sum")


class Loss:
    """A loss function with what its results mean. Raises ValueError."""

    def __init__(self, function: LossFunction, reduction: str | None) -> None:
        """`reduction`: what a single number is; by default what the function itself says, else the mean."""
        own = getattr(function, "reduction", None)
        chosen = reduction or (own if own in REDUCTIONS else "mean")
        if chosen not in REDUCTIONS:
            raise ValueError(f"reduction = {reduction!r}: must be 'mean' or 'sum'")
        self._function = function
        self._sum = chosen == "sum"

    def mean(self, outputs: Any, targets: Any, samples: int) -> torch.Tensor:
        """The mean over a batch's samples."""
        value = self._value(outputs, targets)
        if value.dim() == 0:
            return value / samples if self._sum else value
        if len(value) != samples:
            raise ValueError(
                f"loss_fn: returned shape {tuple(value.shape)} for {samples} samples; must be one number, the mean "
                "over samples, or a loss for each of them"
            )
        return value.sum() / samples

    def each(self, outputs: torch.Tensor, targets: Any, samples: int) -> torch.Tensor:
        """The losses [n] of single samples."""
        function = self._function
        if getattr(function, "reduction", None) in REDUCTIONS and isinstance(function, torch.nn.Module):
            # PyTorch's own: a mean also averages over outputs or tokens, which stays so.
            averaged = function.reduction == "mean"
            function = copy.copy(function)
            function.reduction = "none"
            values = function(outputs, targets).reshape(samples, -1)
            if getattr(function, "weight", None) is None and getattr(function, "ignore_index", -100) < 0:
                return values.mean(1) if averaged else values.sum(1)
            function = self._function
        value = self._value(outputs, targets)
        if value.dim() > 0:
            return value.reshape(samples, -1).sum(1)
        return torch.stack([self._function(outputs[i : i + 1], targets[i : i + 1]) for i in range(samples)])

    def require_equal_weights(self, targets: Any, samples: int) -> None:
        """Raises ValueError if PyTorch's own mean counts the samples of this batch unequally.

        Over class weights or targets that are ignored it divides by what they add up to in the batch. The two halves of
        a batch may hide that, if their classes are nearly as frequent.
        """
        function = self._function
        if not isinstance(function, torch.nn.CrossEntropyLoss | torch.nn.NLLLoss) or function.reduction != "mean":
            return
        if not isinstance(targets, torch.Tensor) or targets.is_floating_point() or targets.numel() % samples:
            return
        counted = targets != function.ignore_index
        weights = counted.double()
        if function.weight is not None:
            weights = weights * function.weight.double()[torch.where(counted, targets, 0)]
        mass = weights.reshape(samples, -1).sum(1)
        if float(mass.max() - mass.min()) > 1e-6 * float(mass.abs().max()):
            why = "class weights" if function.weight is not None else f"ignore_index = {function.ignore_index}"
            raise ValueError(
                f"loss_fn: {type(function).__name__} divides by the sum of the batch's weights ({why}), so that it is "
                "no mean over samples; give it reduction='none': losses per sample, shape [n], are averaged here"
            )

    def _value(self, outputs: Any, targets: Any) -> torch.Tensor:
        value = self._function(outputs, targets)
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"loss_fn: returned a {type(value).__name__}, not a tensor")
        return value
