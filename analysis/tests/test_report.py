"""The report: one file, complete, and honest about what is missing."""

import re
import subprocess
import sys
from pathlib import Path

from sharpseek.report import write_report
from synthetic import Make


def test_report_is_self_contained_and_complete(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {}, "rnn": {"linear": False, "architecture": "rnn", "claims": ["C7"]}})
    html = write_report(directory).read_text()
    assert not re.search(r"(src|href)=[\"']https?:", html)
    assert "@import" not in html
    assert html.count("<figure>") == 6  # theory, two ways, trend, spectra, balances
    for text in ("C1 supported", "C7 supported", "prefers-color-scheme: dark", "linear-2/run.h5", "closed form"):
        assert text in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "figures share ids"


def test_report_omits_what_was_not_measured(reproduction: Make) -> None:
    html = write_report(reproduction(rnn={"linear": False, "architecture": "rnn", "claims": ["C7"]})).read_text()
    assert "No experiment here has a closed form" in html


def test_module_says_what_is_missing(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek.report", tmp_path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "reproduce.json" in result.stderr


def test_summary_prints_every_point(reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {}})
    result = subprocess.run(
        [sys.executable, "-m", "sharpseek", "summary", directory], capture_output=True, text=True, check=True
    )
    assert result.stdout.count("\n") == 1 + 3 * (2 + 6)
