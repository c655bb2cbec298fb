"""Puts the two sides of the GPU benchmark side by side: compare.py FOLDER OUT.json, in plain Python.

FOLDER holds ours.json (gpu.cpp), peer.json (peer_jax.py, or an empty object) and, where ncu ran, ncu.csv.
"""

import datetime
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path


def driver() -> str:
    if not shutil.which("nvidia-smi"):
        return "none"
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()


def best_peer(peer: dict, network: str, replicas: int) -> dict | None:
    rows = [r for r in peer.get("results", []) if r["network"] == network and r["replicas"] == replicas]
    return min(rows, key=lambda row: row["us_per_replica_step"]) if rows else None


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    ours, peer = (json.loads((folder / name).read_text()) for name in ("ours.json", "peer.json"))
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    print(f"{ours['device']}, {date}, driver: {driver()}, JAX: {peer.get('jax', 'not run')}")
    print("nanoseconds per replica-step, batch 4; JAX: the best of its layouts at the same number of replicas\n")
    heads = ("replicas", "lanes", "torch", "eager", "JAX", "layout", "JAX/lanes")
    print(f"{'network':15}" + "".join(f"{head:>12}" for head in heads))
    ratios: dict[str, dict[str, float]] = {}
    table = {(r["network"], r["replicas"], r["engine"]): r["ns_per_replica_step"] for r in ours["ensembles"]}
    for network, replicas in dict.fromkeys((name, count) for name, count, _ in table):
        cells = [str(replicas)]
        times = [table.get((network, replicas, engine)) for engine in ("lanes", "torch", "torch eager")]
        cells += ["-" if time is None else f"{time:.3f}" for time in times]
        if jax := best_peer(peer, network, replicas):
            time = jax["us_per_replica_step"] * 1e3
            ratios.setdefault(network, {})[str(replicas)] = time / table[network, replicas, "lanes"]
            cells += [f"{time:.3f}", jax["layout"], f"{ratios[network][str(replicas)]:.1f}x"]
        print(f"{network:15}" + "".join(f"{cell:>12}" for cell in cells))
    print("\nwide networks, us per step of 8 replicas, batch 64: graphs, eager")
    for row in ours["wide"]:
        print(f"{row['width']:12d}{row['graphs_us_per_step']:12.1f}{row['eager_us_per_step']:12.1f}")
    for row in ours["spectra"] + ours["products"]:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    counters = folder / "ncu.csv"
    result = {"date": date, "machine": platform.platform(), "driver": driver(), "sharpseek": ours, "jax": peer}
    result |= {"ratios": ratios, "ncu": counters.read_text() if counters.exists() else "ncu was not to be had"}
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
