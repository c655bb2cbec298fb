"""One table of the spectra benchmark: compare.py WORK OUT.json."""

import json
import platform
import sys
from pathlib import Path

TARGET = 1e-5


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def first_good(rows: list[dict]) -> dict | None:
    """The cheapest row that reaches the target."""
    good = [row for row in rows if row["residual"] <= TARGET]
    return min(good, key=lambda row: row["seconds"]) if good else None


def table(title: str, rows: list[dict], scale: float, unit: str) -> list[dict]:
    """Prints every method at its fewest steps that reach the target, or at its best; returns those that do."""
    print(f"\n{title}\n{'method':44}{'products':>9}{unit:>14}{'worst residual':>16}")
    good = []
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == name]
        row = first_good(mine)
        if row:
            good.append(row)
        shown = row or min(mine, key=lambda r: r["residual"])
        print(f"{name:44}{shown['products']:9}{shown['seconds'] * scale:14.4f}{shown['residual']:16.1e}"
              + ("" if row else "  (not reached)"))  # fmt: skip
    return good


def main() -> None:
    work = Path(sys.argv[1])
    ours, torch, jax = (json.loads((work / f"{name}.json").read_text()) for name in ("ours", "torch", "jax"))
    print(f"{cpu()}, {ours['threads']} threads, torch {torch['torch']}, JAX {jax['jax']}")
    single = table(
        "one tanh MLP 32-64-64-8, N = 2048, top 5", ours["single"] + torch["single"] + jax["single"], 1, "seconds"
    )
    models = ours["models"]
    each = [dict(row, seconds=row["seconds"] / models) for row in ours["ensemble"] + jax["ensemble"]]
    small = table(
        f"{models} tanh MLPs 4-8-3, N = 256, top 5, per model", each + torch["one of the ensemble"], 1e6, "microseconds"
    )
    print(f"\n26 largest of 224 eigenvalues, many repeated, at defaults\n{'method':44}{'error':>12}{'converged':>12}")
    for row in torch["repeated"]:
        print(f"{row['method']:44}{row['error']:12.1e}{row['converged']:9} of {row['wanted']}")
    million = ours["million"]
    print(f"\none tanh MLP of {million['parameters']} parameters, N = {million['samples']}: {million['seconds']:.1f} s")
    print(f"{million['products']} products, residual {million['residual']:.1e}, "
          f"peak memory {million['peak_mib']:.0f} MiB ({million['memory_mib']} MiB for products)")  # fmt: skip
    ratios = {}
    for name, rows in (("single", single), ("ensemble", small)):
        mine = [row for row in rows if row["method"].startswith("sharpseek")]
        peers = [row for row in rows if not row["method"].startswith("sharpseek")]
        for row in mine:
            rival = min(peers, key=lambda r: r["seconds"])
            ratios[f"{name}: {row['method']}"] = rival["seconds"] / row["seconds"]
            print(f"{name}: {row['method']} is {rival['seconds'] / row['seconds']:.1f}x as fast as {rival['method']}")
    machine = {"cpu": cpu(), "system": platform.platform()}
    Path(sys.argv[2]).write_text(
        json.dumps({"machine": machine, "sharpseek": ours, "torch": torch, "jax": jax, "ratios": ratios}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
