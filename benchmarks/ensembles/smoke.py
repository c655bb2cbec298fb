"""Microseconds per replica-step of a short run against the last recorded ones: smoke.py OURS.json.

Prints a ratio for each network on lanes and warns above 1.5; never fails, since a shared machine may be slow.
"""

import json
import sys
from pathlib import Path

WARN = 1.5


def best(report: dict) -> dict[str, float]:
    """Least microseconds per replica-step of each network on the lane engine."""
    times: dict[str, float] = {}
    for row in report["results"]:
        if row["engine"] == "lanes":
            name = row["network"]
            times[name] = min(times.get(name, float("inf")), row["us_per_replica_step"])
    return times


def main() -> None:
    now = best(json.loads(Path(sys.argv[1]).read_text()))
    recorded = sorted((Path(__file__).parents[1] / "results").glob("ensembles-*.json"))[-1]
    then = best(json.loads(recorded.read_text())["sharpseek"])
    for name in now:
        ratio = now[name] / then[name]
        note = (
            "" if ratio <= WARN else f"  WARNING: above {WARN}; slower code, or a machine that is busy or another one"
        )
        print(f"bench: {name} {now[name]:.4f} us per replica-step, {ratio:.2f} times {recorded.name}{note}")


if __name__ == "__main__":
    main()
