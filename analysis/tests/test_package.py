"""The package as pip installs it: complete, importable away from this tree, able to write a report."""

import base64
import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sharpseek.stream import SINKS
from synthetic import Make

PACKAGE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package, from a copy of its sources (building writes into them)."""
    folder = tmp_path_factory.mktemp("install")
    # Without what other tests, which run at the same time, may be compiling into it.
    shutil.copytree(PACKAGE, folder / "analysis", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", folder / "site", folder / "analysis"], check=True, capture_output=True)
    return folder / "site"


@pytest.mark.checkout
def test_every_module_and_template_is_installed(installed: Path) -> None:
    def files(root: Path) -> set[str]:
        found = (p.relative_to(root) for p in (root / "sharpseek").rglob("*") if p.is_file())
        return {str(p) for p in found if "__pycache__" not in p.parts}

    assert files(installed) == files(PACKAGE)


@pytest.mark.checkout
def test_the_installed_package_writes_a_report(installed: Path, reproduction: Make) -> None:
    directory = reproduction(**{"linear-2": {"seeds": 2}})
    subprocess.run(
        [sys.executable, "-m", "sharpseek.report", "--no-figures", directory],
        env=os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"},
        cwd=directory,
        check=True,
    )
    text = (directory / "report.html").read_text(encoding="utf-8")
    packed = re.search(r'id="plotly-js">([^<]*)<', text)
    assert packed is not None
    assert b"Plotly" in gzip.decompress(base64.b64decode(packed[1]))


def test_public_names_are_annotated() -> None:
    import inspect

    import sharpseek
    from sharpseek import plot, theory, theory_limit

    functions = [getattr(sharpseek, name) for name in sharpseek.__all__]
    functions += [getattr(plot, name) for name in plot.__all__] + [theory.closed_form, theory_limit.small_rate_limit]
    for function in functions:
        if inspect.isfunction(function):
            missing = [p for p in inspect.signature(function).parameters if p not in function.__annotations__]
            assert not missing and "return" in function.__annotations__, function
    assert (PACKAGE / "sharpseek" / "py.typed").exists()


def test_every_library_that_the_package_imports_is_a_dependency() -> None:
    """h5py is imported by h5netcdf alone, which does not ask for it."""
    import ast
    import tomllib

    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    declared = set(project["dependencies"]).union(*project["optional-dependencies"].values())
    imported = {"h5py"}
    for file in (PACKAGE / "sharpseek").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.split(".")[0] for name in names}
    own = set(sys.stdlib_module_names) | {"sharpseek", "markupsafe"}  # markupsafe is jinja2's
    own |= set(SINKS)  # the user's own, where a stream goes to one
    assert imported - own <= declared
