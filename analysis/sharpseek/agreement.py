"""Whether reproductions of one preset with other base seeds reach the same verdicts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sharpseek.comparison import read_verdicts
from sharpseek.files import open_reproduction
from sharpseek.verdicts import CLAIMS, judge, overall


def verdict_words(reproduction: Path) -> dict[str, str]:
    """The word for every claim that a reproduction judges, given by its folder, which is judged anew, or by the
    verdicts.json of its report. Raises SharpseekFileError."""
    if reproduction.is_file():
        return {claim["claim"]: claim["outcome"] for claim in read_verdicts(reproduction)["claims"]}
    experiments = open_reproduction(reproduction)[1]
    try:
        return overall(judge(experiments))
    finally:
        for experiment in experiments:
            for run in experiment.runs.values():
                run.close()


def agreement_table(words: list[dict[str, str]]) -> pd.DataFrame:
    """A row per claim: how many reproductions call it supported, undecided, refuted; the share of the commonest word
    among them; and whether it flips, that is, one reproduction supports what another one refutes."""
    rows = []
    for claim in (claim.name for claim in CLAIMS):
        found = [one[claim] for one in words if claim in one]
        if not found:
            continue
        counts = {word: found.count(word) for word in ("supported", "undecided", "refuted")}
        rows.append(
            {
                "claim": claim,
                **counts,
                "agree": max(counts.values()) / len(found),
                "flips": counts["supported"] > 0 and counts["refuted"] > 0,
            }
        )
    return pd.DataFrame(rows)
