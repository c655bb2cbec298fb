"""Fixtures of the analysis tests."""

import json
from pathlib import Path

import pytest
from synthetic import Make, make_run


@pytest.fixture
def reproduction(tmp_path: Path) -> Make:
    """Writes a reproduction of experiments given as name -> options of make_run, plus `claims` and `architecture`."""

    def make(**experiments: dict) -> Path:
        index = {"schema_version": 1, "preset": "test", "version": "0.1.0", "started": "a", "finished": "b"}
        index["experiments"] = []
        for name, options in experiments.items():
            options = dict(options)
            claims = options.pop("claims", ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b", "C7"])
            architecture = options.pop("architecture", "linear")
            make_run(tmp_path / name, **options)
            index["experiments"].append(
                {"name": name, "path": name, "title": name, "claims": claims, "architecture": architecture}
            )
        (tmp_path / "reproduce.json").write_text(json.dumps(index))
        return tmp_path

    return make
