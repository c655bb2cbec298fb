"""Instructions of one step of the training kernels of fixed sizes: instructions.py FILE.ptx..., plain Python.

The files are those that `benchmarks/gpu --resources --ptx FOLDER` writes. A step is the body of a kernel's longest
loop, which is fully unrolled. ptxas merges and splits some of these; the number is an estimate of what the hardware
issues.
"""

import re
import sys
from pathlib import Path

KERNEL = re.compile(r"\.entry sharpseek_step\((.*?)\n}", re.DOTALL)
LABEL = re.compile(r"^(\$L\w+):")
INSTRUCTION = re.compile(r"^(@!?%p\d+ )?([a-z][a-z0-9]*)[.\w:]*\s.*;")
BRANCH = re.compile(r"\bbra(?:\.uni)?\s+(\$L\w+);")


def longest_loop(body: str) -> list[str]:
    """Names of the instructions between a label and the branch back to it that lie farthest apart."""
    labels: dict[str, int] = {}
    names: list[str] = []
    loops = [(0, 0)]
    for line in map(str.strip, body.splitlines()):
        if label := LABEL.match(line):
            labels[label[1]] = len(names)
        elif instruction := INSTRUCTION.match(line):
            names.append(instruction[2])
            branch = BRANCH.search(line)
            if branch and branch[1] in labels:
                loops.append((labels[branch[1]], len(names)))
    first, last = max(loops, key=lambda loop: loop[1] - loop[0])
    return names[first:last]


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        kernel = KERNEL.search(path.read_text())
        loop = longest_loop(kernel[1]) if kernel else []
        moves = loop.count("mov")
        print(f"{path.stem}: {len(loop) - moves} instructions and {moves} moves, {loop.count('fma')} FMAs")


if __name__ == "__main__":
    main()
