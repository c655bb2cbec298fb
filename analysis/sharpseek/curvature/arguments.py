"""Model, loader and loss function: what each may be, and one line where one is something else."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

FORWARD = "give forward=lambda model, batch: (outputs, targets)"
"""The cure for batches and models that the usual call does not fit."""


def named(x: Any) -> str:
    """What an argument is, as a message says it."""
    kind = type(x).__name__
    if inspect.isclass(x):
        return f"the class {x.__name__}"
    if x is None or isinstance(x, bool | int | float):
        return repr(x)
    if inspect.isroutine(x):
        return f"the function {getattr(x, '__name__', kind)}"
    what = f"{'an' if kind[0] in 'AEIOUaeio' else 'a'} {kind}"
    if isinstance(x, torch.Tensor) or kind == "ndarray":
        return f"{what} of shape {tuple(x.shape)}"
    if isinstance(x, Mapping):
        keys = [repr(key) for key, _ in zip(x, range(4), strict=False)]
        return f"{what} with {', '.join(keys)}{', ..' if len(x) > 4 else ''}"
    if isinstance(x, tuple | list):
        kinds = sorted({type(part).__name__ for part in x})
        return f"{what} of {len(x)}" + (f" ({', '.join(kinds)})" if x else "")
    return what


def _is_model(x: Any) -> bool:
    """Losses are modules too, but have nothing to differentiate by."""
    return isinstance(x, nn.Module) and next(x.parameters(), None) is not None


def _is_loader(x: Any) -> bool:
    # A Sequential can be iterated over, but gives layers. A Dataset has no __iter__; what it lacks is said later.
    iterable = isinstance(x, Iterable) or hasattr(type(x), "__getitem__")
    return iterable and not isinstance(x, nn.Module | torch.Tensor | str | bytes) and not inspect.isclass(x)


def _is_function(x: Any) -> bool:
    return callable(x) and not inspect.isclass(x)


def _fault(model: Any, loader: Any, loss_fn: Any) -> str | None:
    """What is said of the first argument that cannot be what its place asks for."""
    if not _is_model(model):
        cure = "; give its .module()" if isinstance(model, torch.export.ExportedProgram) else ""
        return f"model: is {named(model)}, not a torch.nn.Module with parameters{cure}"
    if not _is_loader(loader):
        cure = "; give [(inputs, targets)]" if isinstance(loader, torch.Tensor) else ""
        return f"loader: is {named(loader)}, not a DataLoader or a list of batches (inputs, targets){cure}"
    if not _is_function(loss_fn):
        cure = f"; give an instance, {loss_fn.__name__}()" if inspect.isclass(loss_fn) else ""
        return f"loss_fn: is {named(loss_fn)}, not a function of (outputs, targets){cure}"
    return None


def require_arguments(call: str, model: Any, loader: Any, loss_fn: Any, forward: Any) -> None:
    """Raises ValueError unless each can be what its place asks for. `call`: the function that was called."""
    fault = _fault(model, loader, loss_fn)
    if fault:
        given = ", ".join(x.__name__ if inspect.isclass(x) else type(x).__name__ for x in (model, loader, loss_fn))
        raise ValueError(f"{fault}; the order is {call}(model, loader, loss_fn), and it was given ({given})")
    if forward is not None and not _is_function(forward):
        raise ValueError(f"forward: is {named(forward)}, not a function of (model, batch)")
    if forward is None and getattr(model.forward, "__func__", None) is nn.Module.forward:
        raise ValueError(f"model: is {named(model)}, which has no forward(); {FORWARD}")


def require_pair(batch: Any, loader: Any) -> None:
    """Raises ValueError unless a batch is (inputs, targets)."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return
    single = isinstance(loader, tuple | list) and len(loader) == 2 and isinstance(batch, torch.Tensor)
    cure = "give [(inputs, targets)], a list of batches" if single else FORWARD
    raise ValueError(f"loader: a batch is {named(batch)}, not (inputs, targets); {cure}")
