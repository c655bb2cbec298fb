"""What makes a product mean something: the same each time, of a symmetric matrix, of samples that do not mix."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def _random_or_mixing(module: nn.Module) -> str | None:
    """Why a module in training mode must not be there."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "normalises by the batch's own statistics, so that samples mix"
    dropout = 0.0
    if isinstance(module, nn.modules.dropout._DropoutNd):
        dropout = module.p
    elif (isinstance(module, nn.RNNBase) and module.num_layers > 1) or isinstance(module, nn.MultiheadAttention):
        dropout = module.dropout
    return f"drops at random (p = {dropout:g}), so that no two products are the same" if dropout > 0 else None


def require_evaluation_mode(model: nn.Module) -> None:
    """Raises ValueError if a layer of the model is in training mode and that matters."""
    for name, module in model.named_modules():
        why = _random_or_mixing(module) if module.training else None
        if why:
            place = f"model.{name}" if name else "model"
            raise ValueError(
                f"{place} ({type(module).__name__}) is in training mode and {why}; call model.eval() before measuring"
            )


def loose(dtype: torch.dtype) -> float:
    """The relative difference that rounding may make."""
    return 1e-6 if dtype == torch.float64 else 1e-3


def require_repeatable(first: torch.Tensor, again: torch.Tensor, what: str, cure: str) -> None:
    """Raises ValueError if two computations of one thing differ by more than rounding."""
    size = float(first.double().norm())
    difference = float((first.double() - again.double()).norm())
    if difference > 0.1 * loose(first.dtype) * size:
        share = f"{difference / size:.1g} of its length" if size > 0 else f"{difference:.1g}"
        raise ValueError(f"{what} differs by {share} when it is computed again; {cure}")


def require_mean(whole: float, parts: tuple[float, float], counts: tuple[int, int], dtype: torch.dtype) -> None:
    """Raises ValueError unless the loss of a batch is the mean of the losses of its two halves, by their samples."""
    mean = (counts[0] * parts[0] + counts[1] * parts[1]) / sum(counts)
    room = loose(dtype) * (abs(parts[0]) + abs(parts[1]) + abs(whole))
    if abs(whole - mean) <= room or not all(map(_finite, (whole, *parts))):
        return
    if abs(whole - sum(parts)) <= room:
        raise ValueError("loss_fn: sums over a batch's samples; give reduction='sum', or take their mean")
    raise ValueError(
        f"loss_fn: the loss of the first batch is {whole:.6g}, but the mean of its halves is {mean:.6g}: either "
        "samples mix (batch statistics) or it is no mean over samples (class weights, ignore_index); return losses per "
        "sample, shape [n], or call model.eval()"
    )


def _finite(value: float) -> bool:
    return value - value == 0


def require_matrix(product: Any, random: Any, name: str) -> None:
    """Two random vectors v and w: A v must be the same twice and v'A w = w'A v. Raises ValueError."""
    v, w = random(0), random(1)
    av, aw = product(v.clone()), product(w.clone())  # which products may overwrite
    require_repeatable(
        av,
        product(v.clone()),
        f"{name}: a product",
        "random numbers (dropout, a shuffled loader): fix them, model.eval()",
    )
    if not (torch.isfinite(av).all() and torch.isfinite(aw).all()):
        return  # a status says so
    ahead, back = float(w.double() @ av.double()), float(v.double() @ aw.double())
    size = max(float(av.double().norm()), float(aw.double().norm()))
    limit = 1e-4 if v.dtype == torch.float64 else 1e-2
    # |A v| is about the Frobenius norm for standard normal v, and v'A w spreads by as much.
    if abs(ahead - back) > limit * size:
        raise ValueError(
            f"{name}: not symmetric: w'Av = {ahead:.6g}, but v'Aw = {back:.6g} for random v and w; eigenvalues by "
            "Lanczos are those of symmetric matrices"
        )
