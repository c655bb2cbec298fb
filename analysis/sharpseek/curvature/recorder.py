"""Curvature along a training run that is yours: a file that grows with it."""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sharpseek.curvature.foreign import as_operator
from sharpseek.curvature.operators import Curvature
from sharpseek.curvature.results import Result
from sharpseek.curvature.solve import density, layer_traces, spectrum, trace

QUANTITIES = ("spectrum", "smallest", "trace", "layer_traces", "density", "loss", "gradient")


class Recorder:
    """Measures every so many steps and keeps `out` up to date; `sharpseek.open_run` reads it at any time.

        recorder = Recorder("mine.h5", curvature.hessian(model.eval(), loader, loss_fn), every=100)
        for step, batch in enumerate(batches, 1):
            ...  # train
            recorder(step)

    `quantities` are among spectrum, smallest, trace, layer_traces, density, loss and gradient (its norm). Eigenvalues
    begin from the last record's eigenvectors. While it measures the model is in evaluation mode; afterwards each layer
    is in the mode that it was in. The file is replaced whole at each record, so that it is never half-written;
    `measuring_seconds` and `measuring_products` say what each record cost. `for_lightning()` and `for_transformers()`
    are callbacks of these libraries. `sharpseek watch DIR` shows how far it is, `sharpseek verify` compares its values
    with their checksums; `close()`, or the end of a `with` block, says that training is over.

    Raises ValueError for a file that exists.
    """

    def __init__(
        self,
        out: str | Path,
        op: Curvature,
        *,
        every: int = 100,
        quantities: Sequence[str] = ("spectrum", "trace", "loss"),
        k: int = 5,
        tol: float = 1e-4,
        steps: int | None = None,
    ) -> None:
        """`k` eigenvalues to the tolerance `tol`; `steps` of the whole training, if that is known, for `watch`."""
        unknown = [name for name in quantities if name not in QUANTITIES]
        if unknown or not quantities:
            raise ValueError(f"quantities: {', '.join(unknown) or 'none'}: must be among {', '.join(QUANTITIES)}")
        if every < 1:
            raise ValueError(f"every = {every}: must be at least 1")
        self._out = Path(out)
        if self._out.exists():
            raise ValueError(f"{out}: exists already; give another name or remove it")
        self._op = op
        self._every = every
        self._quantities = list(quantities)
        self._options: dict[str, Any] = {"k": k, "tol": tol, "vectors": True, "progress": False}
        self._attributes: dict[str, Any] = {
            "recorder_process": np.int64(os.getpid()),
            "recorder_host": np.bytes_(socket.gethostname()),  # of fixed length in the file, as the program reads texts
            "record_every": np.int64(every),
            **({} if steps is None else {"steps": np.int64(steps)}),
        }
        self._records: list[xr.Dataset] = []
        self._vectors: dict[str, xr.Dataset] = {}

    def __call__(self, step: int) -> bool:
        """Measures if it is time; whether it did."""
        if step % self._every or (self._records and int(self._records[-1].step[0]) >= step):
            return False
        self.record(step)
        return True

    def record(self, step: int) -> xr.Dataset:
        """Measures now, and adds it to the file."""
        begin, before = time.monotonic(), self._op.products
        with _evaluation_mode(self._op):
            parts = [self._measured(name, step) for name in self._quantities]
        found = xr.merge(parts, compat="override", combine_attrs="override")
        cost = {
            "measuring_seconds": (time.monotonic() - begin, "s", "seconds that this record took to measure"),
            "measuring_products": (self._op.products - before, "1", "products that this record took to measure"),
        }
        for name, (value, units, words) in cost.items():
            found[name] = _single(value, words, units)
        self._records.append(found)
        self._write()
        return found

    def close(self) -> None:
        """Says in the file that nothing follows."""
        if self._records and "recorder_finished" not in self._attributes:
            self._attributes["recorder_finished"] = self._records[-1].attrs["finished"]
            self._write()

    def __enter__(self) -> Recorder:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Closes it, unless training has failed."""
        if kind is None:
            self.close()

    def _measured(self, name: str, step: int) -> xr.Dataset:
        if name in ("spectrum", "smallest"):
            end = "bottom" if name == "smallest" else "top"
            found = spectrum(self._op, end=end, start=self._vectors.get(name), step=step, **self._options)
            self._vectors[name] = found
            return found.drop_vars([v for v in found if str(v).endswith("eigenvectors")])
        estimates: dict[str, Callable[..., xr.Dataset]] = {
            "trace": trace,
            "layer_traces": layer_traces,
            "density": density,
        }
        if name in estimates:
            # Other random vectors at each record, so that errors average out.
            return estimates[name](self._op, seed=step, step=step, progress=False)
        result = Result(as_operator(self._op), step)
        if name == "loss":
            result.add("loss", self._op.loss(), "mean over samples of the loss")
        else:
            result.add("gradient_norm", float(self._op.gradient().norm()), "norm of the gradient of the mean loss")
        return result.dataset()

    def _write(self) -> None:
        whole = xr.concat(
            self._records, "time", data_vars="minimal", coords="minimal", compat="override", combine_attrs="override"
        )
        whole.attrs |= self._attributes
        for variable in whole.variables.values():
            variable.attrs["crc32"] = np.int64(_checksum(variable.values))
        self._out.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._out.with_name(f".{self._out.name}.{os.getpid()}")
        whole.to_netcdf(fresh, engine="h5netcdf")
        fresh.replace(self._out)

    def for_lightning(self) -> Any:
        """A callback for `Trainer(callbacks=[...])` of PyTorch Lightning."""
        from lightning.pytorch.callbacks import Callback  # type: ignore[import-not-found]

        recorder = self

        class Record(Callback):
            def on_train_batch_end(self, trainer: Any, *rest: Any, **more: Any) -> None:
                recorder(trainer.global_step)

        return Record()

    def for_transformers(self) -> Any:
        """A callback for `Trainer(callbacks=[...])` of Hugging Face transformers."""
        from transformers import TrainerCallback  # type: ignore[import-not-found]

        recorder = self

        class Record(TrainerCallback):
            def on_step_end(self, arguments: Any, state: Any, control: Any, **more: Any) -> None:
                recorder(state.global_step)

        return Record()


def _checksum(values: np.ndarray) -> int:
    """CRC-32 as the program computes it: of float64 or int64 in memory; of texts with their lengths before them."""
    if values.dtype.kind in "UO":
        encoded = [str(text).encode() for text in values.ravel()]
        return zlib.crc32(b"".join(np.uint64(len(text)).tobytes() + text for text in encoded))
    return zlib.crc32(
        np.ascontiguousarray(values, dtype=np.int64 if values.dtype.kind == "i" else np.float64).tobytes()
    )


def _single(value: float, words: str, units: str = "1") -> xr.Variable:
    return xr.Variable(("replica", "time"), np.array([[float(value)]]), {"units": units, "long_name": words})


@contextmanager
def _evaluation_mode(op: Curvature) -> Iterator[None]:
    modes = [(module, module.training) for module in op.model.modules()]
    op.model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
