"""The table of registers and occupancy of docs/gpu.md: registers.py BUILD (default build/release), plain Python.

Compiles the benchmark's training kernels as a run would (benchmarks/gpu --resources; no GPU is needed), and reads what
`ptxas -v` reported of the kernels of all programs, which the build keeps next to their object (cmake/keep_ptxas.sh).
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(sm_\d+)'")
MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers(?:.* (\d+) bytes smem)?")
OBJECTS = "engine/cuda/CMakeFiles/sharpseek_cuda.dir"

Resources = dict[tuple[str, str], dict[str, int]]


def resources(report: str) -> Resources:
    """(kernel, architecture) -> registers, shared, stack, spill_stores, spill_loads, from the output of ptxas -v."""
    found: Resources = {}
    current = None
    for line in report.splitlines():
        if entry := ENTRY.search(line):
            current = found.setdefault((entry[1], entry[2]), {})
        elif "Function properties for" in line and current is not None and "stack" in current:
            current = None  # a function that the kernel calls
        elif current is None:
            continue
        elif memory := MEMORY.search(line):
            current["stack"], current["spill_stores"], current["spill_loads"] = map(int, memory.groups())
        elif registers := REGISTERS.search(line):
            current["registers"], current["shared"] = int(registers[1]), int(registers[2] or 0)
    return found


def warps_per_multiprocessor(registers: int, shared: int) -> int:
    """By the register file, 65,536 registers given to warps 256 at a time to blocks of 4 warps; by shared memory where
    `shared` bytes belong to a block of one warp: 227 KiB less 1 KiB a block, 32 blocks."""
    per_warp = (registers * 32 + 255) // 256 * 256
    if shared == 0:
        return min(64, 65536 // per_warp) // 4 * 4
    return min(32, 65536 // per_warp, (227 << 10) // (shared + 1024))


def label(kernel: str) -> tuple[int, str]:
    """Order and name of a kernel of all programs."""
    if "general_step" in kernel:
        return 20, "training, all programs"
    if "draw_batches" in kernel:
        return 21, "drawing"
    return (22, "evaluation, `Dual<float>`") if "Dual" in kernel else (23, "evaluation, float")


def main() -> None:
    build = Path(sys.argv[1] if len(sys.argv) > 1 else "build/release")
    rows: dict[tuple[int, str], dict[str, dict[str, int]]] = {}
    compiled = subprocess.run([build / "benchmarks/gpu", "--resources"], capture_output=True, text=True, check=True)
    for order, row in enumerate(json.loads(compiled.stdout)):
        if "registers" in row:
            name = f"{row['network']}, batch {row['batch']}, a thread a {row['threads']}"
            known = next((key for key in rows if key[1] == name), (order - 1000, name))
            rows.setdefault(known, {})[row["architecture"]] = row
    for (kernel, architecture), used in resources((build / OBJECTS / "general_kernels.cu.o.ptxas").read_text()).items():
        rows.setdefault(label(kernel), {})[architecture] = used
    print("| kernel | sm_80: registers, warps | sm_90: registers, warps | stack, spill stores, spill loads, bytes |")
    print("|---|---|---|---|")
    for (_, name), used in sorted(rows.items()):
        cells = [
            f"{u['registers']}, {warps_per_multiprocessor(u['registers'], u['shared'])}"
            for _, u in sorted(used.items())
        ]
        worst = [max(u[key] for u in used.values()) for key in ("stack", "spill_stores", "spill_loads")]
        print(f"| {name} | {' | '.join(cells)} | {', '.join(map(str, worst))} |")


if __name__ == "__main__":
    main()
