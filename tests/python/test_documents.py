"""README and docs: every command and every Python example is executed, generated parts are up to date, links resolve.

Commands run in an empty folder as a reader would type them, with one difference: training is cut to a few steps (see
the wrapper). What cannot be run here is listed with its reason; a command that is neither run nor listed fails.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = {
    r"^\./lab ": "the way these tests are run; CI runs the verbs",
    r"^cmake ": "a second build of everything",
    r"^docker (build|compose) ": "needs a daemon; compose.yaml's commands are run below",
    r"--device cuda": "needs a GPU; tests labelled gpu do the same",
    r"^ctest ": "the tests themselves",
    r"^SHARPSEEK_PYTHON=/path": "a place holder",
    r"^\.venv/bin/tensorboard ": "a server",
    r"^(git clone|pip install|\.venv/bin/pip)": "needs the network; the package's installation is tested by itself",
}
WRAPPER = """#!/bin/bash
# The program with less training: a run's folder may exist from an earlier page.
program={program}
small="--set training.steps=200 --set measure.every=10 --set experiment.replicas=2 --set measure.samples=16 --quiet"
out=$(printf '%s\\n' "$@" | grep -A1 -x -- --out | tail -n 1)
case $1 in
  run) [[ " $* " == *" --dry-run "* ]] || {{ rm -rf "${{out:-out/run}}"; set -- "$@" $small; }} ;;
  reproduce)
    rm -rf "${{out:-out/quick}}"
    [[ " $* " == *" --only "* ]] || set -- "$@" --only linear-2
    [[ " $* " == *" --no-report "* ]] || set -- "$@" --no-report
    set -- "$@" $small ;;
esac
exec "$program" "$@"
"""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def without_container(command: str) -> str:
    """What `docker run` is told to run in the image, to be run here."""
    return re.sub(r"^docker run .*? localhost/sharpseek:\w+ ", "sharpseek ", command)


def not_run(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command)), None)


@cache
def can_measure_models() -> bool:
    """Whether PyTorch's Python side and the extension are here: ./lab test sees to both, a container may do without."""
    code = "from sharpseek.curvature.native import native; native()"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/analysis"}
    return (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode == 0
    )


@pytest.fixture(scope="module")
def place(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a clone after `./lab reproduce` and the README's sweep, with little training."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "build/release").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / ".venv/bin").mkdir(parents=True)
    wrapper = folder / "build/release/sharpseek"
    wrapper.write_text(WRAPPER.format(program=shlex.quote(str(binary))))
    wrapper.chmod(0o755)
    (folder / "bin/sharpseek").symlink_to(wrapper)
    python = folder / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for inis in blocks(ROOT / "README.md", "ini"):
        (folder / "sweep.ini").write_text(inis)
    call(folder, "build/release/sharpseek reproduce --preset quick --only linear-2 --out out/quick")
    call(folder, "build/release/sharpseek run sweep.ini --out out/my-sweep")
    shutil.copytree(folder / "out/my-sweep", folder / "out/mine")
    return folder


def call(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}/analysis",
        "SHARPSEEK_PYTHON": sys.executable,
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=lambda p: p.name)
def test_every_command_runs(page: Path, place: Path) -> None:
    for command in commands(page):
        if not not_run(command):
            call(place, without_container(command))


def test_the_compose_files_services_run_one_after_the_other(place: Path) -> None:
    yaml = pytest.importorskip("yaml")
    file = ROOT / "docker/compose.yaml"
    services = yaml.safe_load(file.read_text())["services"]
    assert list(services) == ["reproduce", "report"]
    assert services["report"]["depends_on"] == {"reproduce": {"condition": "service_completed_successfully"}}
    for service in services.values():
        assert service["image"] == "localhost/sharpseek:cpu"
        assert (file.parent / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        call(place, shlex.join(["sharpseek", *service["command"]]))
    assert (place / "out/quick/report.html").stat().st_size > 10_000


def test_every_reason_not_to_run_is_needed_and_every_verb_exists() -> None:
    listed = [command for page in PAGES for command in commands(page) if not_run(command)]
    usage = subprocess.run([ROOT / "lab", "help"], capture_output=True, text=True, check=True).stdout
    for command in listed:
        if command.startswith("./lab"):
            assert f"\n  {command.split()[1]}" in usage, command


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_every_python_example_runs(page: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if page.name == "quickstart.md":
        call(place, "build/release/sharpseek run sweep.ini --out out/first")
    for number, block in enumerate(blocks(page, "python")):
        if "import curvature" in block and not can_measure_models():
            continue
        (place / f"example{number}.py").write_text(block)
        call(place, f".venv/bin/python example{number}.py")


def test_the_readme_counts_the_outcomes_that_are_recorded() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for file in sorted((ROOT / "docs" / "results").glob("*.json")):
        words = [claim["outcome"] for claim in json.loads(file.read_text(encoding="utf-8"))["claims"]]
        counts = " | ".join(str(words.count(word)) for word in ("supported", "undecided", "refuted"))
        assert f"| {file.stem} | {counts} |" in readme, file.name


def test_the_readmes_trend_plot_takes_at_most_six_lines(place: Path) -> None:
    block = next(b for b in blocks(ROOT / "README.md", "python") if "trend" in b)
    assert len([line for line in block.splitlines() if line.strip()]) <= 6
    picture = place / "trend.png"
    picture.unlink(missing_ok=True)
    (place / "trend.py").write_text(block)
    call(place, ".venv/bin/python trend.py")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 5000


@pytest.mark.parametrize("notebook", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda p: p.name)
def test_every_notebook_runs_from_top_to_bottom(notebook: Path, place: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 3
    if any("import curvature" in cell for cell in code) and not can_measure_models():
        pytest.skip("PyTorch's Python side or the extension is not here")
    (place / "notebook.py").write_text("\n".join(code))
    call(place, ".venv/bin/python notebook.py")


def test_generated_parts_are_up_to_date(binary: Path, place: Path) -> None:
    call(place, f"{sys.executable} {ROOT}/docs/generate.py --check --program {shlex.quote(str(binary))}")


@pytest.mark.checkout
def test_site_builds_without_warnings(place: Path) -> None:
    result = call(
        place, f"NO_MKDOCS_2_WARNING=1 {sys.executable} -m mkdocs build --strict -f {ROOT}/mkdocs.yml -d {place}/site"
    )
    assert "WARNING" not in result.stderr
    built = {p.stem for p in (place / "site").glob("*.html")}
    assert {p.stem for p in (ROOT / "docs").glob("*.md")} <= built


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_resolve(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))  # a lambda is no link
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), target


FOLDERS = [
    path for path in ROOT.iterdir() if path.is_dir() and path.name not in ("build", "out") and path.name[0] != "."
]
SOURCE = re.compile(r"[\w./*-]+\.(h|cpp|cu|py|cmake|md|dict|xz)|[\w./-]+/CMakeLists\.txt")
# NAME stands for several; a user's tables may lie in a folder data.
NOT_OURS = re.compile(r"[A-Z]{3,}\b|\.csv\b")


def sources_named(page: Path) -> set[str]:
    """Names of sources, and paths that begin with a folder of ours, in back ticks outside of code blocks."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = {word.strip("(),;:") for span in re.findall(r"`([^`\n]+)`", prose) for word in span.split()}
    ours = tuple(f"{folder.name}/" for folder in FOLDERS)
    return {w for w in words if (SOURCE.fullmatch(w) or w.startswith(ours)) and not NOT_OURS.search(w)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_sources_that_are_named_exist(page: Path) -> None:
    names = {path.name for folder in FOLDERS for path in folder.rglob("*.*")} | {path.name for path in ROOT.iterdir()}
    for word in sources_named(page):
        assert any(ROOT.glob(word)) if "/" in word else word in names, f"{page.name}: {word} does not exist"


def test_a_stale_path_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`experiments/a.ini`, `gone.h`; `models/NAME.cpp`, `run sweep.ini data/V.csv`.\n```\n`core/x.h`\n```\n"
    )
    assert sources_named(page) == {"experiments/a.ini", "gone.h"}
