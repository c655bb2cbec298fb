"""What the C++ sources of a tree include and name: one checker for each rule of docs/architecture.md.

A checker takes a tree and returns what breaks its rule, one line each: no lines, nothing is wrong.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Room -> what it may include, as rooms or single headers.
CORE_ROOMS = ["core", "models", "data", "engine"]
BELOW_CONFIG = [*CORE_ROOMS, "sharpness", "training"]
BELOW_PREDICT = [*BELOW_CONFIG, "theory", "experiments/config"]
BELOW_RUN = [*BELOW_PREDICT, "files", "experiments/predict"]
ROOMS = {
    "core": [],
    "models": ["core"],
    "data": ["core", "models"],
    "engine": ["core", "models", "data"],
    "sharpness": CORE_ROOMS,
    "training": CORE_ROOMS,
    "theory": CORE_ROOMS,
    "files": ["core"],
    "experiments/config": BELOW_CONFIG,
    # Predictions are columns; it opens no file.
    "experiments/predict": [*BELOW_PREDICT, "files/column.h"],
    "experiments/run": BELOW_RUN,
    "experiments/cli": [*BELOW_RUN, "experiments/run"],
    "bindings": [*CORE_ROOMS, "sharpness"],
}
TOPS = sorted({room.split("/")[0] for room in ROOMS})
# A library's headers -> the only places that may include them.
LIBRARIES = {
    r"boost/": ["experiments/cli"],
    # provenance records which HDF5 wrote the file.
    r"(hdf5(_hl)?|H5\w*)\.h$": ["files", "experiments/run/provenance.cpp"],
    # MNIST's files are compressed.
    r"zlib\.h$": ["files", "data/images.cpp"],
    # The graph of an exported program is JSON.
    r"nlohmann/": [
        "experiments",
        "sharpness/exported_graph.cpp",
        "sharpness/exported_graph.h",
        "sharpness/exported_program.cpp",
    ],
    r"(torch|ATen|c10|caffe2)/": ["engine", "sharpness", "training", "theory", "experiments", "bindings"],
    r"nanobind/": ["bindings"],
    r"xsimd/": ["engine/cpu", "engine/kernels"],
}
# Namespace of a room -> the places that may open it; all others open sharpseek.
NAMESPACES = {"sharpseek::files": ["files"], "sharpseek::lanes": ["engine"]}
WRITTEN_BY_THE_BUILD = {"experiments/run/version_data.h"}
# Folders whose headers CMake (sharpseek_all_headers) includes in one header, all.h, that lies in the build folder.
WHOLE_FOLDERS = ["engine/kernels/losses", "engine/kernels/ops", "engine/kernels/optimizers", "engine/torch/ops"]
INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


def within(path: str, places: Iterable[str]) -> bool:
    """Whether a path is one of the places, or lies below one."""
    return any(path == place or path.startswith(place + "/") for place in places)


def room_of(path: str) -> str | None:
    return next((room for room in ROOMS if within(path, [room])), None)


@dataclass
class Tree:
    """The sources of a checkout by path: their texts, and the headers that each includes."""

    texts: dict[str, str]
    includes: dict[str, list[str]]

    def pairs(self) -> list[tuple[str, str]]:
        """Every (file, header that it includes)."""
        return [(path, header) for path, headers in self.includes.items() for header in headers]


def read_tree(root: Path) -> Tree:
    found = [path for top in TOPS for path in (root / top).rglob("*") if path.suffix in (".h", ".cpp", ".inl", ".cu")]
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sorted(found)}
    for folder in WHOLE_FOLDERS:
        headers = [path for path in texts if path.startswith(folder + "/")]
        texts[folder + "/all.h"] = "".join(f'#include "{header}"\n' for header in headers)
    return Tree(texts, {path: INCLUDE.findall(text) for path, text in texts.items()})


def outside_of_rooms(tree: Tree) -> list[str]:
    return [f"{path} is in no room" for path in tree.texts if room_of(path) is None]


def missing_headers(tree: Tree) -> list[str]:
    """Includes of a header of ours that is not there."""
    return [
        f"{path} includes {header}, which does not exist"
        for path, header in tree.pairs()
        if within(header, TOPS) and header not in tree.texts and header not in WRITTEN_BY_THE_BUILD
    ]


def against_the_rule(tree: Tree) -> list[str]:
    """Includes of a room that the including room must not know."""
    return [
        f"{path} includes {header}, but {room_of(path)} may include only {', '.join(ROOMS[room]) or 'itself'}"
        for path, header in tree.pairs()
        if (room := room_of(path)) and room_of(header) and not within(header, [room, *ROOMS[room]])
    ]


def misplaced_libraries(tree: Tree, pattern: str) -> list[str]:
    return [
        f"{path} includes {header}, which belongs in {', '.join(LIBRARIES[pattern])}"
        for path, header in tree.pairs()
        if re.match(pattern, header) and not within(path, LIBRARIES[pattern])
    ]


def units(tree: Tree) -> dict[str, set[str]]:
    """Unit (a header with the sources of the same path) -> the other units that it includes."""
    graph: dict[str, set[str]] = {}
    for path, headers in tree.includes.items():
        unit = str(Path(path).with_suffix(""))
        included = {str(Path(header).with_suffix("")) for header in headers if header in tree.texts}
        graph.setdefault(unit, set()).update(included - {unit})
    return graph


def cycle(graph: dict[str, set[str]]) -> str:
    """One cycle of a graph as "a -> b -> a"; empty if there is none."""
    left = dict(graph)
    # What leads nowhere is in no cycle; once nothing more falls away, every node leads to another one that is left.
    while dead_ends := [node for node, following in left.items() if not following & left.keys()]:
        for node in dead_ends:
            del left[node]
    if not left:
        return ""
    walk = [min(left)]
    while walk[-1] not in walk[:-1]:
        walk.append(min(left[walk[-1]] & left.keys()))
    return " -> ".join(walk[walk.index(walk[-1]) :])


def torch_seen_by_cuda(tree: Tree) -> list[str]:
    """LibTorch's headers that a CUDA source reaches: nvcc takes a minute and more for each; kernels take plain data."""
    wrong = []
    reached: set[str] = set()
    waiting = [path for path in tree.texts if path.endswith(".cu")]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for header in tree.includes.get(path, []):
            if re.match(r"(torch|ATen|c10)/", header):
                wrong.append(f"{path} includes {header}")
            waiting.append(header)
    return wrong


def misplaced_namespaces(tree: Tree) -> list[str]:
    """Room namespaces that are opened elsewhere, and sources of `files` that open another one."""
    wrong = []
    for path, text in tree.texts.items():
        opened = set(re.findall(r"^ *namespace (sharpseek[\w:]*) \{", text, re.MULTILINE))
        own = {name for name, places in NAMESPACES.items() if within(path, places)}
        wrong += [f"{path} opens {name}" for name in sorted(opened & NAMESPACES.keys() - own)]
        if room_of(path) == "files":
            wrong += [f"{path} opens {name}, not sharpseek::files" for name in sorted(opened - own)]
    return wrong


def stale_names(tree: Tree, root: Path) -> list[str]:
    """Headers and sources that a comment names, by path or alone, and that do not exist."""
    alone = {Path(path).name for path in tree.texts}
    found = [
        (path, name)
        for path, text in tree.texts.items()
        for comment in re.findall(r"//.*", text)
        for name in re.findall(r"[\w./-]*\w\.(?:h|cpp|cu)\b", comment)
    ]
    return [
        f"{path}: {name} does not exist"
        for path, name in found
        if (not (root / name).exists() if "/" in name else name not in alone)
    ]


def option_keys(root: Path) -> list[str]:
    table = (root / "experiments/config/option_table.cpp").read_text(encoding="utf-8")
    return re.findall(r'ConfigOption\{\s*"(\w+\.\w+)"', table)


def string_keys(tree: Tree, keys: Iterable[str]) -> list[str]:
    """Look-ups of an option by its key as text outside experiments/config: a call, an index or a comparison.

    A key in a message, "model.depth = ", or as the name that a checking function puts into one, is fine.
    """
    key = '"(?:' + "|".join(re.escape(name) for name in keys) + ')"'
    look_up = re.compile(
        rf"(?:\.|->)(?!written\()\w+\(\s*{key}|\bfind_option\(\s*{key}|\[\s*{key}|[=!]=\s*{key}|{key}\s*[=!]="
    )
    return [
        f"{path}: {found.group()}: read the typed Settings instead"
        for path, text in tree.texts.items()
        if not within(path, ["experiments/config"])
        for found in look_up.finditer(text)
    ]
