"""The recorder: a file that grows along a training loop, with what the weights of each moment give."""

import os
import sys
import types
import zlib
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import sharpseek

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
pytest.importorskip("sharpseek.curvature", exc_type=ImportError)

from curvature_models import make_case  # noqa: E402
from sharpseek import curvature  # noqa: E402


def test_a_training_loop_is_recorded_as_it_goes(tmp_path: Path) -> None:
    case = make_case("perceptron")
    out = tmp_path / "deep/mine.h5"
    op = curvature.hessian(case.model, case.loader(), case.loss)
    wanted = ["spectrum", "smallest", "trace", "layer_traces", "loss", "gradient"]
    recorder = curvature.Recorder(out, op, every=2, quantities=wanted, k=3, tol=1e-9)
    optimizer = torch.optim.SGD(case.model.parameters(), lr=0.1)
    exact = []
    for step in range(1, 7):
        case.model.train()
        case.model[1].eval()  # a layer whose statistics are frozen
        optimizer.zero_grad()
        case.loss(case.model(case.inputs), case.targets).backward()
        optimizer.step()
        assert recorder(step) is (step % 2 == 0)
        assert case.model[0].training and not case.model[1].training
        case.model.eval()
        if step % 2 == 0:
            with torch.no_grad():
                loss = float(case.loss(case.model(case.inputs), case.targets))
            exact.append((np.linalg.eigvalsh(case.hessian().numpy()), loss))
            run = sharpseek.open_run(out)
            assert run.sizes["time"] == step // 2
    assert recorder(6) is False
    run = sharpseek.open_run(out).load()
    np.testing.assert_array_equal(run.step, [2, 4, 6])
    for t, (values, loss) in enumerate(exact):
        np.testing.assert_allclose(run.eigenvalues[0, t], values[::-1][:3], atol=1e-9)
        np.testing.assert_allclose(run.smallest_eigenvalues[0, t], values[:3], atol=1e-9)
        np.testing.assert_allclose(run.trace[0, t], values.sum(), rtol=1e-9)
        np.testing.assert_allclose(run.layer_trace[0, t].sum(), values.sum(), rtol=1e-9)
        np.testing.assert_allclose(run.loss[0, t], loss, rtol=1e-9)
    assert np.all(run.measuring_products > 0) and np.all(run.measuring_seconds > 0)
    assert np.all(run.spectrum_status == 0) and "eigenvectors" not in run
    assert [p.name for p in out.parent.iterdir()] == ["mine.h5"]
    assert run.attrs["recorder_process"] == os.getpid() and "recorder_finished" not in run.attrs
    with h5py.File(out) as file:
        for name in ("step", "eigenvalues", "loss", "layer_trace"):
            assert file[name].attrs["crc32"] == zlib.crc32(file[name][()].tobytes()), name
    recorder.close()
    assert sharpseek.open_run(out).attrs["recorder_finished"]
    assert sharpseek.plot.spectrum_over_time(run).get_xlabel() == "step"
    assert sharpseek.plot.spectrum(run).has_data()
    plt.close("all")


def test_a_file_that_exists_and_unknown_quantities_are_refused(tmp_path: Path) -> None:
    case = make_case("perceptron")
    op = curvature.hessian(case.model, case.loader(), case.loss)
    (tmp_path / "mine.h5").touch()
    with pytest.raises(ValueError, match="exists already"):
        curvature.Recorder(tmp_path / "mine.h5", op)
    with pytest.raises(ValueError, match="quantities: spectra: must be among spectrum"):
        curvature.Recorder(tmp_path / "b.h5", op, quantities=["spectra"])
    with pytest.raises(ValueError, match="every = 0: must be at least 1"):
        curvature.Recorder(tmp_path / "b.h5", op, every=0)


def test_callbacks_record_at_the_trainers_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The libraries themselves are not here: only the names of what they call and of what they pass.
    callbacks = types.ModuleType("lightning.pytorch.callbacks")
    callbacks.Callback = object
    transformers = types.ModuleType("transformers")
    transformers.TrainerCallback = object
    for name, module in (
        ("lightning", types.ModuleType("lightning")),
        ("lightning.pytorch", types.ModuleType("lightning.pytorch")),
        ("lightning.pytorch.callbacks", callbacks),
        ("transformers", transformers),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    case = make_case("perceptron")
    op = curvature.hessian(case.model, case.loader(), case.loss)
    recorder = curvature.Recorder(tmp_path / "mine.h5", op, every=5, quantities=["loss"])
    lightning, hugging = recorder.for_lightning(), recorder.for_transformers()
    for step in (3, 5, 5):
        lightning.on_train_batch_end(types.SimpleNamespace(global_step=step), None, None, None, 0)
    for step in (9, 10):
        hugging.on_step_end(None, types.SimpleNamespace(global_step=step), None, model=None)
    np.testing.assert_array_equal(sharpseek.open_run(tmp_path / "mine.h5").step, [5, 10])
