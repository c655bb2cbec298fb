"""Speed of the lane engine in a short run against the last recorded one: smoke.py OURS.json.

OURS.json is what `ensembles SECONDS smoke` prints. Compares each network's best share of the machine's peak, measured
in the same run, with the share recorded for the same instruction set, so that another processor or a busy one matters
less. Prints how many times slower this run is and warns above 1.5; never fails, since a shared machine may be slow.
"""

import json
import sys
from pathlib import Path

WARN = 1.5


def best(report: dict, key: str, choose) -> dict[str, float]:
    """The best value of each network on the lane engine over numbers of replicas."""
    values: dict[str, list[float]] = {}
    for row in report["results"]:
        if row["engine"] == "lanes":
            values.setdefault(row["network"], []).append(row[key])
    return {network: choose(found) for network, found in values.items()}


def recorded_shares(instruction_set: str) -> tuple[str, dict[str, float]]:
    """The newest recorded benchmark with this instruction set: its file's name and each network's best share."""
    for file in sorted((Path(__file__).parents[1] / "results").glob("ensembles-*.json"), reverse=True):
        recorded = json.loads(file.read_text())["sharpseek"]
        if recorded["instruction_set"] == instruction_set:
            return file.name, best(recorded, "peak_share", max)
    return "", {}


def main() -> None:
    ours = json.loads(Path(sys.argv[1]).read_text())
    name, shares = recorded_shares(ours["instruction_set"])
    times = best(ours, "us_per_replica_step", min)
    for network, share in best(ours, "peak_share", max).items():
        line = f"bench: {network}: {times[network]:.4f} us per replica-step, {share:.0%} of peak"
        if not shares:
            print(f"{line}; no benchmark with {ours['instruction_set']} is recorded")
            continue
        ratio = shares[network] / share
        note = "" if ratio <= WARN else f"; WARNING: above {WARN}: slower code, or a busy machine"
        print(f"{line}, {ratio:.2f} times slower than {name}{note}")


if __name__ == "__main__":
    main()
