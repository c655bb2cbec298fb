"""Ensemble training in JAX, the best an expert would write: microseconds per replica-step as JSON on standard output.

The same four networks, batch, data generation (inputs, teacher and label noise inside the step) and update as
ensembles.cpp. Layouts:
  vmap      one replica's step, vmapped over replicas
  multiply  replicas last; products as broadcast, multiply, sum
  unroll    replicas last; products unrolled into sums of vectors of replicas
each in one jitted lax.scan over steps.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

BATCH, RATE = 4, 1e-3

# Weight shapes [out, in] of each network, of its teacher, and the shape of an input sample.
NETWORKS: dict[str, dict] = {
    "linear": {"weights": [(8, 4), (3, 8)], "teacher": [(3, 4)], "input": (1, 4)},
    "mlp": {"weights": [(8, 4), (3, 8)], "teacher": [(8, 4), (3, 8)], "input": (1, 4)},
    "rnn": {"weights": [(8, 2), (8, 8), (3, 8)], "teacher": [(3, 6)], "input": (3, 2)},
    "transformer": {
        "weights": [(6, 2), (3, 6), (6, 6), (6, 6), (6, 6), (6, 6), (6, 6), (6, 6), (3, 6)],
        "teacher": [(3, 6)],
        "input": (3, 2),
    },
}
# Those that nobody tuned kernels for (benchmarks/gpu/gpu.cpp); the first word of a name says what it is.
UNTUNED: dict[str, dict] = {
    "linear 6-5-5-3": {"weights": [(5, 6), (5, 5), (3, 5)], "teacher": [(3, 6)], "input": (1, 6)},
    "mlp 8-16-6": {"weights": [(16, 8), (6, 16)], "teacher": [(8, 8), (6, 8)], "input": (1, 8)},
    "transformer 8": {
        "weights": [(8, 2), (3, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8, 8), (8, 8), (3, 8)],
        "teacher": [(3, 6)],
        "input": (3, 2),
    },
}

Product = Callable[[jax.Array, jax.Array], jax.Array]


def product_vmap(w: jax.Array, x: jax.Array) -> jax.Array:
    """w [m, n], x [..., n] -> [..., m]."""
    return x @ w.T


def product_multiply(w: jax.Array, x: jax.Array) -> jax.Array:
    """w [m, n, E], x [..., n, E] -> [..., m, E]."""
    return (w * x[..., None, :, :]).sum(-2)


def product_unroll(w: jax.Array, x: jax.Array) -> jax.Array:
    """The same, as sums of vectors [..., E]."""
    rows = []
    for i in range(w.shape[0]):
        total = w[i, 0] * x[..., 0, :]
        for k in range(1, w.shape[1]):
            total = total + w[i, k] * x[..., k, :]
        rows.append(total)
    return jnp.stack(rows, axis=-2)


def network(name: str, p: list[jax.Array], x: jax.Array, dot: Product, last: bool) -> jax.Array:
    """x [b, T, n(, E)] -> [b, outputs(, E)]."""
    kind = kind_of(name)
    if kind == "linear":
        return functools.reduce(lambda h, w: dot(w, h), p, x[:, 0])
    if kind == "mlp":
        return dot(p[1], jnp.tanh(dot(p[0], x[:, 0])))
    if kind == "rnn":
        h = jnp.tanh(dot(p[0], x[:, 0]))
        for t in range(1, x.shape[1]):
            h = jnp.tanh(dot(p[0], x[:, t]) + dot(p[1], h))
        return dot(p[2], h)
    z = dot(p[0], x) + p[1]
    q, k, v = dot(p[2], z), dot(p[3], z), dot(p[4], z)
    root = np.sqrt(p[2].shape[0])
    if last:  # [b, T, n, E]
        scores = (q[:, :, None] * k[:, None]).sum(3) / root
        a = jax.nn.softmax(scores, axis=2)
        mixed = (a[:, :, :, None] * v[:, None]).sum(2)
    else:
        a = jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2) / root, axis=-1)
        mixed = a @ v
    z = z + dot(p[5], mixed)
    z = z + dot(p[7], jnp.tanh(dot(p[6], z)))
    return dot(p[8], z.mean(1))


def teacher(name: str, p: list[jax.Array], x: jax.Array, dot: Product) -> jax.Array:
    """The teacher on the flattened sample: linear, tanh MLP, or tanh of linear for sequences."""
    flat = x.reshape((x.shape[0], -1, *x.shape[3:]))
    if kind_of(name) == "linear":
        return dot(p[0], flat)
    if kind_of(name) == "mlp":
        return dot(p[1], jnp.tanh(dot(p[0], flat)))
    return jnp.tanh(dot(p[0], flat))


def shapes(name: str, what: str) -> list[tuple[int, ...]]:
    return (NETWORKS | UNTUNED)[name][what]


def kind_of(name: str) -> str:
    return name.split()[0]


def outputs(name: str) -> int:
    return shapes(name, "weights")[-1][0]


def sigma(name: str) -> np.ndarray:
    """Standard deviations of the label noise."""
    return np.linspace(0.5, 0.7, outputs(name), dtype=np.float32)


def draw_weights(key: jax.Array, name: str, what: str, replicas: tuple[int, ...]) -> list[jax.Array]:
    keys = jax.random.split(key, len(shapes(name, what)))
    return [
        0.5 * jax.random.normal(k, shape + replicas) / np.sqrt(shape[-1])
        for k, shape in zip(keys, shapes(name, what), strict=True)
    ]


def loss_of(name: str, dot: Product, last: bool) -> Callable:
    def loss(p: list[jax.Array], x: jax.Array, y: jax.Array) -> jax.Array:
        r = network(name, p, x, dot, last) - y
        return jnp.square(r).sum() / BATCH

    return loss


def step_last(name: str, dot: Product, by_hand: bool) -> Callable:
    """A step of all replicas with replicas in the last dimension."""
    loss = loss_of(name, dot, True)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        p, t, key = carry
        key, kx, ke = jax.random.split(key, 3)
        replicas = p[0].shape[-1]
        x = jax.random.normal(kx, (BATCH, *shapes(name, "input"), replicas))
        eps = sigma(name)[:, None] * jax.random.normal(ke, (BATCH, outputs(name), replicas))
        y = teacher(name, t, x, dot) + eps
        if by_hand:  # linear: dW2 = dy h', dW1 = (W2' dy) x'
            h = dot(p[0], x[:, 0])
            dy = (2 / BATCH) * (dot(p[1], h) - y)
            g2 = (dy[:, :, None] * h[:, None]).sum(0)
            g1 = (dot(jnp.swapaxes(p[1], 0, 1), dy)[:, :, None] * x[:, 0][:, None]).sum(0)
            g = [g1, g2]
        else:
            g = jax.grad(loss)(p, x, y)
        return ([w - RATE * d for w, d in zip(p, g, strict=True)], t, key), None

    return step


def step_vmap(name: str) -> Callable:
    loss = loss_of(name, product_vmap, False)

    def single(p: list[jax.Array], t: list[jax.Array], key: jax.Array) -> tuple:
        key, kx, ke = jax.random.split(key, 3)
        x = jax.random.normal(kx, (BATCH, *shapes(name, "input")))
        y = teacher(name, t, x, product_vmap) + sigma(name) * jax.random.normal(ke, (BATCH, outputs(name)))
        g = jax.grad(loss)(p, x, y)
        return [w - RATE * d for w, d in zip(p, g, strict=True)], key

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        p, t, key = carry
        p, key = jax.vmap(single)(p, t, key)
        return (p, t, key), None

    return step


@functools.partial(jax.jit, static_argnums=(0, 2))
def run(step: Callable, carry: tuple, steps: int) -> tuple:
    return lax.scan(step, carry, None, length=steps)[0]


def measure(name: str, layout: str, replicas: int, seconds: float) -> float:
    """Microseconds per replica-step: the best of three runs of about `seconds` each."""
    key = jax.random.key(0)
    if layout == "vmap":
        keys = jax.random.split(key, replicas)
        draw = jax.vmap(lambda k, what: draw_weights(k, name, what, ()), in_axes=(0, None))
        carry = (draw(keys, "weights"), draw(keys, "teacher"), keys)
        step = step_vmap(name)
    else:
        dot = product_multiply if layout == "multiply" else product_unroll
        carry = (draw_weights(key, name, "weights", (replicas,)), draw_weights(key, name, "teacher", (replicas,)), key)
        step = step_last(name, dot, layout == "by hand")
    steps = 20
    while True:
        jax.block_until_ready(run(step, carry, steps))  # compile
        begin = time.perf_counter()
        jax.block_until_ready(run(step, carry, steps))
        took = time.perf_counter() - begin
        if took > seconds / 4:
            break
        steps = int(steps * min(50, max(2, seconds / max(took, 1e-6))))
    best = took
    for _ in range(2):
        begin = time.perf_counter()
        jax.block_until_ready(run(step, carry, steps))
        best = min(best, time.perf_counter() - begin)
    return best / steps / replicas * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, nargs="+", default=[16, 256, 4096])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--layouts", nargs="+", default=["vmap", "multiply", "unroll", "by hand"])
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    rows = []
    for name in arguments.networks:
        for layout in arguments.layouts:
            if layout == "by hand" and name != "linear":
                continue
            for replicas in arguments.replicas:
                try:
                    value = measure(name, layout, replicas, arguments.seconds)
                except jax.errors.JaxRuntimeError as error:
                    if "RESOURCE_EXHAUSTED" not in str(error):
                        raise
                    print(f"  jax {name} {layout} {replicas}: out of memory", file=sys.stderr, flush=True)
                    continue
                rows.append({"network": name, "layout": layout, "replicas": replicas, "us_per_replica_step": value})
                print(f"  jax {name} {layout} {replicas}: {value:.6f} us", file=sys.stderr, flush=True)
    json.dump({"jax": jax.__version__, "numpy": np.__version__, "results": rows}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
