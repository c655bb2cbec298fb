"""Fixtures of the analysis tests."""

from functools import partial
from pathlib import Path

import matplotlib
import pytest
from synthetic import Make, write_reproduction

matplotlib.use("Agg")


@pytest.fixture
def reproduction(tmp_path: Path) -> Make:
    """Writes a reproduction of experiments given as name -> options of make_run, plus `claims` and `architecture`."""
    return partial(write_reproduction, tmp_path)
