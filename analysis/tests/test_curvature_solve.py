"""Eigenvalues, traces and densities of sharpseek.curvature against dense ones and closed forms."""

import signal
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse.linalg
import sharpseek
import xarray as xr

torch = pytest.importorskip("torch", exc_type=ImportError, reason="PyTorch's Python side is not installed")
pytest.importorskip("sharpseek.curvature", exc_type=ImportError)

from curvature_models import deep_linear, make_case  # noqa: E402
from sharpseek import curvature  # noqa: E402

RANDOM = np.random.default_rng(7)


def rotated(values: np.ndarray) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    q, _ = np.linalg.qr(RANDOM.normal(size=(len(values), len(values))))
    return (q * values) @ q.T


def one(variable) -> np.ndarray:
    """The only replica's values at the only time."""
    return variable.values[0, 0]


# --- eigenvalues


def test_repeated_eigenvalues_of_a_deep_linear_net_come_with_their_multiplicity() -> None:
    # 26 of 224: a Krylov space shows each repeated one once; hessian-eigenthings 1.0.0a5 is wrong by .64 here.
    case = deep_linear()
    exact = np.linalg.eigvalsh(case.hessian().numpy())[::-1]
    op = curvature.hessian(case.model, case.loader(100), case.loss)
    np.testing.assert_allclose(one(curvature.spectrum(op, 26).eigenvalues), exact[:26], atol=1e-9)
    found = curvature.spectrum(op, 26, tol=1e-10)
    np.testing.assert_allclose(one(found.eigenvalues), exact[:26], atol=1e-10)
    assert one(found.eigenvalue_residuals).max() < 1e-8
    assert one(found.spectrum_status) == 0
    assert len(np.unique(exact[:26].round(6))) < 20


SPECTRA = {
    "indefinite": np.concatenate([[-9.0, -4, -1], np.linspace(-0.5, 0.5, 140), [2, 3, 7]]),
    "degenerate": np.concatenate([[5.0] * 4, [3.0] * 3, np.linspace(0, 1, 120), [-2.0] * 3]),
    "rank one": np.concatenate([[4.0], np.zeros(99)]),
    "zero": np.zeros(80),
    "multiple of the identity": np.full(70, 2.5),
    "small": np.array([3.0, 1.0, -2.0]),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_both_ends_are_right_with_copies(name: str) -> None:
    values = np.sort(SPECTRA[name])
    k = min(8, len(values))
    found = curvature.spectrum(rotated(values), k, end="both", tol=1e-11, vectors=True)
    size = max(1.0, np.abs(values).max())
    np.testing.assert_allclose(one(found.eigenvalues), values[::-1][:k], atol=1e-9 * size)
    np.testing.assert_allclose(one(found.smallest_eigenvalues), values[:k], atol=1e-9 * size)
    assert one(found.sharpness) == one(found.eigenvalues)[0]
    assert one(found.spectrum_status) == one(found.smallest_status) == 0
    for vectors in (one(found.eigenvectors), one(found.smallest_eigenvectors)):
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(k), atol=1e-7)


def test_residuals_are_those_of_the_vectors() -> None:
    a = rotated(np.concatenate([np.arange(6.0), RANDOM.normal(size=150)]))
    found = curvature.spectrum(a, 4, tol=1e-3, vectors=True)
    v, values = one(found.eigenvectors), one(found.eigenvalues)
    residuals = np.linalg.norm(v @ a - values[:, None] * v, axis=1)
    np.testing.assert_allclose(one(found.eigenvalue_residuals), residuals, rtol=1e-6, atol=1e-13)
    nearest = np.abs(np.linalg.eigvalsh(a)[:, None] - values).min(0)
    assert np.all(nearest <= residuals + 1e-13)


def test_vectors_of_weights_nearby_save_products() -> None:
    a = rotated(RANDOM.normal(size=300))
    cold = curvature.spectrum(a, 1, vectors=True)
    again = curvature.spectrum(a + 1e-4 * rotated(RANDOM.normal(size=300)), 1, start=cold)
    assert one(again.spectrum_status) == 0
    assert again.attrs["products"] < 0.8 * cold.attrs["products"]
    with pytest.raises(ValueError, match="has no smallest_eigenvectors"):
        curvature.spectrum(a, 1, end="bottom", start=cold)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_matrices_have_copies_residuals_and_restarts_right(dtype: type) -> None:
    # Above 4096 parameters vectors are made orthogonal only where they need it; close values need restarts.
    values = np.linspace(-1, 1, 5000)
    values[:9] = [6, 6, 6, 5, 5, 4.9, 4.8, -3, -3]
    d = RANDOM.permutation(values).astype(dtype)
    tol = 1e-6 if dtype is np.float32 else 1e-11
    options = {"tol": tol, "basis": 24, "dim": 5000, "like": d}
    found = curvature.spectrum(lambda v: d * v, 7, vectors=True, **options)
    assert one(found.spectrum_status) == 0
    np.testing.assert_allclose(one(found.eigenvalues), values[:7], atol=20 * tol)
    bottom = curvature.spectrum(lambda v: d * v, 2, end="bottom", **options)
    np.testing.assert_allclose(one(bottom.smallest_eigenvalues), -3, atol=20 * tol)
    v = one(found.eigenvectors).astype(float)
    residuals = np.linalg.norm(v * d - one(found.eigenvalues)[:, None] * v, axis=1)
    np.testing.assert_allclose(one(found.eigenvalue_residuals), residuals, atol=3 * np.finfo(dtype).eps * 6)


def test_an_operator_that_changes_on_the_way_is_not_called_converged() -> None:
    values = np.concatenate([[9.0, 7, 5], np.linspace(0, 1, 297)])
    a, other = rotated(values), 0.01 * rotated(values)
    products = 0

    def drifts(v: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        return a @ v if products < 16 else a @ v + other @ v

    found = curvature.spectrum(drifts, 3, tol=1e-5, multiplicities=False, dim=300, like=a)
    assert one(found.spectrum_status) == 1
    assert one(found.eigenvalue_residuals).max() > 1e-3


def test_the_proof_of_copies_can_be_left_out() -> None:
    a = rotated(np.concatenate([[5.0] * 4, np.linspace(0, 1, 120)]))
    proven, not_proven = (curvature.spectrum(a, 2, tol=1e-2, multiplicities=m) for m in (True, False))
    np.testing.assert_allclose(one(proven.eigenvalues), 5, rtol=1e-3)
    assert one(not_proven.eigenvalues)[1] < 2
    assert not_proven.attrs["products"] < proven.attrs["products"]


def test_what_is_not_finite_or_not_converged_has_a_status() -> None:
    a = rotated(np.linspace(0.9, 1, 400))
    assert one(curvature.spectrum(a, 3, tol=1e-12, steps=10).spectrum_status) == 1
    a[3, 3] = np.nan
    found = curvature.spectrum(a, 3)
    assert one(found.spectrum_status) == 2 and np.isnan(one(found.eigenvalues)).all()


@pytest.fixture
def keyboard() -> Iterator[None]:
    """Ctrl-C as in a terminal; a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_ctrl_c_ends_with_what_there_is() -> None:
    values = np.linspace(-1, 1, 500)
    a = torch.as_tensor(rotated(values))
    products = 0

    def product(v):
        nonlocal products
        products += 1
        if products == 30:
            signal.raise_signal(signal.SIGINT)
        return a @ v

    with pytest.warns(RuntimeWarning, match="interrupted"):
        found = curvature.spectrum(product, 3, tol=1e-12, dim=500, like=a, vectors=True)
    assert products < 40 and found.attrs["interrupted"] == 1 and one(found.spectrum_status) == 1
    distance = np.abs(values[:, None] - one(found.eigenvalues)).min(0)
    assert np.all(distance <= one(found.eigenvalue_residuals) + 1e-12)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- whatever multiplies


class Multiplies:
    """What curvlinops, hessian-eigenthings and others look like."""

    def __init__(self, a: torch.Tensor) -> None:
        """With shape, dtype and device."""
        self.a, self.shape, self.dtype, self.device = a, tuple(a.shape), a.dtype, a.device

    def __matmul__(self, v: torch.Tensor) -> torch.Tensor:
        """A v."""
        return self.a @ v


def test_operators_of_all_kinds_give_the_same() -> None:
    a = rotated(RANDOM.normal(size=90))
    tensor = torch.as_tensor(a)
    exact = np.linalg.eigvalsh(a)[::-1][:3]

    def overwrites(v):
        result = tensor @ v
        v.zero_()
        return result

    for op, more in (
        (a, {}),
        (tensor, {}),
        (Multiplies(tensor), {}),
        (scipy.sparse.linalg.aslinearoperator(a), {}),
        (scipy.sparse.csr_matrix(a), {}),
        (lambda v: a @ v, {"dim": 90, "like": a[0]}),
        (lambda v: (tensor @ v)[:, None], {"dim": 90, "like": tensor}),
        (overwrites, {"dim": 90, "like": tensor}),
    ):
        np.testing.assert_allclose(one(curvature.spectrum(op, 3, tol=1e-10, **more).eigenvalues), exact, rtol=1e-8)
    single = curvature.spectrum(a.astype(np.float32), 3, tol=1e-6)
    np.testing.assert_allclose(one(single.eigenvalues), exact, rtol=1e-5)
    # Returning what it was given, as the identity does.
    np.testing.assert_allclose(one(curvature.spectrum(lambda v: v, 3, dim=100, like=tensor).eigenvalues), 1)


def test_jax_functions() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    a = rotated(RANDOM.normal(size=90)).astype(np.float32)
    matrix = jax.numpy.asarray(a)
    exact = np.linalg.eigvalsh(a)[::-1][:3]
    for op, more in ((matrix, {}), (jax.jit(lambda v: matrix @ v), {"dim": 90, "like": matrix})):
        np.testing.assert_allclose(one(curvature.spectrum(op, 3, tol=1e-6, **more).eigenvalues), exact, rtol=1e-4)


def test_what_is_no_symmetric_operator_is_refused() -> None:
    a = rotated(np.arange(80.0))
    skewed = a.copy()
    skewed[2, 5] += 30
    with pytest.raises(ValueError, match="not symmetric"):
        curvature.spectrum(skewed, 3)
    with pytest.raises(ValueError, match=r"differs by .* when it is computed again"):
        curvature.trace(lambda v: a @ v + RANDOM.normal(size=80), dim=80, like=a)
    with pytest.raises(ValueError, match="must be square"):
        curvature.spectrum(np.zeros((3, 4)))
    with pytest.raises(TypeError, match="give dim="):
        curvature.spectrum(lambda v: v)
    with pytest.raises(TypeError, match="give like="):
        curvature.spectrum(lambda v: v, dim=3)
    with pytest.raises(ValueError, match="a product has 79 elements, not the dimension 80"):
        curvature.density(lambda v: (a @ v)[1:], dim=80, like=a)
    with pytest.raises(ZeroDivisionError):
        curvature.spectrum(lambda v: 1 / 0, dim=80, like=a)


def test_an_error_inside_lanczos_is_the_one_that_was_raised() -> None:
    a = torch.eye(90)
    calls = iter(range(10**6))

    def product(v):
        if next(calls) == 12:
            raise LookupError("the twelfth")
        return a @ v * torch.arange(90)

    with pytest.raises(LookupError, match="the twelfth"):
        curvature.spectrum(product, 3, dim=90, like=a, tol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"k": 0}, "k = 0: must be a whole number from 1 to 80"),
        ({"k": 81}, "k = 81: must be"),
        ({"k": 2.5}, "k = 2.5: must be"),
        ({"end": "left"}, "end = 'left': must be top, bottom, both"),
        ({"tol": 0}, "tol = 0: must be above 0"),
        ({"start": np.zeros((2, 3))}, r"start: shape \(2, 3\): must be \(any, 80\)"),
    ],
)
def test_options_of_a_spectrum_have_clear_words(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        curvature.spectrum(np.eye(80), **options)


# --- traces


def test_traces_of_small_matrices_are_exact() -> None:
    case = make_case("encoder")
    dense = case.hessian()
    op = curvature.hessian(case.model, case.loader(), case.loss)
    found = curvature.trace(op)
    assert one(found.trace) == pytest.approx(float(dense.trace()), rel=1e-10)
    assert one(found.trace_error) == one(found.trace_half_width) == 0
    layers = curvature.layer_traces(op)
    assert list(layers.layer.values) == [name for name, _ in case.model.named_parameters()]
    blocks = dense.diagonal().split(list(op.blocks.values()))
    np.testing.assert_allclose(one(layers.layer_trace), [float(b.sum()) for b in blocks], atol=1e-12)


@pytest.mark.parametrize("method", ["hutchinson", "hutch++", "xtrace"])
def test_intervals_of_traces_cover(method: str) -> None:
    values = 100 / np.arange(1, 601) ** 2
    a = rotated(values)
    covered = 0
    for seed in range(20):
        found = curvature.trace(a, method, products=60, seed=seed)
        assert found.attrs["products"] == 60 + 3 or found.attrs["products"] == 60
        covered += abs(one(found.trace) - values.sum()) <= one(found.trace_half_width)
    assert covered >= 16


def test_traces_go_on_to_the_error_that_was_asked_for() -> None:
    values = np.linspace(0, 1, 700)
    a = rotated(values)
    found = curvature.trace(a, "hutchinson", 0.01, products=8)
    assert one(found.trace_error) <= 0.01 * one(found.trace)
    assert abs(one(found.trace) - values.sum()) < 5 * one(found.trace_error)
    with pytest.raises(ValueError, match="rel_error = -1: must be above 0"):
        curvature.trace(a, rel_error=-1)
    with pytest.raises(ValueError, match="method = 'xnystrace': must be"):
        curvature.trace(a, "xnystrace")


@pytest.mark.usefixtures("keyboard")
def test_ctrl_c_leaves_the_last_estimate_of_a_trace() -> None:
    a = torch.as_tensor(rotated(np.linspace(0, 1, 700)))
    products = 0

    def product(v):
        nonlocal products
        products += 1
        if products == 60:
            signal.raise_signal(signal.SIGINT)
        return a @ v

    with pytest.warns(RuntimeWarning, match="interrupted"):
        found = curvature.trace(product, "hutchinson", 1e-9, products=20, dim=700, like=a)
    assert found.attrs["interrupted"] == 1 and products < 70
    # 3 products of the check, 20, then 40 that were not finished.
    known = curvature.trace(a, "hutchinson", products=20)
    assert one(found.trace) == one(known.trace) and one(found.trace_error) == one(known.trace_error)


def test_layers_of_large_matrices_lie_within_their_errors() -> None:
    values = RANDOM.normal(1, 1, size=640)
    a = rotated(values)
    blocks = {"first": 40, "second": 500, "third": 100}
    found = curvature.layer_traces(a, blocks=blocks, products=200)
    exact = [part.sum() for part in np.split(np.diag(a), [40, 540])]
    assert np.all(np.abs(one(found.layer_trace) - exact) < 4 * one(found.layer_trace_error))
    assert np.all(one(found.layer_trace_error) > 0)
    with pytest.raises(ValueError, match="sizes add up to 639, not to the dimension 640"):
        curvature.layer_traces(a, blocks={"all": 639})
    with pytest.raises(ValueError, match="blocks: must be given"):
        curvature.layer_traces(a)


# --- densities and files


def test_density_is_the_smoothed_spectrum_within_its_band() -> None:
    values = np.concatenate([RANDOM.normal(size=500), [8.0]])
    found = curvature.density(rotated(values), probes=24, width=0.03)
    x, sigma = one(found.density_grid), one(found.density_sigma)
    exact = np.exp(-0.5 * ((x[:, None] - values) / sigma) ** 2).mean(1) / (sigma * np.sqrt(2 * np.pi))
    assert np.trapezoid(one(found.density), x) == pytest.approx(1, rel=1e-3)
    inside = np.abs(one(found.density) - exact) <= one(found.density_half_width) + 1e-9
    assert inside.mean() > 0.85


def test_results_are_files_that_open_run_and_the_plots_take(tmp_path: Path) -> None:
    case = make_case("recurrent")
    op = curvature.hessian(case.model, case.loader(), case.loss)
    both = xr.merge([curvature.spectrum(op, 4, step=70), curvature.density(op, step=70)], compat="override")
    both.to_netcdf(tmp_path / "mine.h5", engine="h5netcdf")
    run = sharpseek.open_run(tmp_path / "mine.h5")
    np.testing.assert_array_equal(run.eigenvalues.values, both.eigenvalues.values)
    assert int(run.step[0]) == 70
    assert run.attrs["samples"] == 9 and run.attrs["operator"] == "hessian"
    for name in ("eigenvalues", "density", "spectrum_status"):
        assert run[name].attrs["units"] == "1" and run[name].attrs["long_name"]
    for draw in (sharpseek.plot.spectrum, sharpseek.plot.density):
        ax = draw(run)
        assert ax.has_data()
    drawn = ax.lines[0].get_ydata()
    assert np.nanmax(drawn) == both.density.values.max()
    assert np.nanmin(drawn) >= 1e-6 * np.nanmax(drawn)  # no axis down to 1e-100 between eigenvalues
    plt.close("all")


def test_other_matrices_have_names_of_their_own() -> None:
    case = make_case("perceptron")
    arguments = case.model, case.loader(), case.loss
    names = set(curvature.spectrum(curvature.gauss_newton(*arguments), 2))
    assert {"gauss_newton_eigenvalues", "gauss_newton_residuals", "gauss_newton_status"} <= names
    names = set(curvature.spectrum(curvature.noise_covariance(*arguments), 2, end="both"))
    assert {"noise_eigenvalues", "noise_eigenvalue_residuals", "noise_status", "noise_smallest_eigenvalues"} <= names
