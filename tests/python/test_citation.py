"""The files that say how to cite the project agree with each other and with the build."""

import json
import re
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parents[2]


def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def codemeta() -> dict:
    return json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))


def front_matter() -> dict:
    return yaml.safe_load((ROOT / "paper.md").read_text(encoding="utf-8").split("---")[1])


def test_codemeta_says_what_the_citation_file_says() -> None:
    cff, meta = citation(), codemeta()
    assert meta["version"] == str(cff["version"])
    assert meta["license"] == f"https://spdx.org/licenses/{cff['license']}"
    assert cff["title"].startswith(f"{meta['name']}: ")
    assert [author["name"] for author in meta["author"]] == [author["name"] for author in cff["authors"]]
    (reference,) = cff["references"]
    assert meta["referencePublication"]["name"] == reference["title"]
    assert meta["referencePublication"]["url"] == reference["url"]


def test_the_paper_has_the_title_and_the_authors_of_the_citation_file() -> None:
    cff, paper = citation(), front_matter()
    assert paper["title"] == cff["title"]
    assert [author["name"] for author in paper["authors"]] == [author["name"] for author in cff["authors"]]


def test_the_version_is_the_packages() -> None:
    for file in ("pyproject.toml", "analysis/pyproject.toml"):
        text = (ROOT / file).read_text(encoding="utf-8")
        found = re.search(r'(?m)^version = "([^"]+)"', text)
        assert found is None or found[1] == codemeta()["version"], file
    assert f"VERSION {codemeta()['version']}" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


def test_the_papers_references_are_all_there_and_all_cited() -> None:
    text = (ROOT / "paper.md").read_text(encoding="utf-8").split("---", 2)[2]
    cited = set(re.findall(r"@([a-z]+\d*)", text))
    listed = set(re.findall(r"(?m)^@\w+\{([^,]+),", (ROOT / "paper.bib").read_text(encoding="utf-8")))
    assert cited == listed


@pytest.mark.parametrize(
    "part", ["Summary", "Statement of need", "State of the field", "AI usage disclosure", "References"]
)
def test_the_paper_has_the_parts_that_the_journal_asks_for(part: str) -> None:
    text = (ROOT / "paper.md").read_text(encoding="utf-8")
    assert re.search(rf"(?m)^# {part}$", text)
    assert 250 < len(text.split()) < 1750


def test_issue_forms_are_valid() -> None:
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for form in forms:
        found = yaml.safe_load(form.read_text(encoding="utf-8"))
        if form.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= found.keys()
        ids = [part["id"] for part in found["body"]]
        assert len(ids) == len(set(ids))
        assert all(part["attributes"]["label"] for part in found["body"])
