"""Puts the two sides of the ensembles benchmark side by side: compare.py OURS.json PEER.json OUT.json."""

import json
import os
import platform
import sys
from pathlib import Path


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def best(rows: list[dict]) -> dict:
    return min(rows, key=lambda row: row["us_per_replica_step"])


def main() -> None:
    ours, peer = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
    print(f"{cpu()}, {ours['instruction_set']}, {ours['threads']} threads, "
          f"{ours['multiply_adds_per_second'] / 1e9:.0f} G multiply-adds/s, JAX {peer['jax']}")  # fmt: skip
    print("microseconds per replica-step, batch 4, each side at its own best number of replicas\n")
    heads = ("lanes", "at", "FMA peak", "torch", "at", "JAX", "layout", "at", "lanes/JAX")
    print(f"{'network':12}" + "".join(f"{head:>10}" for head in heads))
    ratios = {}
    for name in dict.fromkeys(row["network"] for row in ours["results"]):
        rows = [row for row in ours["results"] if row["network"] == name]
        lanes = best([row for row in rows if row["engine"] == "lanes"])
        torch = best([row for row in rows if row["engine"] == "torch"])
        jax = best([row for row in peer["results"] if row["network"] == name])
        ratios[name] = jax["us_per_replica_step"] / lanes["us_per_replica_step"]
        cells = (
            f"{lanes['us_per_replica_step']:.4f}",
            lanes["replicas"],
            f"{lanes['peak_share']:.1%}",
            f"{torch['us_per_replica_step']:.3f}",
            torch["replicas"],
            f"{jax['us_per_replica_step']:.3f}",
            jax["layout"],
            jax["replicas"],
            f"{ratios[name]:.1f}x",
        )
        print(f"{name:12}" + "".join(f"{cell:>10}" for cell in cells))
    print("\nexact Hessian products, 256 networks, 256 samples, all cores, us per replica: "
          + ", ".join(f"{row['network']} {row['us_per_replica']:.2f}" for row in ours["products"]))  # fmt: skip
    for name in ratios:
        rows = [row for row in ours["scaling"] if row["network"] == name]
        text = [f"{row['us_per_replica_step']:.4f} us at {row['replicas']} replicas" for row in rows]
        rows = [row for row in ours["batch_one"] if row["network"] == name]
        text += [f"{row['us_per_replica_step']:.4f} us with batch 1" for row in rows]
        print(f"{name}: " + ", ".join(text))
    print("\nnanoseconds per replica-step on one core, by part")
    parts = [part for part in ours["breakdown"][0] if part not in ("network", "step")]
    parts.sort(key=["random numbers", "teacher", "forward", "backward", "update"].index)
    print(f"{'':12}" + "".join(f"{part:>16}" for part in [*parts, "step"]))
    for row in ours["breakdown"]:
        print(f"{row['network']:12}" + "".join(f"{row[part]:16.1f}" for part in [*parts, "step"]))
    print("\nwidth of a tanh MLP with two hidden layers, replicas: us per replica-step, lanes and torch")
    for row in ours["crossover"]:
        print(f"{row['width']:12d}{row['replicas']:6d}{row['lanes']:10.3f}{row['torch']:10.3f}")
    epoch = ours["epoch"]
    print(f"\n10,000 samples of {epoch['network']}: {epoch['us_per_replica_epoch']:.0f} us per replica, "
          f"{epoch['peak_share']:.0%} of the peak (SimpleChains.jl has published 28 % of its machine's)")  # fmt: skip
    machine = {"cpu": cpu(), "system": platform.platform(), "python": platform.python_version()}
    machine["xla_flags"] = os.environ.get("XLA_FLAGS", "")
    machine["load_average"] = os.getloadavg()[2]  # of the last quarter of an hour
    Path(sys.argv[3]).write_text(
        json.dumps({"machine": machine, "sharpseek": ours, "jax": peer, "ratios": ratios}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
