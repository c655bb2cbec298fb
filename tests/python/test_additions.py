"""What CONTRIBUTING.md says that an addition costs, shown by the last one of each kind.

The files that mention an addition are those that a patch with it touches: without the mentions the tree is what it was
before. So no patch need be kept, applied and built by a test of its own: the tree has it applied, the other tests build
and run it, and this file counts its files.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import structure

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("core", "files", "models", "data", "engine", "sharpness", "training", "theory", "experiments", "analysis")
SOURCES = (".h", ".cpp", ".cu", ".py", ".txt")

ACTIVATION = {"models/op.h", "engine/kernels/ops/sigmoid.h"}
OP = {"models/op.h", "engine/kernels/ops/arithmetic.h", "engine/torch/ops/arithmetic.h"}
OPTIMISER = {"engine/kernels/optimizers/lion.h", "engine/kernels/optimizer_traits.h"}
LOSS = {"engine/kernels/losses/cross_entropy.h", "engine/kernels/loss_traits.h", "engine/loss.cpp"}
ARCHITECTURE = {
    "models/gated_mlp.cpp",
    "models/model.h",
    "models/CMakeLists.txt",
    "experiments/config/option_table.cpp",
}
MEASUREMENT = {
    "sharpness/quantities/layer_condition.cpp",
    "sharpness/quantity.h",
    "sharpness/quantity.cpp",
    "sharpness/CMakeLists.txt",
}


def code_of(path: Path) -> str:
    """The text without comments to the end of a line."""
    return re.sub(r"(?m)//.*$", "", path.read_text(encoding="utf-8"))


def mentioned_in(root: Path, name: str) -> set[str]:
    """Sources that have this word, also as kName, name_quantity or "name". A verdict only uses what it judges."""
    word = re.compile(rf"(?i)(?<![a-z])k?{name}(?![a-z])")
    paths = (path for room in ROOMS for path in (root / room).rglob("*") if path.suffix in SOURCES)
    counted = (path for path in paths if not {"tests", "verdicts"} & set(path.relative_to(root).parts))
    return {str(path.relative_to(root)) for path in counted if word.search(code_of(path))}


def said_of(what: str) -> int:
    """The last column of CONTRIBUTING's row for this addition."""
    rows = [row for row in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if row.startswith(f"| {what} |")]
    assert len(rows) == 1
    return int(rows[0].rstrip(" |").rsplit("|", 1)[1])


@pytest.mark.parametrize(
    ("what", "name", "files"),
    [
        # ATen's own sigmoid is used where others are computed.
        ("an activation", r"(?:OpKind::kSigmoid|kSigmoid, \"sigmoid\")", ACTIVATION),
        ("an optimiser", "lion", OPTIMISER),
        ("an architecture", "gated[-_]mlp", ARCHITECTURE),
        ("a measurement", "layer_condition", MEASUREMENT),
        ("a loss", r"(?:LossKind::kCrossEntropy|kCrossEntropy, CrossEntropy)", LOSS),
    ],
)
def test_an_addition_costs_the_files_that_are_said(what: str, name: str, files: set[str]):
    assert mentioned_in(ROOT, name) == files
    assert said_of(what) == len(files)


def test_an_op_costs_the_files_that_are_said_besides_the_architecture_that_uses_it():
    assert mentioned_in(ROOT, r'(?:OpKind::kMultiply|kMultiply, "multiply")') - {"models/gated_mlp.cpp"} == OP
    assert said_of("another op") == len(OP)


@pytest.mark.parametrize("folder", structure.WHOLE_FOLDERS)
def test_every_header_of_such_a_folder_is_compiled_without_being_named(folder: str):
    headers = {path.name for path in (ROOT / folder).glob("*.h")}
    cmake = "".join(path.read_text() for path in ROOT.glob("engine/**/CMakeLists.txt"))
    assert len(headers) > 1
    assert f"sharpseek_all_headers({folder})" in cmake
    assert [name for name in headers if name in cmake] == []


def test_a_mention_elsewhere_is_noticed(tmp_path: Path):
    for path, text in {
        "engine/a.cpp": "case OpKind::kSilu: break;",
        "engine/b.h": "int x;  // as silu does",
        "sharpness/c.cpp": 'if (name == "silu") return;',
        "models/d.h": "int silurian;",
        "analysis/tests/e.py": "silu",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert mentioned_in(tmp_path, "silu") == {"engine/a.cpp", "sharpness/c.cpp"}


# --- an op, a loss and an optimiser that are nowhere in the tree: a file of tests/python/additions/ and a row each

ADDITIONS = ROOT / "tests/python/additions"
ADDED = {
    "engine/kernels/ops/twice.h": ("models/op.h", "SHARPSEEK_OPS", 'kTwice, "twice"'),
    "engine/kernels/losses/quartic.h": (
        "engine/kernels/loss_traits.h",
        "SHARPSEEK_LOSSES",
        'kQuartic, Quartic, "quartic", .definition = "sum of (f - y)^4", .units = "fourth power of an output"',
    ),
    "engine/kernels/optimizers/halved.h": (
        "engine/kernels/optimizer_traits.h",
        "SHARPSEEK_OPTIMIZERS",
        'kHalved, Halved, "halved", "", .slots = 1',
    ),
}


def with_additions(overlay: Path) -> None:
    """What an include path needs before the tree: the added files, the patched rows, and what CMake writes."""
    for path, (table, rows, row) in ADDED.items():
        own = overlay / path
        own.parent.mkdir(parents=True)
        shutil.copy(ADDITIONS / own.name, own)
        whole = {*(ROOT / path).parent.glob("*.h"), own}
        names = sorted(f"{Path(path).parent}/{header.name}" for header in whole)
        (own.parent / "all.h").write_text("#pragma once\n" + "".join(f'#include "{name}"\n' for name in names))
        text, count = re.subn(
            rf"(#define {rows}\(ROW\) *\\\n)",
            lambda found, row=row: f"{found[1]}  ROW({row}) \\\n",
            (ROOT / table).read_text(),
        )
        assert count == 1
        (overlay / table).parent.mkdir(parents=True, exist_ok=True)
        (overlay / table).write_text(text)


@pytest.mark.skipif(shutil.which("c++") is None, reason="no compiler")
def test_an_op_a_loss_and_an_optimiser_run_in_the_kernels_by_a_file_and_a_row(tmp_path: Path):
    with_additions(tmp_path)
    command = ["c++", "-std=c++20", f"-I{tmp_path}", f"-I{ROOT}", str(ADDITIONS / "main.cpp"), "-o", "added"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    printed = subprocess.run(["./added"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    op, losses, optimisers, loss, gradient, update = printed.replace(" | ", ", ").split("|")
    assert op == "twice"
    assert "quartic" in losses.split(", ")
    assert {"halved", "sgd", "lion"} <= set(optimisers.split(", "))
    # f = 2 W x = (-2, -2), y = (0, 1): l = 2^4 + 3^4, dl/dW = 2 (4 r^3) x'.
    assert float(loss) == 97
    assert [float(g) for g in gradient.split()] == [-64, 64, -216, 216]
    assert [float(u) for u in update.split()] == [-54, -27]


@pytest.mark.parametrize(
    ("page", "source", "most"),
    [
        ("CONTRIBUTING.md", "sharpness/quantities/eigenvectors.cpp", 20),
        ("docs/architectures.md", "engine/kernels/ops/sigmoid.h", 25),
    ],
)
def test_an_example_that_is_called_whole_is_one_of_the_tree(page: str, source: str, most: int):
    blocks = re.findall(r"(?s)```cpp\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"))
    assert (ROOT / source).read_text(encoding="utf-8") in blocks
    assert f"The whole of `{source}`" in (ROOT / page).read_text(encoding="utf-8").replace("\n", " ")
    assert len((ROOT / source).read_text().splitlines()) <= most
