"""The dependencies between folders are those of the design: one way, and outside libraries only where they belong."""

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]

# Folder -> what it may include: core <- models <- data <- engine <- {sharpness, training, theory} <- experiments.
ALLOWED = {
    "core": set(),
    "models": {"core"},
    "data": {"core", "models"},
    "engine": {"core", "models", "data"},
    "sharpness": {"core", "models", "data", "engine"},
    "training": {"core", "models", "data", "engine"},
    "theory": {"core", "models", "data", "engine"},
    "experiments": {"core", "models", "data", "engine", "sharpness", "training", "theory"},
}
# Library's include pattern -> the only places that may use it.
LIBRARIES = {
    r"boost/": ("experiments/",),
    r"(hdf5|H5\w*)\.h": ("experiments/",),
    r"(torch|ATen|c10)/": ("engine/", "sharpness/", "training/", "theory/", "experiments/"),
    r"xsimd/": ("engine/lanes/",),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


def sources() -> list[Path]:
    patterns = [f"{folder}/*.{ending}" for folder in ALLOWED for ending in ("h", "cpp", "inl", "cu")]
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / line for line in listed.stdout.splitlines()]
    return [file for file in files if file.exists()]


def includes() -> list[tuple[Path, str]]:
    return [(file.relative_to(ROOT), header) for file in sources() for header in INCLUDE.findall(file.read_text())]


def test_folders_include_only_what_the_design_allows():
    wrong = [
        f"{file} includes {header}"
        for file, header in includes()
        if (folder := header.split("/")[0]) in ALLOWED
        and folder != file.parts[0]
        and folder not in ALLOWED[file.parts[0]]
    ]
    assert wrong == []


def test_the_allowed_graph_has_no_cycle():
    order: list[str] = []
    while len(order) < len(ALLOWED):
        free = [folder for folder in ALLOWED if folder not in order and ALLOWED[folder] <= set(order)]
        assert free, f"a cycle among {sorted(set(ALLOWED) - set(order))}"
        order += free


def test_every_include_of_ours_exists():
    missing = [
        f"{file} includes {header}"
        for file, header in includes()
        if header.split("/")[0] in ALLOWED
        and "/" in header
        and not (ROOT / header).exists()
        # Written by the build.
        and not header.startswith("experiments/version_data")
    ]
    assert missing == []


@pytest.mark.parametrize("pattern", LIBRARIES)
def test_libraries_are_used_only_where_they_belong(pattern: str):
    wrong = [
        f"{file} includes {header}"
        for file, header in includes()
        if re.match(pattern, header) and not str(file).startswith(LIBRARIES[pattern])
    ]
    assert wrong == []


def test_cuda_sources_see_no_torch_header():
    # nvcc takes a minute and more for each; kernels take plain data.
    reached: set[str] = set()
    waiting = [str(file.relative_to(ROOT)) for file in sources() if file.suffix == ".cu"]
    graph: dict[str, list[str]] = {}
    for file, header in includes():
        graph.setdefault(str(file), []).append(header)
    while waiting:
        file = waiting.pop()
        if file in reached:
            continue
        reached.add(file)
        for header in graph.get(file, []):
            assert not re.match(r"(torch|ATen|c10)/", header), f"{file} includes {header}"
            waiting.append(header)
