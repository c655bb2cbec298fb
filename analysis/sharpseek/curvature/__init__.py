"""Hessian spectra, traces and densities of your own PyTorch model and loss, in your own process.

    from sharpseek import curvature

    H = curvature.hessian(model.eval(), loader, torch.nn.CrossEntropyLoss())
    print(curvature.spectrum(H, 5).sharpness, curvature.trace(H).trace)

Operators (`hessian`, `gauss_newton`, `fisher`, `noise_covariance`) know a matrix by its products, which run in
PyTorch's autograd. `spectrum`, `trace`, `layer_traces` and `density` take one of them, an operator of curvlinops, a
matrix, anything with `@` or `matvec`, or a function with `dim` and `like`; their algorithms are those of the program
sharpseek.
Results are xarray.Datasets in the schema of its files (docs/files.md): `to_netcdf` gives a file that
`sharpseek.open_run` opens.

The loss is a mean over samples: batches count by their samples. What it does with outputs is up to `loss_fn`.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"sharpseek.curvature needs PyTorch ({error}): pip install torch; reading run files needs none"
    ) from None

from sharpseek.curvature.operators import Curvature, fisher, gauss_newton, hessian, noise_covariance
from sharpseek.curvature.recorder import Recorder
from sharpseek.curvature.solve import density, layer_traces, spectrum, trace

__all__ = [
    "Curvature",
    "Recorder",
    "density",
    "fisher",
    "gauss_newton",
    "hessian",
    "layer_traces",
    "noise_covariance",
    "spectrum",
    "trace",
]
