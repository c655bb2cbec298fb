from pathlib import Path

from sharpseek.agreement import agreement_table, verdict_words

RECORDED = Path(__file__).resolve().parents[2] / "docs/results/quick.json"


def test_counts_words_and_finds_flips() -> None:
    words = [{"C1": "supported", "C2": "refuted"}, {"C1": "supported", "C2": "supported"}, {"C1": "undecided"}]
    table = agreement_table(words).set_index("claim")
    assert list(table.index) == ["C1", "C2"]
    assert table.loc["C1", ["supported", "undecided", "refuted"]].tolist() == [2, 1, 0]
    assert table.loc["C1", "agree"] == 2 / 3
    assert not table.loc["C1", "flips"]
    assert table.loc["C2", "flips"]


def test_the_verdicts_of_a_report_can_be_read_back() -> None:
    words = verdict_words(RECORDED)
    assert words["C1"] == "supported"
    assert set(words.values()) <= {"supported", "undecided", "refuted"}
