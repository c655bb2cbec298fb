"""Spectra of your own network: script it, write its data, measure, read the result.

    ./lab build
    python examples/measure_module.py [--sharpseek build/release/sharpseek] [--out out/module]

Needs Python packages torch, numpy, h5py and xarray with h5netcdf. Without --sharpseek nothing is measured: the module
and its data are written, and the command is printed.
"""

import argparse
import shutil
import subprocess
import warnings
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn


class Classifier(nn.Module):
    """A transformer encoder over short sequences; any module whose forward takes one tensor will do."""

    def __init__(self, features: int = 8, width: int = 32, classes: int = 5) -> None:
        """A classifier of sequences of `features` numbers a token."""
        super().__init__()
        self.embed = nn.Linear(features, width)
        layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [batch, tokens, features] -> logits [batch, classes]."""
        return self.head(self.encoder(self.embed(x)).mean(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sharpseek", default=shutil.which("sharpseek"))
    parser.add_argument("--out", type=Path, default=Path("out/module"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)

    # Measure a model in eval mode: dropout and batch norm in training mode are refused.
    model = Classifier().eval()
    # PyTorch deprecates TorchScript, which is what C++ loads, and says so once for every submodule.
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", r".*torch\.jit", category)
        torch.jit.script(model).save(str(arguments.out / "model.pt"))

    inputs = torch.randn(512, 6, 8)
    classes = torch.randint(0, 5, (512,))
    with h5py.File(arguments.out / "data.h5", "w") as file:
        file["inputs"] = inputs.numpy()
        file["targets"] = classes.numpy().astype(np.int64)

    command = ["measure", "--module", str(arguments.out / "model.pt"), "--data", str(arguments.out / "data.h5")]
    command += ["--loss", "cross-entropy", "--quantities", "spectrum,smallest,density"]
    command += ["--out", str(arguments.out / "measure.h5")]
    if arguments.sharpseek is None:
        print("sharpseek", *command)
        return
    (arguments.out / "measure.h5").unlink(missing_ok=True)
    subprocess.run([arguments.sharpseek, *command], check=True)

    import xarray as xr

    found = xr.open_dataset(arguments.out / "measure.h5", engine="h5netcdf").isel(replica=0, time=0)
    for value, residual in zip(found.eigenvalues.values, found.eigenvalue_residuals.values, strict=True):
        print(f"eigenvalue {value:.6f} within {residual:.1e}")
    print(f"trace {float(found.trace):.4f} +- {float(found.trace_error):.4f}")


if __name__ == "__main__":
    main()
