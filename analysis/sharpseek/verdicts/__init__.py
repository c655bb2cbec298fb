"""The claims, the rules that decide them, and the verdicts. docs/claims.md says when each rule was fixed.

Every verdict carries an effect with a 95 % interval over seeds and the share of replicas that could be used. Replicas
that are not stationary or diverged support nothing. Too few of them: undecided.

`rules` says what a claim, evidence and a verdict are, `statistics` estimates effects, `registry` lists the claims, the
other modules judge one family of claims each.
"""

from sharpseek.predictions import prediction_table
from sharpseek.verdicts.balance import balance_table
from sharpseek.verdicts.flow import circulation_table, flow_table
from sharpseek.verdicts.judge import adjusted_against, adjusted_p, judge, judge_unasked, overall
from sharpseek.verdicts.registry import CLAIMS
from sharpseek.verdicts.rivals import rival_table
from sharpseek.verdicts.rules import (
    REFUTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Evidence,
    Verdict,
    combine,
    p_text,
    positive,
    within,
)
from sharpseek.verdicts.sharpening import sharpening_table

__all__ = [
    "CLAIMS",
    "REFUTED",
    "SUPPORTED",
    "UNDECIDED",
    "Claim",
    "Evidence",
    "Verdict",
    "adjusted_against",
    "adjusted_p",
    "balance_table",
    "circulation_table",
    "combine",
    "flow_table",
    "judge",
    "judge_unasked",
    "overall",
    "p_text",
    "positive",
    "prediction_table",
    "rival_table",
    "sharpening_table",
    "within",
]
