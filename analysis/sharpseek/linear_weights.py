"""The matrices of a linear network from the parameters that a run kept."""

from __future__ import annotations

import numpy as np
import xarray as xr


def linear_weights(run: xr.Dataset) -> list[np.ndarray]:
    """W_1 .. W_D of every replica and record: [replica, time, out, in] each.

    Needs `parameters` (measure.keep_parameters = true) and `teacher`. Raises ValueError where the parameters are not
    those of a linear network without offsets, with hidden layers of one width.
    """
    outputs, inputs = run["teacher"].shape
    depth, count = run.sizes["layer"], run.sizes["parameter"]
    width = next((w for w in range(1, count + 1) if _parameters(inputs, outputs, w, depth) >= count), 0)
    if depth < 2 or _parameters(inputs, outputs, width, depth) != count:
        raise ValueError(f"{count} parameters: not a linear network of {depth} matrices")
    sizes = [inputs, *[width] * (depth - 1), outputs]
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    values = run["parameters"].values
    return [
        part.reshape(*values.shape[:2], *shape)
        for part, shape in zip(np.split(values, ends, axis=-1), shapes, strict=True)
    ]


def _parameters(inputs: int, outputs: int, width: int, depth: int) -> int:
    return width * (inputs + outputs + (depth - 2) * width)


def layer_conditions(run: xr.Dataset) -> np.ndarray:
    """[replica, time, layer] condition number of each matrix: its largest over its smallest of the singular values that
    a product of the teacher's rank can use."""
    rank = int(np.linalg.matrix_rank(run["teacher"].values))
    found = []
    for weights in linear_weights(run):
        finite = np.isfinite(weights).all(axis=(-1, -2))
        singular = np.linalg.svd(np.where(finite[..., None, None], weights, 0.0), compute_uv=False)
        with np.errstate(divide="ignore", invalid="ignore"):
            condition = singular[..., 0] / singular[..., rank - 1]
        found.append(np.where(finite, condition, np.nan))
    return np.stack(found, axis=-1)
