"""How often a verdict is wrong: worlds on the border of each claim, where that is most frequent, in both directions.

Rules are sized at 2.5 %. Over 500 worlds the upper 99 % bound of wrong verdicts must be at most 8 %.
"""

import json

import pytest
from coverage_kinds import KINDS
from error_rates import DRAWS, RECORDED, SEEDS, TRIALS, coverage
from scipy import stats
from sharpseek.verdicts import CLAIMS, judge
from worlds import WORLDS, World

MOST = 0.08
LEAST_COVERED = 0.92
FEW = 4


def upper_bound(count: int, trials: int) -> float:
    """One-sided 99 % bound of a share (Clopper, Pearson)."""
    return float(stats.binomtest(count, trials).proportion_ci(0.98).high)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_wrong_verdicts_are_rare(world: World) -> None:
    wrong = sum(world.is_wrong(trial) for trial in range(TRIALS))
    print(f"{world.name}: {wrong} of {TRIALS}")
    assert upper_bound(wrong, TRIALS) <= MOST


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_wrong_verdicts_are_rare_in_a_few_worlds(world: World) -> None:
    # At 2.5 % each, three of four have a probability of 6e-5.
    assert sum(world.is_wrong(trial) for trial in range(FEW)) <= 2


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_evidence_keeps_its_name_whatever_was_measured(world: World) -> None:
    # `compare` finds the same piece in two reproductions by it.
    one, other = (
        [(v.claim, v.subject, e.subject) for v in judge(world.make(seed)) for e in v.evidence] for seed in (1, 2)
    )
    assert one == other


def test_every_claim_is_at_its_border_in_both_directions() -> None:
    ablations = {claim.name for claim in CLAIMS if claim.name.startswith("C9") and claim.name != "C9s"}
    for claim in CLAIMS:
        if claim.name not in ablations:
            assert {world.wrong for world in WORLDS if world.claim == claim.name} == {"supported", "refuted"}, (
                claim.name
            )
    # Ablations share five rules: each has an example.
    assert {world.claim for world in WORLDS} & ablations == {"C9a", "C9e", "C9i", "C9k", "C9o"}


def test_the_recorded_counts_are_of_these_worlds_and_rare() -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    assert (recorded["trials"], recorded["draws"]) == (TRIALS, DRAWS)
    assert list(recorded["wrong"]) == [world.name for world in WORLDS]
    assert {name: count for name, count in recorded["wrong"].items() if upper_bound(count, TRIALS) > MOST} == {}
    assert list(recorded["coverage"]) == list(KINDS)
    for kind, by_seeds in recorded["coverage"].items():
        assert list(by_seeds) == [str(seeds) for seeds in SEEDS]
        assert min(by_seeds.values()) >= LEAST_COVERED, kind


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_hold_the_truth(kind: str) -> None:
    draws = 80
    for seeds in (3, 8):
        missed = round(draws * (1 - coverage(kind, seeds, draws)))
        assert stats.binom.sf(missed - 1, draws, 1 - LEAST_COVERED) > 1e-3, (seeds, missed)
