"""The headline: what C2 and C5 say together, and what was not asked."""

import numpy as np
import pytest
from sharpseek.files import Experiment
from sharpseek.findings import answer, as_json, findings, not_asked
from sharpseek.verdicts import REFUTED, SUPPORTED, UNDECIDED, judge, overall
from synthetic import make_dataset, make_experiment

NEITHER = "Neither: the data decide."
CONTRADICT = "contradict"


def headline(*experiments: Experiment) -> tuple[dict[str, str], str]:
    verdicts = judge(list(experiments))
    return overall(verdicts), answer(findings(verdicts), not_asked(list(experiments)))


def linear(claims: str, name: str = "only", **options: object) -> Experiment:
    return Experiment(name, name, "linear", claims.split(), {"": make_dataset(**options)})


def test_both_supported() -> None:
    outcomes, text = headline(linear("C2 C5"))
    assert outcomes == {"C2": SUPPORTED, "C5": SUPPORTED}
    assert text.startswith(NEITHER)
    assert "Asked: C2 of only; C5 of only." in text


@pytest.mark.parametrize(
    ("begins", "words"),
    [
        ((30.0, 60.0), "because the sharper start, too, was flatter than the end"),
        ((150.0, 250.0), "because the flatter start, too, was sharper than the end"),
        ((150.0, 60.0), "in both directions"),
    ],
)
def test_starts_on_one_side_of_a_common_end_do_not_contradict_that_the_data_decide(
    begins: tuple[float, float], words: str
) -> None:
    # The end is at 100 at the largest kappa, from every start.
    outcomes, text = headline(linear("C2 C5", begins=begins))
    assert outcomes == {"C2": SUPPORTED, "C5": REFUTED}
    assert "the data decide, not the start" in text
    assert CONTRADICT not in text
    assert words in text


def test_ends_that_depend_on_the_start_contradict_it_with_the_number() -> None:
    outcomes, text = headline(linear("C2 C5", start_gap=1.1))
    assert outcomes == {"C2": REFUTED, "C5": SUPPORTED}
    assert CONTRADICT in text
    assert "On the same data flat starts get sharper and sharp ones flatter" in text
    assert " 1.1" in text or " 1.09" in text


def test_without_the_claims_nothing_is_said_of_longer_runs() -> None:
    _, text = headline(linear("C3 C4"))
    assert text.startswith("Not asked here")
    assert "longer" not in text
    _, text = headline(linear("C2"))
    assert text.startswith("Flat and sharp starts end at the same curvature (C2): the data decide")
    assert "was not asked (C5)" in text
    _, text = headline(linear("C5"))
    assert text.startswith("Not asked here")


def test_undecided_says_what_and_why() -> None:
    _, text = headline(linear("C2 C5", stationary=0.0))
    assert text.startswith("Not decided by these data: whether flat and sharp starts end alike")
    assert "no point has enough usable replicas" in text
    outcomes, text = headline(linear("C2 C5", begins=(100.0, 200.0), noise=0.02))
    assert outcomes == {"C2": UNDECIDED, "C5": UNDECIDED} or outcomes["C5"] == UNDECIDED
    assert NEITHER not in text


def test_what_was_not_asked_is_said_with_its_number() -> None:
    other = make_dataset(linear=False, start_gap=0.9)
    experiments = [linear("C2 C5"), Experiment("transformer", "", "transformer", ["C6b", "C7"], {"": other})]
    verdicts = judge(experiments)
    text = answer(findings(verdicts), not_asked(experiments))
    assert text.startswith(NEITHER)
    (unasked,) = [v for v in not_asked(experiments) if v.claim == "C2"]
    assert not unasked.asked
    worst = max(unasked.evidence, key=lambda e: e.p)
    assert unasked.outcome == REFUTED
    assert f"transformer refuted, {worst.estimate:.4g} [{worst.low:.4g}, {worst.high:.4g}] at {worst.subject}" in text
    # It decides nothing.
    assert overall(verdicts)["C2"] == SUPPORTED
    assert not any(v.subject == "transformer" and v.claim == "C2" for v in verdicts)


def test_ablations_are_not_asked_what_they_change() -> None:
    ablation = Experiment("descent", "", "tanh mlp", ["C9i"], {"": make_dataset(linear=False, start_gap=2.0)})
    assert not_asked([linear("C2 C5"), ablation]) == []


def test_the_least_certain_piece_is_the_one_with_the_largest_p() -> None:
    experiment = make_experiment(claims=["C3"], noise=0.01)
    # At kappa 1 the interval is the narrowest and the margin the nearest.
    run = experiment.runs[""]
    factor = np.where(run["condition"].values == 1, 1.014, 1.0)
    experiment.runs[""] = run.assign(trace_mean=("replica", run["trace_mean"].values * factor))
    (found,) = findings(judge([experiment]))
    assert found.shown is not None
    assert found.shown.subject == "kappa 1"
    assert found.shown.p == found.p


def test_files_hold_both_p_values_and_what_they_are_bounds_of() -> None:
    found = as_json(findings(judge([make_experiment(claims=["C4"])])))[0]
    piece = found["evidence"][0]
    assert piece["p"] == piece["p_least"] == pytest.approx(1 / 40001)
    assert found["sentence"].count("p < 2.5e-05") == 1
    assert found["p_against"] == 1


def test_a_point_that_could_not_be_measured_is_named_where_the_rest_was() -> None:
    experiment = linear("C2")
    run = experiment.runs[""]
    stationary = run["stationary"].values.copy()
    stationary[run["condition"].values == 1] = 0
    experiment.runs[""] = run.assign(stationary=("replica", stationary))
    (found,) = findings(judge([experiment]))
    assert found.outcome == UNDECIDED
    replicas = int((stationary == 0).sum())
    assert f"not measured: only, kappa 1 (0 of {replicas} replicas usable)" in found.gap
    assert found.sentence.endswith(f"Undecided because {found.gap}.")
    assert found.gap in answer([found], [])


def test_of_the_paper_s_statements_the_headline_says_how_many_hold() -> None:
    good, bad = linear("P1"), linear("P1", bias=1.1, rates=(0.001, 0.002))
    _, text = headline(good)
    assert text == "Of the statement of arXiv:2602.05065 that was put to the test, 1 is supported (P1)."
    _, text = headline(bad)
    assert text.startswith("Of the statement of arXiv:2602.05065 that was put to the test, 1 is refuted (P1: 1.")
    _, text = headline(linear("P1 P2"))
    assert text.startswith("Of the 2 statements of arXiv:2602.05065 that were put to the test, ")
    # Where the question itself is asked the answer is about that.
    _, text = headline(linear("P1 C2"))
    assert text.startswith("Flat and sharp starts end at the same curvature")
