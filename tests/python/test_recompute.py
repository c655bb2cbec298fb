"""Verdicts once more by a script that shares no code with the package, on runs of the program and on made-up ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from program import Run
from recompute.relaxation import left_to_go as recomputed_left
from recompute_verdicts import differences
from scipy.signal import lfilter
from sharpseek.relaxation import left_to_go
from sharpseek.report import write_report
from synthetic import as_pairs, make_dataset, write_reproduction, write_run
from worlds_beyond import BORDERS as BEYOND
from worlds_paper import BORDERS

LINEAR = {"claims": ["C1", "C2", "C3", "C4", "C5", "C6a", "C6b"]}
NETWORK = {"claims": ["C2", "C5", "C7", "C9d"], "architecture": "rnn", "linear": False}
WORLDS = {
    "true": LINEAR,
    "two-rates": {**LINEAR, "rates": (0.001, 0.002), "deficit": 0.05, "stationary": 0.9},
    "four-rates": {**LINEAR, "rates": (0.001, 0.002, 0.003, 0.004), "deficit": 0.1, "noise": 0.02},
    "apart": {**LINEAR, "start_gap": 1.1, "bias": 1.1, "begins": (30.0, 35.0), "imbalance": 0.2, "slope": -0.1},
    "network": {**NETWORK, "noise": 0.05, "seeds": 5},
    "falling": {**NETWORK, "slope": -0.05, "start_gap": 1.2},
    "few": {**NETWORK, "stationary": 0.4},
    # Points that are still going somewhere, for some of the margins; errors over seeds and over blocks of records.
    "going": {**LINEAR, "begins": (36.0, 50.0), "approach": 15.0, "wobble": 0.01},
    "going-slowly": {**NETWORK, "begins": (38.0, 60.0), "approach": 40.0, "wobble": 0.02, "seeds": 3},
    "rising": {**NETWORK, "slope": 0.02, "approach": 10.0, "wobble": 0.01},
    "noisy": {**LINEAR, "rates": (0.001, 0.002), "begins": (40.0, 44.0), "approach": 8.0, "wobble": 0.01, "seeds": 4},
}


def test_made_up_reproductions_are_judged_alike(tmp_path: Path) -> None:
    directory = write_reproduction(tmp_path, **WORLDS)
    write_report(directory, figures=False)
    problems, compared = differences(directory)
    assert problems == []
    assert compared > 400
    outcomes = {c["claim"]: c["outcome"] for c in json.loads((directory / "verdicts.json").read_text())["claims"]}
    assert outcomes["C2"] == "refuted"


@pytest.mark.parametrize("name", ["four-rates", "falling"])
def test_pairs_are_judged_as_their_means(tmp_path: Path, name: str) -> None:
    judged = {}
    for folder in ("replicas", "pairs"):
        (tmp_path / folder).mkdir()
        directory = write_reproduction(tmp_path / folder, **{name: WORLDS[name]})
        if folder == "pairs":
            options = {k: v for k, v in WORLDS[name].items() if k not in ("claims", "architecture")}
            (directory / name / "run.h5").unlink()
            write_run(directory / name, as_pairs(make_dataset(**options)))
        write_report(directory, figures=False)
        problems, compared = differences(directory)
        assert problems == []
        assert compared > 20
        judged[folder] = json.loads((directory / "verdicts.json").read_text())["claims"]
    for one, other in zip(judged["replicas"], judged["pairs"], strict=True):
        assert one["outcome"] == other["outcome"]
        for a, b in zip(one["evidence"], other["evidence"], strict=True):
            assert (a["usable"], a["replicas"]) == (b["usable"], b["replicas"])
            for key in ("estimate", "low", "high"):
                assert a[key] is None if b[key] is None else b[key] == pytest.approx(a[key], rel=1e-6)


def test_the_paper_s_claims_are_judged_alike(tmp_path: Path) -> None:
    index = {"schema_version": 1, "preset": "paper", "version": "0.1.0", "started": "a", "finished": "b"}
    index["experiments"] = []
    for number, (claim, _, _, make) in enumerate(BORDERS):
        (experiment,) = make(number)
        name = f"{claim}-{number}"
        (tmp_path / name).mkdir()
        write_run(tmp_path / name, experiment.run)
        index["experiments"].append(
            {"name": name, "path": name, "title": name, "claims": [claim], "architecture": experiment.architecture}
        )
    (tmp_path / "reproduce.json").write_text(json.dumps(index))
    write_report(tmp_path, figures=False)
    problems, compared = differences(tmp_path)
    assert problems == []
    assert compared > 300


def test_the_claims_beyond_the_paper_are_judged_alike(tmp_path: Path) -> None:
    index = {"schema_version": 1, "preset": "beyond", "version": "0.1.0", "started": "a", "finished": "b"}
    index["experiments"] = []
    for number, (claim, _, _, make) in enumerate(BEYOND):
        (experiment,) = make(number)
        name = f"{claim}-{number}"
        (tmp_path / name).mkdir()
        if len(experiment.runs) == 1:
            write_run(tmp_path / name, experiment.run)
        else:
            groups = [{"name": group, "path": group, "finished": True} for group in experiment.runs]
            (tmp_path / name / "index.json").write_text(json.dumps({"schema_version": 1, "groups": groups}))
            for group, run in experiment.runs.items():
                (tmp_path / name / group).mkdir()
                write_run(tmp_path / name / group, run)
        index["experiments"].append(
            {"name": name, "path": name, "title": name, "claims": [claim], "architecture": experiment.architecture}
        )
    (tmp_path / "reproduce.json").write_text(json.dumps(index))
    write_report(tmp_path, figures=False)
    problems, compared = differences(tmp_path)
    assert problems == []
    assert compared > 300


def test_what_is_left_to_go_is_the_same_by_a_regression_on_three_waves() -> None:
    generator = np.random.default_rng(0)
    for trial in range(120):
        records, seeds = int(generator.integers(40, 200)), int(generator.integers(1, 12))
        time = np.cumsum(generator.uniform(0.5, 1.5, records)) if trial % 2 else 3 + 0.1 * np.arange(records)
        length, noise = time[-1] - time[0], 10 ** generator.uniform(-4, -1)
        wave = generator.choice([0, 0.05, -0.3]) * np.exp(-(time - time[0]) / length / generator.choice([0.1, 0.5, 3]))
        series = 7 * (1 + wave + noise * lfilter([1], [1, -0.6], generator.normal(size=(seeds, records)), axis=1))
        known = generator.choice([np.nan, 0.01, 0.2, 3]) * length
        there, here = left_to_go(series, time, known), recomputed_left(series, time, known)
        assert here == pytest.approx((there.low, there.high), abs=1e-6 * (there.high - there.low)), trial


def test_a_wrong_number_is_found(tmp_path: Path) -> None:
    directory = write_reproduction(tmp_path, true=LINEAR)
    write_report(directory, figures=False)
    file = directory / "verdicts.json"
    stored = json.loads(file.read_text())
    stored["claims"][0]["evidence"][2]["low"] *= 1.0001
    stored["claims"][1]["outcome"] = "refuted"
    file.write_text(json.dumps(stored))
    problems, _ = differences(directory)
    assert len(problems) == 2


@pytest.mark.parametrize("only", ["linear", "rnn"])
def test_the_program_s_reproductions_are_judged_alike(sharpseek: Run, tmp_path: Path, only: str) -> None:
    result = sharpseek("reproduce", "--preset", "smoke", "--only", only, "--set", "training.steps=2000", "--quiet",
                       "--no-report", "--out", "out")  # fmt: skip
    assert result.returncode in (0, 3), result.stderr
    write_report(tmp_path / "out", figures=False)
    problems, compared = differences(tmp_path / "out")
    assert problems == []
    assert compared > 10
