"""Eigenvalues, traces and densities of an operator, each with what bounds its error."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.utils.dlpack import from_dlpack, to_dlpack

from sharpseek.curvature.checks import require_matrix
from sharpseek.curvature.foreign import Operator, as_operator
from sharpseek.curvature.native import native
from sharpseek.curvature.results import STATUS, Result, prefix_of
from sharpseek.curvature.work import Work

ENDS = ("top", "bottom", "both")
METHODS = ("hutchinson", "hutch++", "xtrace")
DENSE_LIMIT = 64
"""Up to so many parameters all eigenvalues are computed from the matrix."""
EXACT_LIMIT = 512
"""Up to so many parameters a trace is exact."""
_MOST_PRODUCTS = 4096


def _adapted(op: Operator, work: Work) -> Any:
    """The operator for the extension: capsules of DLPack in and out."""

    def product(capsule: Any) -> Any:
        result = op.product(from_dlpack(capsule))
        return to_dlpack(result.detach().contiguous())

    # What our own operators are given they leave alone, and what they return is new.
    return native().Operator(product, work.count, op.dim, to_dlpack(op.like), op.source is not None)


def _check(op: Operator, seed: int = 0) -> None:
    def random(index: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(2 * seed + index)
        return torch.randn(op.dim, generator=generator, dtype=op.like.dtype).to(op.like.device)

    def check() -> None:
        require_matrix(op.product, random, op.kind if op.kind != "matrix" else "op")

    if op.source is None:
        check()
    else:
        op.source.once(check)


def _whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    limit = f"at least {least}" if most is None else f"from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least or (most and value > most):
        raise ValueError(f"{name} = {value!r}: must be a whole number {limit}")


def _start(start: Any, op: Operator, variable: str) -> Any:
    """Vectors [k, P] near the wanted ones, as a capsule."""
    if start is None:
        return None
    if isinstance(start, xr.Dataset):
        if variable not in start:
            raise ValueError(f"start: has no {variable}; make it by spectrum(..., vectors=True)")
        start = start[variable].values[0, -1]
    vectors = torch.as_tensor(start).to(op.like.device, op.like.dtype)
    if vectors.dim() != 2 or vectors.shape[1] != op.dim:
        raise ValueError(f"start: shape {tuple(vectors.shape)}: must be (any, {op.dim}), one vector a row")
    return to_dlpack(vectors.contiguous())


def spectrum(
    op: Any,
    k: int = 5,
    end: str = "top",
    tol: float = 1e-5,
    *,
    vectors: bool = False,
    multiplicities: bool = True,
    start: Any = None,
    steps: int = 300,
    basis: int = 64,
    dim: int | None = None,
    like: Any = None,
    step: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """The k largest ("top") or smallest eigenvalues ("bottom"), or both, with their true residuals.

    Thick-restart Lanczos with reorthogonalisation where it is needed, locking and a proof that no copy of a repeated
    eigenvalue is missing; up to 64 parameters the whole matrix. `tol` is that of a residual |A v - lambda v| relative
    to the largest |eigenvalue|: float32 reaches 3e-7. Each residual comes from products of the operator, which one more
    confirms at the end, and bounds its eigenvalue's error. `spectrum_status` (or `smallest_status`) says 0 converged,
    1 not converged within `steps` products of a pass or interrupted by Ctrl-C, 2 not finite.

    `vectors` adds eigenvectors [.., eigen, parameter]; `start` takes such a result (or an array [any, P]) of weights
    nearby as a warm start. `multiplicities=False` leaves the proof of copies out, a third of the products where there
    are none: a repeated eigenvalue may then be shown once. `basis` vectors of P are held, and as many products if they
    fit into 512 MiB. `dim` and `like` (an array of the kind that it multiplies) describe a function. `step` is the
    coordinate of the result; `progress` shows a line on standard error.

    Variables: `eigenvalues`, `eigenvalue_residuals`, `sharpness`, `smallest_eigenvalues` and so on; those of other
    matrices begin with `gauss_newton_` (whose residuals are `gauss_newton_residuals`, as in run files), `fisher_`,
    `noise_`. Raises ValueError for an operator that is not symmetric or not the same twice.
    """
    matrix = as_operator(op, dim, like)
    _whole("k", k, 1, matrix.dim)
    if end not in ENDS:
        raise ValueError(f"end = {end!r}: must be {', '.join(ENDS)}")
    if not tol > 0:
        raise ValueError(f"tol = {tol!r}: must be above 0")
    _check(matrix)
    dense = matrix.dim <= DENSE_LIMIT
    with Work(f"spectrum of {matrix.kind}", matrix.dim if dense else None, progress) as work:
        native_op = _adapted(matrix, work)
        found: dict[str, dict[str, Any]] = {}
        if dense:
            found = _ends_of(native().dense(native_op), k)
        for smallest in () if dense else (False, True):
            if end != "both" and smallest != (end == "bottom"):
                continue
            variable = _name(matrix, smallest, "eigenvectors")
            found["bottom" if smallest else "top"] = native().lanczos(
                native_op,
                count=k,
                smallest=smallest,
                tolerance=tol,
                steps=max(steps, k),
                basis=basis,
                vectors=vectors,
                multiplicities=multiplicities,
                start=_start(start, matrix, variable),
            )
    return _spectrum_result(matrix, found, end, vectors, step, work, tolerance=tol)


def _ends_of(dense: dict[str, Any], k: int) -> dict[str, dict[str, Any]]:
    vectors = from_dlpack(dense["vectors"])
    both = {}
    for name, order in (("top", slice(None, k)), ("bottom", slice(None, -k - 1, -1))):
        part = {key: dense[key][order] for key in ("values", "residuals")}
        chosen = vectors[:k] if name == "top" else vectors.flip(0)[:k]
        both[name] = {**dense, **part, "vectors": to_dlpack(chosen.contiguous())}
    return both


def _name(op: Operator, smallest: bool, variable: str) -> str:
    return prefix_of(op.kind) + ("smallest_" if smallest else "") + variable


def _spectrum_result(
    op: Operator, found: dict[str, dict[str, Any]], end: str, vectors: bool, step: int, work: Work, **attributes: Any
) -> xr.Dataset:
    result = Result(
        op, step, products=work.products, seconds=work.seconds, interrupted=int(work.interrupted), **attributes
    )
    for smallest in (False, True):
        which = "bottom" if smallest else "top"
        if end not in (which, "both"):
            continue
        part = found[which]
        words = "smallest (most negative) eigenvalues, ascending" if smallest else "largest eigenvalues, descending"
        single = "gauss_newton_residuals" if op.kind == "gauss_newton" and not smallest else None
        residuals = single or _name(op, smallest, "eigenvalue_residuals")
        status = _name(op, smallest, "status")
        if status == "status":
            status = "spectrum_status"
        result.add(_name(op, smallest, "eigenvalues"), part["values"], f"{words}: {op.definition}", "eigen")
        result.add(
            residuals, part["residuals"], "|A v - lambda v| of each with its unit vector: an error bound", "eigen"
        )
        result.add(status, part["status"], STATUS)
        if not smallest:
            result.add(prefix_of(op.kind) + "sharpness", part["values"][0], f"largest eigenvalue: {op.definition}")
        if vectors:
            found_vectors = from_dlpack(part["vectors"]).cpu().numpy()
            result.add(
                _name(op, smallest, "eigenvectors"), found_vectors, "unit eigenvectors of each", "eigen parameter"
            )
    return result.dataset()


def trace(
    op: Any,
    method: str = "xtrace",
    rel_error: float | None = None,
    *,
    products: int = 64,
    seed: int = 0,
    dim: int | None = None,
    like: Any = None,
    step: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """The trace with its standard error and the half width of its 95 % interval (Student's t).

    `method`: "hutchinson", "hutch++" (Meyer et al. 2021) or "xtrace" (Epperly, Tropp, Webber 2024), all unbiased. With
    `rel_error` the products are doubled from `products` until the standard error is below rel_error x |trace|, 4096 at
    most: never because two running means happen to agree. Up to 512 parameters, and with as many products as
    parameters, the trace is exact. XTrace and Hutch++ hold about as many vectors of P as they take products. Ctrl-C
    ends with the last finished estimate.

    Variables: `trace`, `trace_error`, `trace_half_width`.
    """
    matrix = as_operator(op, dim, like)
    if method not in METHODS:
        raise ValueError(f"method = {method!r}: must be {', '.join(METHODS)}")
    if rel_error is not None and not rel_error > 0:
        raise ValueError(f"rel_error = {rel_error!r}: must be above 0")
    _whole("products", products, 2 if method == "hutchinson" else 6)
    _check(matrix)
    count = matrix.dim if matrix.dim <= EXACT_LIMIT else products
    estimate: dict[str, Any] | None = None
    with Work(f"trace of {matrix.kind}", None, progress) as work:
        while True:
            found = _estimate(matrix, work, method, count, seed, estimate is not None)
            estimate = found or estimate
            assert estimate is not None
            open_ = rel_error is not None and estimate["standard_error"][0] > rel_error * abs(estimate["trace"][0])
            count *= 2
            if found is None or work.interrupted or not open_ or count > _MOST_PRODUCTS:
                break
    if rel_error is not None and open_:
        warnings.warn(f"trace: rel_error = {rel_error:g} was not reached; its error says how far", stacklevel=2)
    result = Result(
        matrix,
        step,
        products=work.products,
        seconds=work.seconds,
        interrupted=int(work.interrupted),
        trace_method=method if estimate["products"] < matrix.dim else "exact",
    )
    name = prefix_of(matrix.kind) + "trace"
    result.add(name, estimate["trace"][0], f"trace: {matrix.definition}")
    result.add(f"{name}_error", estimate["standard_error"][0], f"standard error of {name}; 0 where it is exact")
    result.add(f"{name}_half_width", estimate["half_width"][0], f"half width of the 95 % interval of {name}")
    return result.dataset()


class _EnoughError(Exception):
    """An interruption inside an estimate that is not needed."""


def _estimate(
    op: Operator, work: Work, method: str, products: int, seed: int, dispensable: bool
) -> dict[str, Any] | None:
    """One estimate; None if an interruption ends it while there is an earlier one."""

    def product(vector: torch.Tensor) -> torch.Tensor:
        if dispensable and work.interrupted:
            raise _EnoughError
        return op.product(vector)

    part = Operator(product, op.dim, op.like)
    try:
        return native().trace(_adapted(part, work), method=method, products=products, seed=seed)
    except _EnoughError:
        return None


def layer_traces(
    op: Any,
    *,
    products: int = 64,
    seed: int = 0,
    blocks: Mapping[str, int] | None = None,
    dim: int | None = None,
    like: Any = None,
    step: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """The trace of each parameter's own block, with standard errors, all from the products of one trace.

    Hutchinson's estimator with random signs z: z_b' (A z)_b; exact up to 512 parameters. `blocks` gives names and sizes
    in the order of the vector for operators that have none.

    Variables: `layer_trace`, `layer_trace_error`, `layer_trace_half_width` [.., layer].
    """
    matrix = as_operator(op, dim, like)
    layers = dict(blocks) if blocks is not None else matrix.blocks
    if not layers:
        raise ValueError("blocks: must be given for an operator that does not know its layers: {name: size}")
    _whole("products", products, 2)
    _check(matrix)
    count = matrix.dim if matrix.dim <= EXACT_LIMIT else products
    with Work(f"traces of the layers of {matrix.kind}", count, progress) as work:
        found = native().block_traces(_adapted(matrix, work), sizes=list(layers.values()), products=count, seed=seed)
    result = Result(matrix, step, products=work.products, seconds=work.seconds, interrupted=int(work.interrupted))
    result.layers(list(layers))
    name = prefix_of(matrix.kind) + "layer_trace"
    result.add(name, found["trace"], f"trace of each layer's own diagonal block: {matrix.definition}", "layer")
    result.add(f"{name}_error", found["standard_error"], f"standard error of {name}; 0 where it is exact", "layer")
    result.add(f"{name}_half_width", found["half_width"], f"half width of the 95 % interval of {name}", "layer")
    return result.dataset()


def density(
    op: Any,
    *,
    probes: int = 8,
    steps: int = 64,
    points: int = 201,
    width: float = 0.01,
    seed: int = 0,
    dim: int | None = None,
    like: Any = None,
    step: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """The density of eigenvalues with its pointwise 95 % band, by stochastic Lanczos quadrature.

    `probes` random vectors of `steps` products each; nodes are drawn as Gaussians of `width` x the spectrum's range.
    It integrates to 1. Ctrl-C ends with the vectors so far, two at least. `sharpseek.plot.density` draws it.

    Variables: `density_grid`, `density`, `density_half_width` [.., grid], `density_sigma`.
    """
    matrix = as_operator(op, dim, like)
    _whole("probes", probes, 2)
    _whole("steps", steps, 1)
    _whole("points", points, 2)
    _check(matrix)
    with Work(f"density of {matrix.kind}", probes * min(steps, matrix.dim), progress) as work:
        found = native().density(
            _adapted(matrix, work), probes=probes, steps=steps, points=points, width=width, seed=seed
        )
    result = Result(
        matrix,
        step,
        products=work.products,
        seconds=work.seconds,
        interrupted=int(work.interrupted),
        probes=found["probes"],
    )
    name = prefix_of(matrix.kind) + "density"
    about = f"density of eigenvalues by stochastic Lanczos quadrature, integrates to 1: {matrix.definition}"
    result.add(f"{name}_grid", found["grid"], "eigenvalue at each point of the density", "grid")
    result.add(name, found["density"], about, "grid")
    result.add(
        f"{name}_half_width",
        found["half_width"],
        "half width of its pointwise 95 % band, from the spread of probes",
        "grid",
    )
    result.add(f"{name}_sigma", found["sigma"], "width of the Gaussians")
    return result.dataset()
