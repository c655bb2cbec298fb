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


def test_measurements_see_the_images_that_are_held_out(sharpseek: Run, tmp_path: Path) -> None:
    text = (
        INI.replace("idx:mnist", "digits").replace("inputs = 12", "inputs = 64").replace("outputs = 3", "outputs = 10")
    )
    (tmp_path / "digits.ini").write_text(text + "keep_parameters = true\nquantities = excess_risk,spectrum\n")
    command = ["run", "digits.ini", "--set=data.test=150", "--set=model.kind=linear", "--quiet", "--dtype=float64"]
    assert sharpseek(*command, "--out", "held").returncode == 0
    assert sharpseek("resume", "held", "--set=training.steps=60", "--quiet").returncode == 0
    root = Path(__file__).parents[2]
    rows = np.loadtxt(gzip.open(root / "data/digits.csv.gz"), delimiter=",")
    x, y = rows[:, :64] / 16, np.eye(10)[rows[:, 64].astype(int)]
    fit = np.linalg.lstsq(x[:-150], y[:-150], rcond=None)[0].T
    with h5py.File(tmp_path / "held/run.h5") as file:
        np.testing.assert_allclose(file["teacher"][:], fit, atol=1e-9)
        np.testing.assert_allclose(file["input_covariance"][:], x[:-150].T @ x[:-150] / 1647, rtol=1e-12)
        weights = file["parameters"][0]
        first, second = weights[:, :256].reshape(-1, 4, 64), weights[:, 256:].reshape(-1, 10, 4)
        gap = np.einsum("tof,nf->tno", second @ first - fit, x[-150:])
        np.testing.assert_allclose(file["excess_risk"][0], (gap**2).sum(axis=2).mean(axis=1), rtol=1e-9)
        # 2 (d_out |W1 R|^2 + |W2|^2 Tr M), M = R R the second moment of the images that are held out.
        moment = x[-150:].T @ x[-150:] / 150
        inner = np.einsum("tij,jk,tik->t", first, moment, first)
        trace = 2 * (10 * inner + (second**2).sum(axis=(1, 2)) * np.trace(moment))
        np.testing.assert_allclose(file["trace"][0], trace, rtol=1e-6 if file["trace_error"][0].max() == 0 else 0.2)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("data.test=-3", "data.test = -3: must be at least 0"),
        ("data.test=1797", "leaves none of the 1797 images"),
        ("data.dataset= --set=data.test=5", "needs images, data.dataset = digits | idx:DIR"),
        ("data.test=9 --set=noise.redraw=fixed", "needs noise.redraw = fresh"),
    ],
)
def test_images_that_cannot_be_held_out_are_refused(sharpseek: Run, tmp_path: Path, setting: str, words: str) -> None:
    text = (
        INI.replace("idx:mnist", "digits").replace("inputs = 12", "inputs = 64").replace("outputs = 3", "outputs = 10")
    )
    (tmp_path / "digits.ini").write_text(text.replace("teacher = fit\n", ""))
    result = sharpseek("run", "digits.ini", *f"--set={setting}".split(" "))
    assert result.returncode == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()
