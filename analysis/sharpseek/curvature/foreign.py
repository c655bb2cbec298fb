"""Whatever is a matrix or multiplies like one, as products of torch vectors: shared memory, by DLPack."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sharpseek.curvature.operators import Curvature

Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Operator:
    """A matrix as the algorithms see it."""

    product: Product
    dim: int
    like: torch.Tensor
    kind: str = "matrix"
    definition: str = "the given operator"
    blocks: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    source: Curvature | None = None


def _library_of(x: Any) -> str:
    """The package that an object comes from: numpy, torch, jax, cupy, ..."""
    root = type(x).__module__.partition(".")[0]
    return {"jaxlib": "jax", "cupyx": "cupy", "scipy": "numpy"}.get(root, root)


def _like(op: Any, like: Any) -> Any:
    """An array of the kind that the operator multiplies. Raises TypeError."""
    if like is not None:
        return like
    if hasattr(op, "like"):
        return op.like
    dtype, library = getattr(op, "dtype", None), _library_of(op)
    if isinstance(dtype, torch.dtype):
        device = getattr(op, "device", None)
        return torch.empty(0, dtype=dtype, device=device)
    if library in ("jax", "cupy"):
        return importlib.import_module(f"{library}.numpy" if library == "jax" else library).empty(0, dtype=dtype)
    if dtype is not None:
        return np.empty(0, dtype=np.dtype(dtype))
    raise TypeError(
        f"op: a {type(op).__name__} has no dtype; give like=, an array of the kind, dtype and device that it multiplies"
    )


def _dimension(op: Any, dim: int | None) -> int:
    for found in (dim, getattr(op, "dim", None), getattr(op, "size", None) if not hasattr(op, "shape") else None):
        if isinstance(found, int | np.integer):
            return int(found)
    shape = getattr(op, "shape", None)
    if shape is None:
        raise TypeError(f"op: a {type(op).__name__} has no shape; give dim=, the number of its rows")
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"op: shape {tuple(shape)}: must be square")
    return int(shape[0])


def _multiply(op: Any) -> Callable[[Any], Any]:
    if hasattr(op, "matvec"):
        return op.matvec
    if hasattr(op, "__matmul__"):
        return lambda v: op @ v
    if callable(op):
        return op
    raise TypeError(f"op: a {type(op).__name__} neither multiplies by @ or matvec nor can be called")


def _conversions(like: Any) -> tuple[torch.Tensor, Callable[[torch.Tensor], Any], Product]:
    """A torch tensor of the vectors' dtype and device, and the ways to the library of `like` and back."""
    library = _library_of(like)
    if library == "torch":
        return like.detach(), lambda v: v, lambda a: a.detach()
    if library == "numpy":
        dtype = {"float32": torch.float32, "float64": torch.float64}.get(str(like.dtype))
        if dtype is None:
            raise TypeError(f"op: vectors are {like.dtype}: must be float32 or float64")
        return torch.empty(0, dtype=dtype), lambda v: v.numpy(), lambda a: torch.as_tensor(np.ascontiguousarray(a))
    if library in ("jax", "cupy"):
        arrays = importlib.import_module("jax.dlpack" if library == "jax" else "cupy")
        return torch.from_dlpack(like), arrays.from_dlpack, torch.from_dlpack
    raise TypeError(f"like: a {type(like).__name__}: must be an array of NumPy, PyTorch, JAX or CuPy")


def as_operator(op: Any, dim: int | None = None, like: Any = None) -> Operator:
    """Any operator, matrix or function. Raises TypeError or ValueError for what is none."""
    if isinstance(op, Curvature):
        return Operator(op.matvec, op.dim, op.like, op.kind, op.definition, op.blocks, op.samples, op)
    size = _dimension(op, dim)
    tensor, there, back = _conversions(_like(op, like))
    if tensor.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"op: vectors are {tensor.dtype}: must be float32 or float64")
    multiply = _multiply(op)

    def product(vector: torch.Tensor) -> torch.Tensor:
        result = back(multiply(there(vector)))
        if result.numel() != size:
            raise ValueError(f"op: a product has {result.numel()} elements, not the dimension {size}")
        return result.to(tensor.device, tensor.dtype).reshape(-1)

    name = type(op).__name__ if type(op).__name__ != "function" else getattr(op, "__name__", "function")
    return Operator(product, size, tensor.new_empty(0), definition=f"the given {name}")
