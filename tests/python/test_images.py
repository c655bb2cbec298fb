"""Runs on images: MNIST's files in a folder, and the digits that the program brings along."""

import gzip
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from program import Run

INI = """[experiment]
name = images
replicas = 1
[data]
dataset = idx:mnist
teacher = fit
inputs = 12
outputs = 3
[model]
width = 4
[training]
batch = 5
learning_rate = 0.01
steps = 40
[measure]
every = 20
"""


@pytest.fixture
def images(tmp_path: Path) -> np.ndarray:
    """Thirty images of 3 x 4 pixels in a folder; their labels are compressed."""
    generator = np.random.default_rng(5)
    pixels = generator.integers(0, 256, size=(30, 3, 4), dtype=np.uint8)
    classes = generator.permutation(np.arange(30) % 3).astype(np.uint8)
    folder = tmp_path / "mnist"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 30, 3, 4) + pixels.tobytes())
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">2i", 2049, 30) + classes.tobytes())
    (tmp_path / "images.ini").write_text(INI)
    return np.column_stack([pixels.reshape(30, 12) / 255, np.eye(3)[classes]])


def test_the_task_is_that_of_the_images(sharpseek: Run, images: np.ndarray, tmp_path: Path) -> None:
    assert sharpseek("run", "images.ini", "--quiet").returncode == 0
    x, y = images[:, :12], images[:, 12:]
    fit = np.linalg.lstsq(x, y, rcond=None)[0].T
    with h5py.File(tmp_path / "out/images/run.h5") as file:
        np.testing.assert_allclose(file["teacher"][:], fit, atol=1e-12)
        np.testing.assert_allclose(file["input_covariance"][:], x.T @ x / 30, rtol=1e-12)


def test_a_run_refuses_images_that_have_changed(sharpseek: Run, images: np.ndarray, tmp_path: Path) -> None:
    assert sharpseek("run", "images.ini", "--quiet", "--out", "a").returncode == 0
    assert sharpseek("resume", "a", "--quiet", "--set", "training.steps=60").returncode == 0
    assert sharpseek("measure", "a/run.h5", "--quiet", "--out", "m.h5").returncode == 0
    path = tmp_path / "mnist/train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    for command in (["resume", "a", "--set", "training.steps=80"], ["measure", "a/run.h5", "--out", "n.h5"]):
        result = sharpseek(*command)
        assert result.returncode == 2
        assert "the numbers in data.dataset = idx:mnist have changed since the run began" in result.stderr


def test_digits_train_by_batches_and_as_a_whole(sharpseek: Run, tmp_path: Path) -> None:
    (tmp_path / "digits.ini").write_text(
        INI.replace("idx:mnist", "digits").replace("inputs = 12", "inputs = 64").replace("outputs = 3", "outputs = 10")
    )
    sets = ["--set=training.optimizer=gd", "--set=data.samples=300", "--set=measure.quantities=excess_risk"]
    assert sharpseek("run", "digits.ini", *sets, "--out", "whole", "--quiet").returncode == 0
    assert sharpseek("run", "digits.ini", sets[2], "--out", "parts", "--quiet").returncode == 0
    for folder, batch in (("whole", 300), ("parts", 5)):
        with h5py.File(tmp_path / folder / "run.h5") as file:
            assert file.attrs["batch"] == batch
            risk = file["excess_risk"][0]
            assert risk[-1] < risk[0]
