"""The peers of the spectra benchmark: peers.py prepare|torch|jax WORK, results as JSON on standard output.

Two problems, mean over samples of the sum over outputs of squared error, top 5 Hessian eigenvalues:
  single    one tanh MLP 32-64-64-8 (P 6792), N = 2048
  ensemble  256 tanh MLPs 4-8-3 (P 56), N = 256
  repeated  a linear network 8-16-6 at a minimum, P 224, N = 512: the 26 largest eigenvalues, many of them repeated,
            each method at its defaults in float64; errors, not times
Every method runs with the fewest steps that bring the worst true residual |H v - lambda v| / lambda below 1e-5,
recomputed in float64 from an independent Hessian product; the curve of residual against seconds is kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

SINGLE = {"layers": [32, 64, 64, 8], "samples": 2048, "models": 1}
ENSEMBLE = {"layers": [4, 8, 3], "samples": 256, "models": 256}
WANTED, TARGET = 5, 1e-5


def prepare(work: Path) -> None:
    """NAME.f32: parameters of all models, inputs, targets, float32, as the C++ side reads them."""
    for name, problem, seed in (("single", SINGLE, 1), ("ensemble", ENSEMBLE, 2)):
        draw = np.random.default_rng(seed)
        sizes = list(zip(problem["layers"][1:], problem["layers"][:-1], strict=True))
        weights = [
            np.concatenate([draw.normal(size=m * n) / np.sqrt(n) for m, n in sizes]) for _ in range(problem["models"])
        ]
        x = draw.normal(size=(problem["samples"], problem["layers"][0]))
        v = draw.normal(size=(problem["layers"][-1], problem["layers"][0])) / np.sqrt(problem["layers"][0])
        y = np.tanh(x @ v.T) + 0.3 * draw.normal(size=(problem["samples"], problem["layers"][-1]))
        np.concatenate([np.ravel(weights), x.ravel(), y.ravel()]).astype(np.float32).tofile(work / f"{name}.f32")


def load(work: Path, name: str, problem: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [models, P], inputs, targets."""
    flat = np.fromfile(work / f"{name}.f32", dtype=np.float32)
    layers, n = problem["layers"], problem["samples"]
    p = sum(m * k for m, k in zip(layers[1:], layers[:-1], strict=True))
    weights, rest = np.split(flat, [problem["models"] * p])
    x, y = np.split(rest, [n * layers[0]])
    return weights.reshape(-1, p), x.reshape(n, -1), y.reshape(n, -1)


def best_of(call: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def torch_side(work: Path) -> dict:
    import curvlinops
    import torch
    from hessian_eigenthings import HessianOperator, LambdaOperator, lanczos
    from pyhessian import hessian as pyhessian
    from scipy.sparse.linalg import eigsh
    from sharpseek import curvature
    from torch import nn

    def build(layers: list[int], weights: np.ndarray, dtype: torch.dtype) -> nn.Module:
        parts: list[nn.Module] = []
        for i, (m, n) in enumerate(zip(layers[1:], layers[:-1], strict=True)):
            parts += ([nn.Tanh()] if i else []) + [nn.Linear(n, m, bias=False)]
        model = nn.Sequential(*parts).to(dtype)
        torch.nn.utils.vector_to_parameters(torch.from_numpy(weights).to(dtype), model.parameters())
        return model

    class SumSquares(nn.Module):
        """MSELoss is divided by the outputs; this is not. curvlinops knows MSELoss only and is given that."""

        def forward(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (f - y).square().sum(1).mean()

    def kept_product(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        parameters = list(model.parameters())
        gradient = torch.autograd.grad(SumSquares()(model(x), y), parameters, create_graph=True)
        flat = torch.cat([g.reshape(-1) for g in gradient])

        def product(v: torch.Tensor) -> torch.Tensor:
            return torch.cat([h.reshape(-1) for h in torch.autograd.grad(flat, parameters, v, retain_graph=True)])

        return product

    def residual(problem: dict, weights: np.ndarray, x: np.ndarray, y: np.ndarray, vectors: torch.Tensor) -> float:
        """Worst |H v - lambda v| / lambda over rows v, in float64; lambda by Rayleigh's quotient."""
        model = build(problem["layers"], weights, torch.float64)
        product = kept_product(model, torch.from_numpy(x).double(), torch.from_numpy(y).double())
        worst = 0.0
        for v in vectors.double():
            u = v / v.norm()
            hu = product(u)
            value = torch.dot(u, hu)
            worst = max(worst, float((hu - value * u).norm() / value.abs()))
        return worst

    def methods(problem: dict, weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, Callable]:
        model = build(problem["layers"], weights, torch.float32)
        xt, yt = torch.from_numpy(x), torch.from_numpy(y)
        data = [(xt, yt)]
        count = sum(p.numel() for p in model.parameters())
        loss = SumSquares()
        eigenthings = HessianOperator(model, data, lambda m, batch: loss(m(batch[0]), batch[1]))

        def with_eigenthings(steps: int) -> tuple:
            found = lanczos(eigenthings, k=WANTED, max_iter=steps, tol=0, which="LA", seed=0, reorthogonalize=True)
            return found.eigenvectors, steps

        def with_kept_graph(steps: int) -> tuple:
            operator = LambdaOperator(kept_product(model, xt, yt), count)
            found = lanczos(operator, k=WANTED, max_iter=steps, tol=0, which="LA", seed=0, reorthogonalize=True)
            return found.eigenvectors, steps

        linear = curvlinops.HessianLinearOperator(
            model, nn.MSELoss(reduction="mean"), list(model.parameters()), data, check_deterministic=False
        )

        def with_curvlinops(steps: int) -> tuple:
            products = 0
            scipy_operator = linear.to_scipy()
            plain = scipy_operator.matvec

            class Counted:
                shape, dtype = scipy_operator.shape, scipy_operator.dtype

                def matvec(self, v: np.ndarray) -> np.ndarray:
                    nonlocal products
                    products += 1
                    return plain(v)

            from scipy.sparse.linalg import LinearOperator

            counted = LinearOperator(Counted.shape, matvec=Counted().matvec, dtype=Counted.dtype)
            start = np.random.default_rng(0).normal(size=count).astype(np.float32)
            size = min(count - 1, max(2 * WANTED + 1, steps))
            _, vectors = eigsh(counted, k=WANTED, which="LA", ncv=size, tol=1e-6, v0=start)
            return torch.from_numpy(np.ascontiguousarray(vectors.T)), products

        def with_pyhessian(steps: int) -> tuple:
            counted = pyhessian(model, loss, data=(xt, yt), cuda=False)
            _, vectors = counted.eigenvalues(maxIter=steps, tol=1e-9, top_n=WANTED)
            return torch.stack([torch.cat([p.reshape(-1) for p in v]) for v in vectors]).detach(), steps * WANTED

        in_process = curvature.hessian(model, data, loss)

        def with_curvature(steps: int, proven: bool = False) -> tuple:
            # The loosest tolerance that will do, as the others take the fewest steps.
            tolerance = TARGET * 12 / steps
            found = curvature.spectrum(in_process, WANTED, tol=tolerance, vectors=True, multiplicities=proven)
            return torch.from_numpy(found.eigenvectors.values[0, 0]), found.attrs["products"]

        return {
            "sharpseek.curvature": with_curvature,
            "sharpseek.curvature, multiplicities proven": partial(with_curvature, proven=True),
            "hessian-eigenthings": with_eigenthings,
            "kept graph + its Lanczos": with_kept_graph,
            "curvlinops + eigsh": with_curvlinops,
            "PyHessian": with_pyhessian,
        }

    def curve(problem: dict, weights: np.ndarray, x: np.ndarray, y: np.ndarray, repeats: int) -> list[dict]:
        rows = []
        for name, method in methods(problem, weights, x, y).items():
            grid = [20, 100, 500] if name == "PyHessian" else list(range(12, 90, 4))
            grid = [steps for steps in grid if steps < weights.size]
            for steps in grid:
                vectors, products = method(steps)
                vectors = vectors.T if vectors.shape[0] != WANTED else vectors
                found = residual(problem, weights, x, y, vectors)
                seconds = best_of(lambda m=method, s=steps: m(s), 1 if name == "PyHessian" else repeats)
                rows.append({"method": name, "products": products, "seconds": seconds, "residual": found})
                print(f"  {name} {products}: {seconds:.4f} s, {found:.1e}", file=sys.stderr, flush=True)
                if found <= TARGET:
                    break
        return rows

    def repeated() -> list[dict]:
        """Largest error of the 26 eigenvalues of each method, and how many of them it calls converged."""
        inputs, hidden, outputs, samples, wanted = 8, 16, 6, 512, 26
        torch.manual_seed(0)
        x = torch.randn(samples, inputs, dtype=torch.float64)
        x = x - x.mean(0)
        x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / samples)).T
        model = nn.Sequential(nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, outputs, bias=False)).double()
        with torch.no_grad():
            for p in model.parameters():
                p.zero_()
            for k, s in enumerate(torch.linspace(1.5, 0.7, outputs, dtype=torch.float64)):
                model[0].weight[k, k] = model[1].weight[k, k] = s.sqrt()
            y = model(x)
        loss = SumSquares()
        product = kept_product(model, x, y)
        count = sum(p.numel() for p in model.parameters())
        dense = torch.stack([product(e) for e in torch.eye(count, dtype=torch.float64)])
        exact = torch.linalg.eigvalsh(dense).flip(0)[:wanted]
        found = lanczos(HessianOperator(model, [(x, y)], lambda m, b: loss(m(b[0]), b[1])), k=wanted, seed=0)
        linear = curvlinops.HessianLinearOperator(model, nn.MSELoss(), list(model.parameters()), [(x, y)])
        ours = curvature.spectrum(curvature.hessian(model, [(x, y)], loss), wanted)
        values = {
            "sharpseek.curvature": (ours.eigenvalues.values[0, 0], wanted * int(ours.spectrum_status.item() == 0)),
            "hessian-eigenthings": (found.eigenvalues.numpy(), int(sum(found.converged.tolist()))),
            "curvlinops + eigsh": (outputs * eigsh(linear.to_scipy(), k=wanted, which="LA")[0], wanted),
        }
        return [
            {"method": name, "error": float(np.abs(np.sort(v)[::-1] - exact.numpy()).max()), "converged": converged,
             "wanted": wanted}
            for name, (v, converged) in values.items()
        ]  # fmt: skip

    weights, x, y = load(work, "single", SINGLE)
    result = {"torch": torch.__version__, "single": curve(SINGLE, weights[0], x, y, 5)}
    weights, x, y = load(work, "ensemble", ENSEMBLE)
    result["repeated"] = repeated()
    result["one of the ensemble"] = curve(ENSEMBLE, weights[0], x, y, 3)
    return result


def jax_side(work: Path) -> dict:
    import jax
    import jax.numpy as jnp

    def solver(problem: dict, steps: int) -> Callable:
        layers = problem["layers"]
        sizes = list(zip(layers[1:], layers[:-1], strict=True))

        def network(w: jax.Array, x: jax.Array) -> jax.Array:
            h, offset = x, 0
            for i, (m, n) in enumerate(sizes):
                h = jnp.tanh(h) if i else h
                h = h @ w[offset : offset + m * n].reshape(m, n).T
                offset += m * n
            return h

        def lanczos(w: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
            gradient = jax.grad(lambda p: jnp.square(network(p, x) - y).sum(1).mean())
            _, product = jax.linearize(gradient, w)  # the graph kept across products
            p = w.size
            q = jax.random.normal(jax.random.key(0), (p,))

            def step(carry: tuple, m: jax.Array) -> tuple:
                basis, q = carry
                basis = basis.at[m].set(q)
                u = product(q)
                a = u @ q
                for _ in range(2):
                    u = u - basis.T @ (basis @ u)
                b = jnp.linalg.norm(u)
                return (basis, u / b), (a, b)

            start = (jnp.zeros((steps, p)), q / jnp.linalg.norm(q))
            (basis, _), (alpha, beta) = jax.lax.scan(step, start, jnp.arange(steps))
            t = jnp.diag(alpha) + jnp.diag(beta[:-1], 1) + jnp.diag(beta[:-1], -1)
            values, vectors = jnp.linalg.eigh(t)
            return values[::-1][:WANTED], (vectors[:, ::-1][:, :WANTED]).T @ basis

        if problem["models"] == 1:
            return jax.jit(lambda w, x, y: jax.tree.map(lambda a: a[None], lanczos(w[0], x, y)))
        return jax.jit(jax.vmap(lanczos, in_axes=(0, None, None)))

    def residual(problem: dict, weights: np.ndarray, x: np.ndarray, y: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Worst |H v - lambda v| / largest lambda of each model, by float64 differences of the exact gradient."""
        layers = problem["layers"]
        sizes = list(zip(layers[1:], layers[:-1], strict=True))

        def gradient(w: np.ndarray) -> np.ndarray:
            mats, offset = [], 0
            for m, n in sizes:
                mats.append(w[offset : offset + m * n].reshape(m, n))
                offset += m * n
            hs = [x.astype(np.float64)]
            for i, mat in enumerate(mats):
                hs.append((np.tanh(hs[-1]) if i else hs[-1]) @ mat.T)
            d = 2 * (hs[-1] - y) / len(x)
            grads = []
            for i in range(len(mats) - 1, -1, -1):
                inner = np.tanh(hs[i]) if i else hs[i]
                grads.append((d.T @ inner).ravel())
                d = (d @ mats[i]) * (1 - inner**2) if i else d
            return np.concatenate(grads[::-1])

        worst = []
        for w, rows in zip(weights.astype(np.float64), vectors.astype(np.float64), strict=True):
            found = []
            for v in rows:
                u = v / np.linalg.norm(v)
                hu = (
                    8 * (gradient(w + 1e-4 * u) - gradient(w - 1e-4 * u))
                    - (gradient(w + 2e-4 * u) - gradient(w - 2e-4 * u))
                ) / 12e-4
                found.append(np.linalg.norm(hu - (u @ hu) * u) / abs(u @ hu))
            worst.append(max(found))
        return np.array(worst)

    result: dict = {"jax": jax.__version__}
    for name, problem, grid in (("single", SINGLE, range(36, 90, 4)), ("ensemble", ENSEMBLE, range(20, 57, 4))):
        weights, x, y = load(work, name, problem)
        rows = []
        for steps in grid:
            solve = solver(problem, steps)
            _, vectors = jax.block_until_ready(solve(weights, x, y))
            seconds = best_of(lambda s=solve, a=(weights, x, y): jax.block_until_ready(s(*a)))
            worst = residual(problem, weights[:32], x, y, np.asarray(vectors)[:32])
            share = float((worst <= TARGET).mean())
            rows.append(
                {"method": "JAX jit Lanczos", "products": steps, "seconds": seconds, "residual": float(worst.max()),
                 "median_residual": float(np.median(worst)), "share": share}
            )  # fmt: skip
            print(f"  jax {name} {steps}: {seconds:.4f} s, {worst.max():.1e}", file=sys.stderr, flush=True)
            if worst.max() <= TARGET:
                break
        result[name] = rows
    return result


def main() -> None:
    side, work = sys.argv[1], Path(sys.argv[2])
    if side == "prepare":
        prepare(work)
    else:
        json.dump({"torch": torch_side, "jax": jax_side}[side](work), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
