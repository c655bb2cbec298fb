"""Groups of a sweep: names are taken apart right, whatever their values hold."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sharpseek.files import Experiment, open_run
from sharpseek.groups import group_axes, run_rate, short_names, shortened, smallest_rate_runs
from sharpseek.summaries import pooled
from synthetic import make_dataset, make_run


def configured(**sections: dict) -> xr.Dataset:
    """A run that holds nothing but its configuration."""
    return xr.Dataset(attrs={"config": json.dumps(sections)})


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("", {}),
        ("depth=2,width=8", {"depth": "2", "width": "8"}),
        ("teacher=diagonal:1.5,1,0.7,depth=3", {"teacher": "diagonal:1.5,1,0.7", "depth": "3"}),
        ("teacher=file:a,depth=9%2Fv.csv,depth=3", {"teacher": "file:a,depth=9/v.csv", "depth": "3"}),
        ("betas=0.9,0.99,depth=3", {"betas": "0.9,0.99", "depth": "3"}),
        ("teacher=diagonal:1,depth=3", {"teacher": "diagonal:1", "depth": "3"}),
    ],
)
def test_values_with_commas_stay_whole(name: str, axes: dict[str, str]) -> None:
    teachers = ["diagonal:1", "diagonal:1.5,1,0.7", "file:a,depth=9/v.csv"]
    config = {"data": {"teacher": teachers}, "model": {"depth": [2, 3], "width": [8, 16]}}
    run = configured(**config, training={"betas": ["0.9,0.99", "0.9,0.999"]})
    assert group_axes(name, run) == axes


def test_pooled_replicas_have_the_axes_of_their_groups(tmp_path: Path) -> None:
    names = ("teacher=diagonal:2,1,time=0.5", "teacher=diagonal:2,1,time=1", "teacher=aligned,time=1")
    runs = {name: open_run(make_run(tmp_path / str(i), seeds=2)) for i, name in enumerate(names)}
    every = pooled(Experiment("e", "e", "linear", [], runs))
    replicas = make_dataset(seeds=2).sizes["replica"]
    assert every.sizes == {"replica": 3 * replicas}
    np.testing.assert_array_equal(every["teacher"], np.repeat(["diagonal:2,1", "diagonal:2,1", "aligned"], replicas))
    np.testing.assert_array_equal(every["time"], np.repeat([0.5, 1.0, 1.0], replicas))


def test_the_smallest_rate_is_chosen_for_every_other_axis_whether_groups_or_replicas() -> None:
    rates = {"learning_rate=0.02,depth=2": 2, "learning_rate=0.01,depth=2": 1, "learning_rate=0.02,depth=3": 3}
    runs = {name: make_dataset(seeds=seeds) for name, seeds in rates.items()}
    chosen = smallest_rate_runs(Experiment("e", "e", "linear", [], runs))
    assert list(chosen) == ["learning_rate=0.01,depth=2", "learning_rate=0.02,depth=3"]
    swept = make_dataset(seeds=1, rates=(0.004, 0.001, 0.002))
    (run,) = smallest_rate_runs(Experiment("e", "e", "linear", [], {"": swept})).values()
    assert set(run["learning_rate"].values) == {0.001}


def test_the_rate_of_a_run_is_its_groups_or_its_configurations() -> None:
    config = json.dumps({"training": {"learning_rate": [0.01, 0.02]}})
    assert run_rate(xr.Dataset(attrs={"config": config, "group": "learning_rate=2e-2,depth=2"})) == 0.02
    assert run_rate(configured(training={"learning_rate": 0.03})) == 0.03
    assert np.isnan(run_rate(configured()))


def test_long_lists_of_numbers_are_shortened_where_names_stay_different() -> None:
    power = "teacher=diagonal:1,0.5,0.25,0.125,6.25e-02,learning_rate=0.001"
    assert shortened(power) == "teacher=diagonal:1,0.5,…,6.25e-02,learning_rate=0.001"
    assert shortened("teacher=diagonal:1,2,3,4,depth=3") == "teacher=diagonal:1,2,3,4,depth=3"
    one, two = "teacher=diagonal:1,2,3,4,5", "teacher=diagonal:1,2,9,4,5"
    assert short_names([one, two, power]) == [one, two, shortened(power)]
    assert short_names([""]) == [""]
