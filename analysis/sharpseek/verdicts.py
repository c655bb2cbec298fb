"""The claims, the rules that decide them, and the verdicts. docs/claims.md says when each rule was fixed.

Every verdict carries an effect with a 95 % interval over seeds and the share of replicas that could be used. Replicas
that are not stationary or diverged support nothing. Too few of them: undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from sharpseek.files import Experiment
from sharpseek.summaries import on_manifold, smallest_rate, start_axis, summarise, t_interval, usable

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"

TRACE_MARGIN = 0.02
"""Largest relative difference of trace that counts as agreement for linear networks."""
SHARPNESS_MARGIN = 0.04
"""The same for sharpness."""
NETWORK_MARGIN = 0.05
"""Largest relative difference of trace that counts as the same end for nonlinear networks."""
SLOPE_MARGIN = 0.10
"""Largest relative difference of the measured and the predicted slope of log trace over log kappa."""
BALANCE_ERRORS = 3.0
"""Largest mean imbalance, in standard errors over replicas, that counts as balanced."""
BALANCE_MARGIN = 0.10
"""Imbalance relative to the squared gradients that the data must be able to see, to call them balanced."""
BALANCE_BATCHES = 10
"""Batches of records from which the imbalance's error in time is estimated."""
USABLE_SHARE = 0.5
"""Share of replicas at a point below which it decides nothing."""


@dataclass(frozen=True)
class Evidence:
    """One effect: an estimate with its 95 % interval, and what it says about the claim."""

    subject: str
    estimate: float
    low: float
    high: float
    outcome: str
    usable: int
    replicas: int


@dataclass(frozen=True)
class Verdict:
    """What the data say about one claim in one experiment, or about a claim as a whole."""

    claim: str
    subject: str
    outcome: str
    sentence: str
    effect: str
    test: str
    evidence: tuple[Evidence, ...]

    @property
    def usable_share(self) -> float:
        """Share of replicas that could be used."""
        replicas = sum(e.replicas for e in self.evidence)
        return sum(e.usable for e in self.evidence) / replicas if replicas else 0.0


@dataclass(frozen=True)
class Claim:
    """A claim under test: its statement, the effect that is measured, the test and the rule."""

    name: str
    statement: str
    effect: str
    test: str
    rule: str
    judge: Callable[[Experiment, xr.Dataset], list[Evidence]]
    every_rate: bool = False
    """Whether replicas of all learning rates are evidence; otherwise those of the smallest."""


def within(low: float, high: float, margin: float) -> str:
    """Equivalence of a ratio with 1: supported inside 1 +- margin, refuted entirely outside, else undecided."""
    if not np.isfinite([low, high]).all():
        return UNDECIDED
    if low > 1 - margin and high < 1 + margin:
        return SUPPORTED
    return REFUTED if high < 1 - margin or low > 1 + margin else UNDECIDED


def positive(low: float, high: float) -> str:
    """Sign of an effect: supported above 0, refuted below 0, else undecided."""
    if not np.isfinite([low, high]).all():
        return UNDECIDED
    return SUPPORTED if low > 0 else REFUTED if high < 0 else UNDECIDED


def combine(outcomes: Iterable[str]) -> str:
    """All supported: supported. One refuted: refuted. Otherwise undecided."""
    found = list(outcomes)
    if REFUTED in found:
        return REFUTED
    return SUPPORTED if found and all(outcome == SUPPORTED for outcome in found) else UNDECIDED


def _ratio_evidence(
    run: xr.Dataset, select: np.ndarray, ratio: np.ndarray, subject: str, judge: Callable[[float, float], str]
) -> Evidence:
    """Mean over the usable replicas of a ratio, by its logarithm."""
    use = select & usable(run) & np.isfinite(ratio) & (ratio > 0)
    mean, low, high = t_interval(np.log(ratio[use]))
    estimate, low, high = np.exp(mean), np.exp(low), np.exp(high)
    enough = use.sum() >= max(2, USABLE_SHARE * select.sum())
    outcome = judge(low, high) if enough else UNDECIDED
    return Evidence(subject, float(estimate), float(low), float(high), outcome, int(use.sum()), int(select.sum()))


def _conditions(run: xr.Dataset) -> np.ndarray:
    return np.unique(run["condition"]) if "condition" in run.coords else np.array([np.nan])


def _at(run: xr.Dataset, condition: float) -> np.ndarray:
    if np.isnan(condition):
        return np.ones(run.sizes["replica"], dtype=bool)
    return run["condition"].values == condition


def _label(condition: float) -> str:
    return "" if np.isnan(condition) else f"kappa {condition:g}"


def extrapolated(run: xr.Dataset, select: np.ndarray, ratio: np.ndarray) -> tuple[float, float, float, int]:
    """The ratio at learning rate 0: a straight line through its means at the two smallest rates, with a 95 % interval.

    Student t with the smaller of the two degrees of freedom. NaN unless both rates have two usable replicas.
    """
    rates = np.unique(run["learning_rate"])[:2]
    use = select & usable(run) & np.isfinite(ratio)
    samples = [ratio[use & (run["learning_rate"].values == rate)] for rate in rates]
    count = sum(len(s) for s in samples)
    if min(len(s) for s in samples) < 2:
        return np.nan, np.nan, np.nan, count
    # r(0) = r1 + (r1 - r2) a, a = eta1 / (eta2 - eta1)
    a = rates[0] / (rates[1] - rates[0])
    value = (1 + a) * samples[0].mean() - a * samples[1].mean()
    errors = [s.std(ddof=1) / np.sqrt(len(s)) for s in samples]
    half = stats.t.ppf(0.975, min(len(s) for s in samples) - 1) * np.hypot((1 + a) * errors[0], a * errors[1])
    return float(value), float(value - half), float(value + half), count


def judge_value(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C1: measured over predicted trace and sharpness at each condition where noise and signal commute."""
    if "closed_form_trace" not in run:
        return []
    evidence = []
    several_rates = "learning_rate" in run.coords and len(np.unique(run["learning_rate"])) > 1
    commutes = run["commutes"].values == 1
    for name, margin in (("trace", TRACE_MARGIN), ("sharpness", SHARPNESS_MARGIN)):
        ratio = run[f"{name}_mean"].values / run[f"closed_form_{name}"].values
        for condition in _conditions(run):
            select = _at(run, condition) & commutes
            if not select.any():
                continue
            if several_rates:
                value, low, high, used = extrapolated(run, select, ratio)
                replicas = int((select & np.isin(run["learning_rate"], np.unique(run["learning_rate"])[:2])).sum())
                outcome = within(low, high, margin) if used >= USABLE_SHARE * replicas else UNDECIDED
                subject = f"{name}, {_label(condition)}, rate to 0"
                evidence.append(Evidence(subject, value, low, high, outcome, used, replicas))
                continue

            def rule(low: float, high: float, margin: float = margin) -> str:
                # The theory is the limit of small rates. One rate can agree with it but not refute it.
                outcome = within(low, high, margin)
                return UNDECIDED if outcome == REFUTED else outcome

            evidence.append(_ratio_evidence(run, select, ratio, f"{name}, {_label(condition)}", rule))
    return evidence


def judge_uniqueness(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C2: trace reached from the sharp start over trace reached from the flat one (Welch interval of the logarithm)."""
    axis = start_axis(run)
    if axis is None:
        return []
    margin = TRACE_MARGIN if "closed_form_trace" in run else NETWORK_MARGIN
    starts = np.unique(run[axis])
    evidence = []
    for condition in _conditions(run):
        logs = []
        replicas = 0
        enough = True
        for start in (starts[0], starts[-1]):
            select = _at(run, condition) & (run[axis].values == start)
            use = select & usable(run)
            replicas += int(select.sum())
            enough = enough and use.sum() >= max(2, USABLE_SHARE * select.sum())
            logs.append(np.log(run["trace_mean"].values[use]))
        used = sum(len(values) for values in logs)
        estimate = low = high = np.nan
        if min(len(values) for values in logs) >= 2:
            difference = stats.ttest_ind(logs[1], logs[0], equal_var=False)
            interval = difference.confidence_interval(0.95)
            estimate = float(np.exp(logs[1].mean() - logs[0].mean()))
            low, high = float(np.exp(interval.low)), float(np.exp(interval.high))
        outcome = within(low, high, margin) if enough else UNDECIDED
        evidence.append(Evidence(_label(condition), estimate, low, high, outcome, used, replicas))
    return evidence


def judge_flattest(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C3: trace over the flattest possible trace, at kappa = 1 and at the largest condition."""
    if "closed_form_flattest_trace" not in run or "condition" not in run.coords:
        return []
    ratio = run["trace_mean"].values / run["closed_form_flattest_trace"].values
    conditions = _conditions(run)
    evidence = []
    if conditions[0] == 1:
        evidence.append(
            _ratio_evidence(run, _at(run, 1), ratio, "kappa 1", lambda low, high: within(low, high, TRACE_MARGIN))
        )
    for condition in conditions[conditions > 1]:
        evidence.append(
            _ratio_evidence(
                run,
                _at(run, condition),
                ratio,
                _label(condition),
                lambda low, high: positive(low - 1 - TRACE_MARGIN, high - 1 - TRACE_MARGIN),
            )
        )
    return evidence


def slope_interval(
    run: xr.Dataset, variable: str, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float, int]:
    """Slope of log `variable` over log kappa with a 95 % bootstrap interval: seeds are resampled whole.

    Returns slope, low, high, number of usable replicas. NaN unless two conditions have two usable seeds.
    """
    use = usable(run)
    frame = pd.DataFrame(
        {
            "x": np.log(run["condition"].values[use]),
            "y": np.log(run[variable].values[use]),
            "seed": run["seed"].values[use],
        }
    )
    seeds = frame["seed"].unique()
    if frame["x"].nunique() < 2 or len(seeds) < 2:
        return np.nan, np.nan, np.nan, int(use.sum())

    # Sums of each seed are enough for a regression: resampling seeds is resampling rows of this table.
    frame = frame.assign(one=1.0, xx=frame["x"] ** 2, xy=frame["x"] * frame["y"])
    sums = frame.groupby("seed")[["one", "x", "y", "xx", "xy"]].sum().to_numpy()

    def slope(totals: np.ndarray) -> np.ndarray:
        n, x, y, xx, xy = np.moveaxis(totals, -1, 0)
        spread = n * xx - x * x
        return np.divide(n * xy - x * y, spread, out=np.full_like(spread, np.nan), where=spread > 1e-9)

    draws = np.random.default_rng(seed).integers(len(sums), size=(resamples, len(sums)))
    resampled = slope(sums[draws].sum(axis=1))
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(slope(sums.sum(axis=0)[None])[0]), float(low), float(high), int(use.sum())


def _enough_at_every_condition(run: xr.Dataset) -> bool:
    """Whether no condition lacks usable replicas: a slope without its ends is not the slope that was asked for."""
    use = usable(run)
    return all(use[here].sum() >= max(2, USABLE_SHARE * here.sum()) for here in (_at(run, c) for c in _conditions(run)))


def judge_imbalance(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C4: measured over predicted slope of log trace over log kappa, where noise and signal commute."""
    if "closed_form_trace" not in run or len(_conditions(run)) < 2 or not (run["commutes"].values == 1).all():
        return []
    slope, low, high, used = slope_interval(run, "trace_mean")
    use = usable(run)
    x = np.log(run["condition"].values[use])
    if not _enough_at_every_condition(run):
        return [Evidence("slope over theory", np.nan, np.nan, np.nan, UNDECIDED, used, run.sizes["replica"])]
    predicted = float(np.polyfit(x, np.log(run["closed_form_trace"].values[use]), 1)[0])
    outcome = positive(low, high)
    if outcome == SUPPORTED and within(low / predicted, high / predicted, SLOPE_MARGIN) != SUPPORTED:
        outcome = UNDECIDED
    return [
        Evidence(
            "slope over theory",
            slope / predicted,
            low / predicted,
            high / predicted,
            outcome,
            used,
            run.sizes["replica"],
        )
    ]


def _change(run: xr.Dataset, variable: str) -> np.ndarray:
    """[replica] stationary mean over the value where the weights first reached the set of minima."""
    first = on_manifold(run)
    begin = run[variable].values[np.arange(len(first)), first]
    return run[f"{variable}_mean"].values / begin


def judge_both_ways(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C5: trace at the end over trace at the arrival on the manifold, from both starts, at the largest condition."""
    axis = start_axis(run)
    if axis is None or "condition" not in run.coords:
        return []
    change = _change(run, "trace")
    starts = np.unique(run[axis])
    condition = _conditions(run)[-1]
    flat = _at(run, condition) & (run[axis].values == starts[0])
    sharp = _at(run, condition) & (run[axis].values == starts[-1])
    return [
        _ratio_evidence(
            run, flat, change, f"flat start, {_label(condition)}", lambda low, high: positive(low - 1, high - 1)
        ),
        _ratio_evidence(
            run, sharp, change, f"sharp start, {_label(condition)}", lambda low, high: positive(1 - high, 1 - low)
        ),
    ]


def judge_fluctuation(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6a: the fluctuation at the end over its value at the arrival, and layers: largest over smallest share."""
    if "closed_form_trace" not in run or not (run["commutes"].values == 1).all():
        return []
    evidence = []
    axis = start_axis(run)
    change = _change(run, "gradient_fluctuation")
    sharp = run[axis].values == run[axis].values.max() if axis else np.ones(run.sizes["replica"], dtype=bool)
    for condition in _conditions(run):
        evidence.append(
            _ratio_evidence(
                run,
                _at(run, condition) & sharp,
                change,
                f"fluctuation, sharp start, {_label(condition)}" if axis else f"fluctuation, {_label(condition)}",
                lambda low, high: positive(1 - high, 1 - low),
            )
        )
    half = run["layer_fluctuation"].isel(time=slice(run.sizes["time"] - run.sizes["time"] // 2, None)).mean("time")
    spread = (half.max("layer") / half.min("layer")).values
    for condition in _conditions(run):
        evidence.append(
            _ratio_evidence(
                run,
                _at(run, condition),
                spread,
                f"largest over smallest layer, {_label(condition)}",
                lambda low, high: within(low, high, 2 * SHARPNESS_MARGIN),
            )
        )
    return evidence


CONSERVED = ("linear", "relu", "attention-qk", "attention-vp")
"""Kinds of balances that hold at every learning rate. The others are the control."""


def balance_table(run: xr.Dataset) -> pd.DataFrame:
    """Mean relative imbalance of each kind of balance over usable replicas and the last half of the records.

    Relative imbalance: sum of balance_difference over the kind's balances over the replica's mean in time of the same
    sum of balance_sum. The law is about the mean difference; a record's own sum is correlated with its difference, and
    the mean of their ratio is not 0. Columns kind, conserved, mean, low, high (95 % interval), errors (mean in standard
    errors), usable, replicas.

    Replicas are independent but see the same inputs at a record; records are independent in their inputs but not in
    their weights. So the squared error is the sum of two: between replicas (means over records), and between
    batches of records (means over replicas).
    """
    if "balance_difference" not in run:
        return pd.DataFrame()
    window = {"time": slice(run.sizes["time"] - run.sizes["time"] // 2, None)}
    difference = run["balance_difference"].isel(window).values
    total = run["balance_sum"].isel(window).values
    use = usable(run)
    kinds = run["balance_kind"].values.astype(str)
    names = run["balance"].values.astype(str)
    # The balance of a whole layer is the sum of its units' and would be counted twice.
    single = np.array([not any(other.startswith(f"{name}[") for other in names) for name in names])
    rows = []
    for kind in dict.fromkeys(str(k) for k in kinds):
        chosen = (kinds == kind) & single
        size = total[use][..., chosen].sum(axis=2).mean(axis=1, keepdims=True)  # [replica, 1]
        share = difference[use][..., chosen].sum(axis=2) / size  # [replica, time]
        mean = error = half = np.nan
        if len(share) > 1:
            mean = float(share.mean())
            batches = [batch.mean() for batch in np.array_split(share.mean(axis=0), BALANCE_BATCHES)]
            error = float(np.hypot(_standard_error(share.mean(axis=1)), _standard_error(np.array(batches))))
            half = float(stats.t.ppf(0.975, min(len(share), BALANCE_BATCHES) - 1)) * error
        rows.append(
            {
                "kind": kind,
                "conserved": kind in CONSERVED,
                "mean": mean,
                "low": mean - half,
                "high": mean + half,
                "errors": mean / error if error > 0 else np.nan,
                "usable": int(use.sum()),
                "replicas": run.sizes["replica"],
            }
        )
    return pd.DataFrame(rows)


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def judge_balance(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C6b: relative imbalance of squared gradients for each kind of symmetry."""
    evidence = []
    for row in balance_table(run).itertuples():
        if not row.conserved:
            continue
        outcome = UNDECIDED
        if row.usable >= max(2, USABLE_SHARE * row.replicas) and np.isfinite(row.errors):
            if abs(row.errors) > BALANCE_ERRORS:
                outcome = REFUTED
            elif max(abs(row.low), abs(row.high)) < BALANCE_MARGIN:
                outcome = SUPPORTED
        evidence.append(Evidence(row.kind, row.mean, row.low, row.high, outcome, row.usable, row.replicas))
    return evidence


def judge_trend(experiment: Experiment, run: xr.Dataset) -> list[Evidence]:
    """C7: slopes of log trace and log sharpness over log kappa of a nonlinear network."""
    if experiment.architecture == "linear" or len(_conditions(run)) < 2:
        return []
    evidence = []
    for name in ("trace", "sharpness"):
        slope, low, high, used = slope_interval(run, f"{name}_mean")
        outcome = positive(low, high) if _enough_at_every_condition(run) else UNDECIDED
        evidence.append(Evidence(f"{name}", slope, low, high, outcome, used, run.sizes["replica"]))
    return evidence


CLAIMS = [
    Claim(
        "C1",
        "A linear network ends at the trace and sharpness that the closed form predicts.",
        "measured / predicted",
        "Student t interval over seeds; with several learning rates, of the straight line through the two smallest",
        f"Supported if every interval lies within {TRACE_MARGIN:.0%} (trace) or {SHARPNESS_MARGIN:.0%} (sharpness) of "
        "1; refuted entirely outside, but only by two rates: the prediction is the limit of small rates, and one rate "
        "cannot refute it.",
        judge_value,
        every_rate=True,
    ),
    Claim(
        "C2",
        "A flat and a sharp start end at the same trace.",
        "trace from the sharp start / trace from the flat start",
        "Welch t interval over seeds of the log ratio (equivalence)",
        f"Supported if every interval lies within {TRACE_MARGIN:.0%} of 1 ({NETWORK_MARGIN:.0%} for nonlinear "
        "networks); refuted if one lies entirely outside.",
        judge_uniqueness,
    ),
    Claim(
        "C3",
        "Isotropic label noise, and only that, leads to the flattest minimum.",
        "trace / flattest possible trace",
        "Student t interval over seeds of the log ratio",
        f"Supported if the interval lies within {TRACE_MARGIN:.0%} of 1 at kappa 1 and above 1 + {TRACE_MARGIN:.0%} at "
        "every other kappa; refuted if the first lies entirely outside or another entirely below.",
        judge_flattest,
    ),
    Claim(
        "C4",
        "The more imbalanced the noise, the sharper the end, by as much as theory says.",
        "slope of log trace over log kappa / predicted slope",
        "bootstrap over seeds",
        f"Supported if the interval is above 0 and within {SLOPE_MARGIN:.0%} of 1; refuted if it is below 0.",
        judge_imbalance,
    ),
    Claim(
        "C5",
        "On the same data a flat start gets sharper and a sharp start gets flatter.",
        "trace at the end / trace where the weights first fit the data",
        "Student t interval over seeds of the log ratio, largest kappa",
        "Supported if the flat start's interval is above 1 and the sharp start's below 1; refuted if one is on the "
        "wrong side.",
        judge_both_ways,
    ),
    Claim(
        "C6a",
        "Where noise and signal commute the gradient fluctuation falls, and layers come to share it equally.",
        "fluctuation at the end / at the arrival on the minima; largest / smallest layer",
        "Student t interval over seeds of the log ratio",
        f"Supported if the first is below 1 from the sharp start and the second within {2 * SHARPNESS_MARGIN:.0%} of 1 "
        "at every kappa.",
        judge_fluctuation,
    ),
    Claim(
        "C6b",
        "Squared gradients balance wherever two factors can be rescaled against each other, at every learning rate.",
        "mean difference / sum of squared gradients, per kind of symmetry",
        "mean over replicas and records against its standard error between replicas and between batches of records",
        f"Supported if the mean is within {BALANCE_ERRORS:g} standard errors of 0 and the interval within "
        f"{BALANCE_MARGIN:.0%}; refuted beyond {BALANCE_ERRORS:g} standard errors. Tanh units are the control.",
        judge_balance,
        every_rate=True,
    ),
    Claim(
        "C7",
        "Trace and sharpness rise with the imbalance of the noise in nonlinear networks.",
        "slope of log trace and of log sharpness over log kappa",
        "bootstrap over seeds",
        f"Supported if both intervals are above 0; refuted if one is below 0; undecided if at any kappa fewer "
        f"than {USABLE_SHARE:.0%} of the replicas are stationary.",
        judge_trend,
    ),
]


def _sentence(claim: Claim, evidence: list[Evidence], outcome: str) -> str:
    """One sentence with the number that matters: the worst piece of evidence."""
    used = sum(e.usable for e in evidence)
    replicas = sum(e.replicas for e in evidence)
    measured = [e for e in evidence if np.isfinite(e.low)]
    if not measured:
        return f"Undecided: no point has two stationary seeds ({used} of {replicas} replica readings usable)."
    worst = [e for e in measured if e.outcome == outcome] or measured
    shown = max(worst, key=lambda e: e.high - e.low)
    return (
        f"{claim.effect.capitalize()}: {shown.estimate:.3g} [{shown.low:.3g}, {shown.high:.3g}] ({shown.subject}); "
        f"{used} of {replicas} replica readings usable."
    )


def judge(experiments: list[Experiment]) -> list[Verdict]:
    """A verdict for every claim that an experiment speaks to, in the order of the claims."""
    verdicts = []
    for claim in CLAIMS:
        for experiment in experiments:
            if claim.name not in experiment.claims:
                continue
            runs = [run if claim.every_rate else smallest_rate(run) for run in experiment.runs.values()]
            evidence = [e for run in runs for e in claim.judge(experiment, run)]
            if not evidence:
                continue
            outcome = combine(e.outcome for e in evidence)
            verdicts.append(
                Verdict(
                    claim.name,
                    experiment.name,
                    outcome,
                    _sentence(claim, evidence, outcome),
                    claim.effect,
                    claim.test,
                    tuple(evidence),
                )
            )
    return verdicts


def overall(verdicts: list[Verdict]) -> dict[str, str]:
    """Outcome of each claim over all experiments that speak to it."""
    return {
        claim.name: combine(v.outcome for v in verdicts if v.claim == claim.name)
        for claim in CLAIMS
        if any(v.claim == claim.name for v in verdicts)
    }


def prediction_table(experiment: Experiment) -> pd.DataFrame:
    """Predicted, measured and interval of trace, sharpness and fluctuation at each condition of a linear network."""
    tables = []
    for run in map(smallest_rate, experiment.runs.values()):
        if "closed_form_trace" not in run:
            continue
        by = ["condition"] if "condition" in run.coords else []
        for name in ("trace", "sharpness", "gradient_fluctuation"):
            table = summarise(run, f"{name}_mean", by)
            predicted = [
                float(run[f"closed_form_{name}"].values[_at(run, condition)][0]) for condition in _conditions(run)
            ]
            table.insert(0, "quantity", name.replace("_", " "))
            table.insert(1, "predicted", predicted)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
