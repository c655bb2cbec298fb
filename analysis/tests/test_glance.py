"""The report's first picture and its one sentence: what applies is drawn, with the runs' numbers."""

import re

import numpy as np
import pytest
from sharpseek.figures import glance
from sharpseek.figures.chart import Chart, Series
from sharpseek.files import Experiment
from sharpseek.findings import findings, headline
from sharpseek.verdicts import CLAIMS, judge
from synthetic import make_dataset, make_experiment


def drawn(*experiments: Experiment) -> dict[str, dict[str, Series]]:
    """Series by label, of each panel by title."""
    found = glance.charts(list(experiments), [])
    assert len(found) <= 1
    return {panel.title: {s.label: s for s in panel.series} for chart in found for panel in chart.panels}


def network(name: str = "tanh", **options: object) -> Experiment:
    return Experiment(name, name, "tanh mlp", ["C2", "C7"], {"": make_dataset(linear=False, **options)})


def test_both_starts_are_drawn_over_the_flattest_minimum_at_the_largest_condition() -> None:
    panels = drawn(make_experiment(noise=0.001, slope=0.3))
    way = panels["Flat and sharp starts over time"]
    assert set(way) == {"flat start", "sharp start", glance.THEORY}
    # The flattest trace is 40 and the end 40 x 100^0.3; a start is left with 5 records' relaxation time.
    end = 100**0.3
    for label, begin in (("flat start", 30 / 40), ("sharp start", 200 / 40)):
        expected = end + (begin - end) * np.exp(-np.arange(1, 60) / 5)
        np.testing.assert_allclose(way[label].y, expected, rtol=0.01)
        assert way[label].low is not None and (way[label].low <= way[label].y).all()
    np.testing.assert_allclose(way[glance.THEORY].y, end)


def test_ends_are_drawn_with_theory_for_aligned_and_turned_noise() -> None:
    turned = Experiment("turned", "", "linear", ["C8"], {"": make_dataset(commutes=0, slope=0.02, noise=0.001)})
    ends = drawn(make_experiment(slope=0.25, noise=0.001, bias=1.02), turned)["Where it ends as noise grows uneven"]
    kappas = np.array([1.0, 10.0, 100.0])
    np.testing.assert_allclose(ends["theory, noise along the signal"].y, kappas**0.25)
    np.testing.assert_allclose(ends["SGD, noise along the signal"].y, 1.02 * kappas**0.25, rtol=2e-3)
    np.testing.assert_allclose(ends["SGD, turned noise"].y, kappas**0.02, rtol=2e-3)


def test_networks_without_theory_are_drawn_over_their_first_condition() -> None:
    panels = drawn(network(slope=0.1, noise=0.001), network("rnn", slope=0.3, noise=0.001))
    ends = panels["Where it ends as noise grows uneven"]
    np.testing.assert_allclose(ends["tanh"].y, [1, 10**0.1, 100**0.1], rtol=2e-3)
    np.testing.assert_allclose(ends["rnn"].y, [1, 10**0.3, 100**0.3], rtol=2e-3)
    assert glance.THEORY not in panels["Flat and sharp starts over time"]


def test_what_does_not_apply_is_left_out() -> None:
    no_ends = drawn(make_experiment(stationary=0.0))
    assert list(no_ends) == ["Flat and sharp starts over time"]
    run = make_dataset(linear=False).drop_vars(["init_imbalance"])
    one_start = drawn(Experiment("one", "", "tanh mlp", ["C7"], {"": run}))
    assert list(one_start) == ["Where it ends as noise grows uneven"]
    assert drawn(Experiment("none", "", "", ["C7"], {"": run.drop_vars(["condition", "trace_mean"])})) == {}
    ablation = Experiment("descent", "", "tanh mlp", ["C9i"], {"": make_dataset(linear=False)})
    assert drawn(ablation) == {}


def test_two_seeds_have_no_band() -> None:
    way = drawn(make_experiment(seeds=2))["Flat and sharp starts over time"]
    assert way["flat start"].low is None


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.3), (1.0, 40.0), (1e-3, 1e6), (0.11, 0.13)])
def test_a_logarithmic_axis_has_few_round_ticks(low: float, high: float) -> None:
    ticks = glance._ticks([Series("", np.zeros(2), np.array([low, high]), "line")])
    assert len(ticks) <= 8
    assert all(low / 1.1 <= tick <= high * 1.1 for tick in ticks)
    assert all(f"{tick:.1e}"[2] in "05" for tick in ticks)


def test_the_caption_begins_with_the_legend_that_the_report_shows() -> None:
    (chart,) = glance.charts([make_experiment()], [])
    assert isinstance(chart, Chart)
    assert chart.caption.startswith(glance.LEGEND)


@pytest.mark.parametrize(
    ("options", "claims", "words"),
    [
        ({}, ["C2", "C5"], "Neither: the data decide"),
        ({}, ["C2"], "The data decide, not the start"),
        ({"start_gap": 1.2}, ["C2", "C5"], "The start matters here"),
        ({"stationary": 0.0}, ["C2", "C5"], "These data do not decide"),
        ({}, ["P1"], "The one statement of the paper tested here is supported"),
        ({}, ["C3", "C4"], "Of the 2 claims tested here, 2 are supported"),
        ({"bias": 1.2}, ["C3", "C4"], "Of the 2 claims tested here, 1 is supported and 1 is refuted"),
    ],
)
def test_the_headline_is_one_sentence_without_notation(options: dict, claims: list[str], words: str) -> None:
    text = headline(findings(judge([make_experiment(claims=claims, noise=0.002, **options)])))
    assert text.startswith(words)
    assert text.count(".") == 1 and text.endswith(".")
    assert not re.search(r"[\[(κ]|C\d", text)


def test_without_claims_the_headline_says_so() -> None:
    assert headline([]).startswith("No claim was judged")


def test_every_claim_has_a_plain_sentence_and_a_reading_of_its_number() -> None:
    for claim in CLAIMS:
        text = claim.plain or claim.statement
        assert text.endswith(".") and len(text) < 110, claim.name
        assert not re.search(r"kappa|κ|lambda|[A-Z]_|\bT\b|[/^<>]", text), claim.name
        assert claim.reading.count("{}") == 1 and len(claim.reading) > 4, claim.name
