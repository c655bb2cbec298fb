"""Student's t, for every interval of a mean over a few independent values."""

from __future__ import annotations

from scipy import special


def student_quantile(level: float, freedom: float) -> float:
    """What Student's t exceeds with probability `level`, a number between 0 and 1."""
    return float(-special.stdtrit(freedom, level))
