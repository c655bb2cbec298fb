"""Draws docs/images/ratios.png: speed over that of the best peer, from the newest files of benchmarks/results.

python docs/ratios.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
OURS, PEER = "#3b6fb6", "#777777"


def newest(pattern: str) -> dict[str, Any]:
    """The newest recorded benchmark of this name that has ratios."""
    for file in sorted((ROOT / "benchmarks" / "results").glob(pattern), reverse=True):
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if content.get("ratios"):
            return content
    raise SystemExit(f"docs/ratios.py: benchmarks/results holds no {pattern} with ratios")


def training_by_instruction_set() -> list[tuple[str, dict[str, float]]]:
    """A panel for each instruction set that training on the CPU is recorded with, of its newest record."""
    found: dict[str, tuple[str, dict[str, float]]] = {}
    for file in sorted((ROOT / "benchmarks" / "results").glob("ensembles-*.json")):
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        ours = content["sharpseek"]
        lanes = ours["instruction_set"]
        found[lanes] = (
            f"Training, {ours['threads']} cores, {lanes}\nagainst the best JAX layout",
            content["ratios"],
        )
    return [found[lanes] for lanes in sorted(found)]


def panels() -> list[tuple[str, dict[str, float]]]:
    """Title and ratios of each panel."""
    gpu, spectra = newest("gpu-2*.json"), newest("spectra-*.json")
    largest = {name: max(by_size.items(), key=lambda item: int(item[0]))[1] for name, by_size in gpu["ratios"].items()}
    words = {"single": "one network", "ensemble": "256 networks"}
    named = {}
    for key, ratio in spectra["ratios"].items():
        kind, _, how = key.partition(": ")
        program, *details = how.split(", ")
        # sharpseek.curvature takes one network at a time: it is no way to measure an ensemble.
        if program == "sharpseek" or kind == "single":
            named[", ".join([words[kind], *([] if program == "sharpseek" else ["curvature"]), *details])] = ratio
    return [
        *training_by_instruction_set(),
        ("Training, H200, 65,536 replicas\nagainst the best JAX layout", largest),
        ("Five largest eigenvalues, CPU\nagainst the best peer", named),
    ]


def main() -> None:
    drawn = panels()
    figure, all_axes = plt.subplots(1, len(drawn), figsize=(4.2 * len(drawn), 3.2), layout="constrained")
    for axes, (title, ratios) in zip(all_axes, drawn, strict=True):
        names, values = list(ratios), list(ratios.values())
        bars = axes.barh(names, values, color=OURS)
        axes.bar_label(bars, [f"{value:.1f}x" for value in values], padding=3)
        axes.axvline(1, color=PEER, linewidth=1)
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelsize=8)
        axes.set_xlim(0, 1.18 * max(values))
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(ROOT / "docs" / "images" / "ratios.png", dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    main()
