"""The sources keep the rules of docs/architecture.md, and each rule is shown to notice a tree that breaks it."""

import re
from pathlib import Path

import pytest
import structure

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tree() -> structure.Tree:
    return structure.read_tree(ROOT)


def made_up(root: Path, files: dict[str, str]) -> structure.Tree:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return structure.read_tree(root)


# --- rooms


def test_every_source_is_in_a_room_and_every_include_of_ours_exists(tree: structure.Tree):
    assert len(tree.texts) > 200
    assert structure.outside_of_rooms(tree) == []
    assert structure.missing_headers(tree) == []


def test_a_source_between_rooms_and_a_header_that_is_gone_are_noticed(tree: structure.Tree, tmp_path: Path):
    wrong = made_up(
        tmp_path, {"experiments/loose.cpp": '#include "core/gone.h"\n#include <vector>\n', "core/text.h": ""}
    )
    assert structure.outside_of_rooms(wrong) == ["experiments/loose.cpp is in no room"]
    assert structure.missing_headers(wrong) == ["experiments/loose.cpp includes core/gone.h, which does not exist"]


def test_rooms_include_only_what_the_rule_allows(tree: structure.Tree):
    assert structure.against_the_rule(tree) == []


@pytest.mark.parametrize(
    ("path", "header", "allowed"),
    [
        ("engine/engine.cpp", "sharpness/probe.h", "core, models, data"),
        ("theory/flow.cpp", "training/trainer.h", "core, models, data, engine"),
        ("files/column.h", "models/model.h", "core"),
        ("core/text.h", "files/column.h", "itself"),
        ("experiments/config/ini.cpp", "files/column.h", "core, models, data, engine, sharpness, training"),
        ("experiments/predict/flow.cpp", "files/netcdf_file.h", None),
        ("experiments/run/group.cpp", "experiments/cli/progress.h", None),
        ("bindings/module.cpp", "experiments/config/settings.h", "core, models, data, engine, sharpness"),
    ],
)
def test_an_include_against_the_rule_is_noticed(path: str, header: str, allowed: str | None, tmp_path: Path):
    wrong = made_up(tmp_path, {path: f'  # include "{header}"\n'})
    (line,) = structure.against_the_rule(wrong)
    assert f"includes {header}, but " in line
    if allowed:
        assert line.endswith(f"may include only {allowed}")


def test_what_the_rule_allows_passes(tmp_path: Path):
    fine = made_up(
        tmp_path,
        {
            "engine/cpu/plan.h": '#include "models/program.h"\n#include <xsimd/xsimd.hpp>\n',
            "experiments/predict/flow.h": '#include "files/column.h"\n#include "theory/slow_flow.h"\n',
            "experiments/cli/main.cpp": '#include "core/error.h"\n#include "experiments/run/group.h"\n',
        },
    )
    assert structure.against_the_rule(fine) == []


def test_the_rule_itself_has_no_cycle():
    rooms = {room: {structure.room_of(place) or "" for place in known} for room, known in structure.ROOMS.items()}
    assert structure.cycle(rooms) == ""


# --- libraries


@pytest.mark.parametrize("pattern", structure.LIBRARIES)
def test_libraries_are_used_only_where_they_belong(tree: structure.Tree, pattern: str):
    assert any(re.match(pattern, header) for _, header in tree.pairs()), "a pattern that matches nothing"
    assert structure.misplaced_libraries(tree, pattern) == []


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("experiments/run/group.cpp", "boost/program_options.hpp"),
        ("experiments/run/record.cpp", "hdf5.h"),
        ("experiments/cli/main.cpp", "H5Ipublic.h"),
        ("files/column.h", "ATen/core/Tensor.h"),
        ("models/model.cpp", "torch/torch.h"),
        ("engine/torch/dual.cpp", "xsimd/xsimd.hpp"),
        ("training/trainer.cpp", "nlohmann/json.hpp"),
        ("core/text.cpp", "zlib.h"),
        ("sharpness/lanczos_solver.cpp", "nanobind/nanobind.h"),
    ],
)
def test_a_library_in_the_wrong_place_is_noticed(path: str, header: str, tmp_path: Path):
    wrong = made_up(tmp_path, {path: f"#include <{header}>\n"})
    lines = [line for pattern in structure.LIBRARIES for line in structure.misplaced_libraries(wrong, pattern)]
    assert len(lines) == 1
    assert f"includes {header}, which belongs in " in lines[0]


def test_cuda_sources_see_no_torch_header(tree: structure.Tree):
    assert any(path.endswith(".cu") for path in tree.texts)
    assert structure.torch_seen_by_cuda(tree) == []


def test_a_torch_header_that_a_cuda_source_reaches_through_another_is_noticed(tmp_path: Path):
    wrong = made_up(
        tmp_path,
        {
            "engine/cuda/kernels.cu": '#include "engine/cuda/jobs.h"\n',
            "engine/cuda/jobs.h": "#include <ATen/ATen.h>\n",
        },
    )
    assert structure.torch_seen_by_cuda(wrong) == ["engine/cuda/jobs.h includes ATen/ATen.h"]


# --- units


def test_no_cycle_of_includes_exists_between_units(tree: structure.Tree):
    assert structure.cycle(structure.units(tree)) == ""


def test_a_cycle_through_a_source_is_noticed(tmp_path: Path):
    # The headers alone make none: a.cpp does.
    wrong = made_up(
        tmp_path,
        {
            "core/a.h": "",
            "core/a.cpp": '#include "core/a.h"\n#include "core/c.h"\n',
            "core/b.h": '#include "core/a.h"\n',
            "core/c.h": '#include "core/b.h"\n#include "core/leaf.h"\n',
            "core/leaf.h": "",
            "core/top.cpp": '#include "core/a.h"\n',
        },
    )
    assert structure.cycle(structure.units(wrong)) == "core/a -> core/c -> core/b -> core/a"


# --- namespaces


def test_rooms_with_a_namespace_have_it_for_themselves(tree: structure.Tree):
    assert structure.misplaced_namespaces(tree) == []


def test_a_namespace_in_the_wrong_place_is_noticed(tmp_path: Path):
    wrong = made_up(
        tmp_path,
        {
            "core/text.h": "namespace sharpseek::lanes {\n}\n",
            "engine/cpu/plan.h": "namespace sharpseek::lanes {\n}  // namespace sharpseek::files {\n",
            "experiments/run/record.h": "namespace sharpseek {\n}\nnamespace sharpseek::files {\n}\n",
            "files/column.h": "namespace sharpseek {\n}\n",
        },
    )
    assert structure.misplaced_namespaces(wrong) == [
        "core/text.h opens sharpseek::lanes",
        "experiments/run/record.h opens sharpseek::files",
        "files/column.h opens sharpseek, not sharpseek::files",
    ]


# --- keys


def test_no_option_is_looked_up_by_its_key_outside_config(tree: structure.Tree):
    keys = structure.option_keys(ROOT)
    assert len(keys) > 50
    assert {"experiment.name", "model.init", "measure.records"} <= set(keys)
    assert structure.string_keys(tree, keys) == []


@pytest.mark.parametrize(
    "line",
    [
        'const auto kind = point.text("model.kind");',
        'x = config->values("noise.condition").size();',
        'if (axis == "training.learning_rate") return;',
        'if ("data.samples" != key) return;',
        'values.at(\n    "training.batch")',
        'json["model.depth"]',
        'find_option("noise.total", "here")',
    ],
)
def test_a_look_up_by_key_is_noticed(line: str, tmp_path: Path):
    wrong = made_up(tmp_path, {"experiments/run/group.cpp": line, "experiments/config/sweep.cpp": line})
    (found,) = structure.string_keys(wrong, structure.option_keys(ROOT))
    assert found.startswith("experiments/run/group.cpp: ")


def test_keys_in_messages_are_no_look_ups(tmp_path: Path):
    fine = made_up(
        tmp_path,
        {
            "models/model.cpp": 'require(depth >= 1, "model.depth = ", depth); throw UserError("data.teacher: none");',
            "data/task.cpp": 'parse_numbers("data.input_covariance", text); open("run.h5");',
        },
    )
    assert structure.string_keys(fine, structure.option_keys(ROOT)) == []


# --- comments


def test_files_that_comments_name_exist(tree: structure.Tree):
    assert structure.stale_names(tree, ROOT) == []


def test_a_stale_name_in_a_comment_is_noticed(tmp_path: Path):
    files = {"core/a.h": "int a;  // as in core/a.h and a.h, not in old/a.h or b.cpp\n"}
    assert structure.stale_names(made_up(tmp_path, files), tmp_path) == [
        "core/a.h: old/a.h does not exist",
        "core/a.h: b.cpp does not exist",
    ]


def names_in_diagrams(page: str) -> set[str]:
    """Class::member and names_of_functions in the code blocks of a page."""
    blocks = "".join(re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    found = re.findall(r"\b[A-Za-z]\w*(?:::\w+)+|\b[a-z0-9]+(?:_[a-z0-9]+)+\b", blocks)
    return {part for name in found for part in name.split("::")}


def test_what_the_diagrams_name_exists(tree: structure.Tree):
    names = names_in_diagrams((ROOT / "docs/architecture.md").read_text(encoding="utf-8"))
    assert {"run_experiment", "LaneHessian", "shape_noise", "judge_trend"} <= names
    python = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "analysis/sharpseek").rglob("*.py"))
    words = set(re.findall(r"\w+", "".join(tree.texts.values()) + python))
    assert names - words == set()
