"""The claims, in the order of the report: one line each. A new claim is a file with a `Claim` and a line here."""

from __future__ import annotations

from sharpseek.verdicts.ablations import ABLATIONS
from sharpseek.verdicts.balance import BALANCE
from sharpseek.verdicts.beyond_edge import DIVERGENCE, SUPPRESSION
from sharpseek.verdicts.beyond_entropy import ENTROPY
from sharpseek.verdicts.beyond_entropy_flow import ENTROPY_FLOW
from sharpseek.verdicts.beyond_networks import AXES
from sharpseek.verdicts.beyond_optimizers import ADAPTIVE, MOMENTUM, PLATEAUS
from sharpseek.verdicts.beyond_saturation import SATURATION
from sharpseek.verdicts.circulation import CIRCULATION
from sharpseek.verdicts.flow import FLOW
from sharpseek.verdicts.fluctuation import FLUCTUATION
from sharpseek.verdicts.imbalance import FLATTEST, IMBALANCE
from sharpseek.verdicts.paper_forks import FORKS
from sharpseek.verdicts.paper_labels import LABELS
from sharpseek.verdicts.paper_layers import LAYERS
from sharpseek.verdicts.paper_linear import DEPTHS, EIGENVALUE, ISOTROPIC, SCALES, THEOREM_1
from sharpseek.verdicts.paper_networks import CROSS_ENTROPY, SQUARED
from sharpseek.verdicts.paper_plateau import PLATEAU
from sharpseek.verdicts.paper_power import POWER_LAWS
from sharpseek.verdicts.rivals import RIVALS
from sharpseek.verdicts.rules import Claim
from sharpseek.verdicts.sharpening import SHARPENING
from sharpseek.verdicts.starts import BOTH_WAYS, UNIQUENESS
from sharpseek.verdicts.trend import TREND
from sharpseek.verdicts.value import VALUE

CLAIMS: list[Claim] = [
    VALUE,
    UNIQUENESS,
    FLATTEST,
    IMBALANCE,
    BOTH_WAYS,
    FLUCTUATION,
    BALANCE,
    TREND,
    RIVALS,
    CIRCULATION,
    *ABLATIONS,
    SHARPENING,
    FLOW,
    THEOREM_1,
    ISOTROPIC,
    SCALES,
    DEPTHS,
    EIGENVALUE,
    FORKS,
    LABELS,
    LAYERS,
    SQUARED,
    CROSS_ENTROPY,
    POWER_LAWS,
    PLATEAU,
    SATURATION,
    AXES,
    ENTROPY,
    ENTROPY_FLOW,
    SUPPRESSION,
    DIVERGENCE,
    MOMENTUM,
    PLATEAUS,
    ADAPTIVE,
]
