"""Speed of the lane engine in a short run against the last recorded one: smoke.py OURS.json.

OURS.json is what `ensembles SECONDS smoke` prints. Compares each network's best share of the machine's peak, measured
in the same run, with the recorded share, so that another processor or a busy one matters less. Prints how many times
slower this run is and warns above 1.5; never fails, since a shared machine may be slow.
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


def main() -> None:
    ours = json.loads(Path(sys.argv[1]).read_text())
    recorded = sorted((Path(__file__).parents[1] / "results").glob("ensembles-*.json"))[-1]
    shares = best(json.loads(recorded.read_text())["sharpseek"], "peak_share", max)
    times = best(ours, "us_per_replica_step", min)
    for network, share in best(ours, "peak_share", max).items():
        ratio = shares[network] / share
        note = "" if ratio <= WARN else f"; WARNING: above {WARN}: slower code, or a busy machine"
        print(
            f"bench: {network}: {times[network]:.4f} us per replica-step, {share:.0%} of peak, "
            f"{ratio:.2f} times slower than {recorded.name}{note}"
        )


if __name__ == "__main__":
    main()
