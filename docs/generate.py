"""Writes the parts of the documentation that the program and recorded results determine.

    python docs/generate.py --program build/release/sharpseek [--check]

configuration.md from the option table, schema.md from a small run of each architecture, results.md and a page for each
preset from docs/results/*.json (a report's verdicts.json), paper.md from analysis/sharpseek/paper_figures.py and
docs/results/paper.json, beyond.md from docs/results/beyond.json, claims.md from analysis/tests/error_rates.json,
performance.md from benchmarks/results/*.json, curvature.md from docstrings. A generated part stands between two
comments. --check changes nothing and fails if something would change.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import sharpseek
from sharpseek.findings import Finding, headline
from sharpseek.paper_figures import PAPER, table_of
from sharpseek.verdicts import CLAIMS, combine

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SWEEP = {"one value": "no", "replicas": "replicas", "groups": "groups"}
SMALL = ["--set=training.steps=20", "--set=measure.every=2", "--set=experiment.replicas=1", "--quiet"]


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


def options(program: Path) -> str:
    """A table of keys for each section."""
    listed = subprocess.run([program, "list", "--format", "json"], capture_output=True, text=True, check=True).stdout
    parts: dict[str, list[str]] = {}
    for option in json.loads(listed)["options"]:
        section, name = option["key"].split(".", 1)
        value = f"`{option['default']}`" if option["default"] else ""
        parts.setdefault(section, []).append(
            f"| `{name}` | {value} | {SWEEP[option['sweep']]} | {escaped(option['help'])} |"
        )
    head = "| key | default | sweep | meaning |\n|---|---|---|---|\n"
    return "\n\n".join(f"## [{section}]\n\n{head}" + "\n".join(rows) for section, rows in parts.items())


def schema(program: Path) -> str:
    """Every variable that a run writes, with dimensions, units and definition, as its file has them."""
    listed = subprocess.run([program, "list", "--format", "json"], capture_output=True, text=True, check=True).stdout
    quantities = ",".join(dict.fromkeys(q["quantity"] for q in json.loads(listed)["quantities"]))
    found: dict[str, tuple[str, str, str]] = {}
    attributes: dict[str, None] = {}
    config = "[noise]\ncondition = 1 10\n[measure]\nkeep_parameters = true\nsamples = 16\n"
    rivals = "rivals = 1\n"
    soft = "[data]\nlabels = soft\n[training]\nloss = cross-entropy\n"
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, more in (("linear", "linear", rivals), ("mlp", "mlp", rivals), ("soft", "mlp", soft)):
            file = Path(folder) / f"{name}.ini"
            file.write_text(f"[experiment]\nname = {name}\n[model]\nkind = {kind}\n{config}{more}")
            out = Path(folder) / "out" / name
            command = [program, "run", file, "--out", out, f"--set=measure.quantities={quantities}", *SMALL]
            subprocess.run(command, check=True, cwd=folder)
            with sharpseek.open_run(out) as run:
                attributes |= dict.fromkeys(k for k in run.attrs if k != "file")
                for name, variable in run.variables.items():
                    dims = ", ".join(str(d) for d in variable.dims)
                    text = (dims, str(variable.attrs.get("units", "")), str(variable.attrs.get("long_name", "")))
                    found.setdefault(str(name), text)
    rows = [
        f"| `{name}` | {dims} | {escaped(units)} | {escaped(definition)} |"
        for name, (dims, units, definition) in sorted(found.items())
    ]
    table = "| variable | dimensions | units | definition |\n|---|---|---|---|\n" + "\n".join(rows)
    listing = ", ".join(f"`{name}`" for name in sorted(attributes))
    return f"{table}\n\nAttributes of the file: {listing}."


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def place(evidence: dict) -> str:
    """Which effect a piece of evidence is, and what else was found there."""
    return escaped(": ".join(filter(None, (evidence["at"], evidence["detail"]))))


def level(evidence: dict) -> str:
    """A p value; where it is the smallest that could have been found, that it is less."""
    p, least = evidence["p"], evidence.get("p_least")
    return f"< {least:.2g}" if p is not None and least is not None and p <= least * 1.001 else number(p)


PICTURES = {
    "quick": ("report-trend.png", "The trace at the end over kappa, networks by colour"),
    "beyond": ("saturation-map.png", "How much sharper than the flattest minimum, by angle and kappa"),
}
"""The picture on top of a preset's page, in docs/images, and what it shows."""


def folded(summary: str, lines: list[str]) -> list[str]:
    """Lines that are shown when their summary is clicked on."""
    return ['<details markdown="1">', f"<summary>{summary}</summary>", "", *lines, "", "</details>", ""]


def recorded() -> dict[str, dict[str, Any]]:
    """docs/results/*.json by preset, those that answer most first."""
    found = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (DOCS / "results").glob("*.json")}
    order = ["quick", "full", "paper", "beyond"]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else 9, item[0])))


def answered(found: dict[str, Any]) -> list[str]:
    """A report's answer: in one sentence, then, folded, with its numbers."""
    return [f"**{headline_of(found)}**", "", *folded("The answer with its numbers", [found["answer"]])]


def headline_of(found: dict[str, Any]) -> str:
    """The answer in one sentence: it follows from the outcomes, which files from before it was stored hold, too."""
    claims = {claim.name: claim for claim in CLAIMS}
    known = [c for c in found["claims"] if c["claim"] in claims]
    return headline([Finding(claims[c["claim"]], c["outcome"], (), None, "") for c in known])


def results() -> str:
    """Each recorded preset's answer, what it says of which claims, and where its page is."""
    parts = []
    for name, found in recorded().items():
        parts += [f"## {name}", "", headline_of(found), ""]
        for word in ("supported", "undecided", "refuted"):
            claims = [c["claim"] for c in found["claims"] if c["outcome"] == word]
            parts.append(f"- {len(claims)} {word}" + (f": {', '.join(claims)}" if claims else ""))
        parts += ["", f"[All numbers](results/{name}.md).", ""]
    return "\n".join(parts).rstrip() if parts else "No result has been recorded yet."


def result_page(name: str, found: dict[str, Any]) -> str:
    """A recorded preset: its picture and answer, its claims, and, folded, runs and all evidence."""
    origin = found["origin"]
    picture, caption = PICTURES.get(name, ("", ""))
    lines = [f"![{caption}](../images/{picture})", ""] if picture else []
    lines += [
        *answered(found),
        f"Recorded {found['finished']}, version {origin['version']} ({origin.get('git_state', '')}), engine "
        f"{origin.get('engine', '')}, {origin.get('cpu', '')}. Evidence: estimates with 95 % intervals over seeds.",
        "",
        "| claim | outcome | found |",
        "|---|---|---|",
    ]
    lines += [
        f"| {c['claim']} {escaped(c['statement'])} | {c['outcome']} | {escaped(c['sentence'])} |"
        for c in found["claims"]
    ]
    runs = ["| experiment | replicas | stationary | diverged | steps |", "|---|---|---|---|---|"]
    runs += [
        f"| {r['name']}: {r['title']} | {r['replicas']} | {r['stationary']} | {r['diverged']} | {r['steps']} |"
        for r in found["runs"]
    ]
    lines += ["", *folded(f"All {len(found['runs'])} runs", runs)]
    for c in found["claims"]:
        evidence = [f"{c['effect']}. {c['rule']}", ""]
        evidence += [
            "| experiment | at | estimate | low | high | p | says | usable |",
            "|---|---|---|---|---|---|---|---|",
        ]
        evidence += [
            f"| {e['experiment']} | {place(e)} | {number(e['estimate'])} | {number(e['low'])} | "
            f"{number(e['high'])} | {level(e)} | {e['outcome']} | {e['usable']} / {e['replicas']} |"
            for e in c["evidence"]
        ]
        lines += folded(f"Evidence for {c['claim']}: {c['outcome']}", evidence)
    return "\n".join(lines).rstrip()


def paper() -> str:
    """The paper, figure by figure: what it says, what was found, what was chosen, and where the time goes."""
    file = DOCS / "results" / "paper.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    said = []
    for claim in found["claims"] if found else []:
        outcomes: dict[str, list[str]] = {}
        for piece in claim["evidence"]:
            outcomes.setdefault(piece["experiment"], []).append(piece["outcome"])
        said += [(claim["claim"], experiment, combine(pieces)) for experiment, pieces in outcomes.items()]
    rows = table_of([name for figure in PAPER for name in figure.experiments], said)
    lines = ["| figure | it says | here | given there | not given, or other here |", "|---|---|---|---|---|"]
    for row in rows:
        here = "; ".join(f"{claim} {outcome} ({experiment})" for claim, experiment, outcome in row.said)
        otherwise = "not run yet" if row.figure.claims else "drawn, not judged"
        cells_of = (row.figure.name, row.figure.says, here or otherwise, row.figure.given, row.figure.chosen)
        lines.append("| " + " | ".join(map(escaped, cells_of)) + " |")
    if found:
        lines += ["", f"Recorded {found['finished']}, version {found['origin']['version']}.", ""]
        lines += ["| claim | outcome | found |", "|---|---|---|"]
        lines += [f"| {c['claim']} {escaped(c['statement'])} | {c['outcome']} | {escaped(c['sentence'])} |"
                  for c in found["claims"]]  # fmt: skip
        lines += ["", *where_the_time_goes(found["runs"])]
    return "\n".join(lines)


def where_the_time_goes(runs: list[dict[str, Any]]) -> list[str]:
    """Experiments by the time they took, with their share of all."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        name = run["name"].split(" ")[0]
        row = rows.setdefault(name, {"title": run["title"], "replicas": 0, "seconds": 0.0})
        row["replicas"] += run["replicas"]
        row["seconds"] += run.get("seconds") or 0.0
    total = sum(row["seconds"] for row in rows.values())
    lines = ["| experiment | replicas | seconds | share |", "|---|---|---|---|"]
    for name, row in sorted(rows.items(), key=lambda pair: -pair[1]["seconds"]):
        share = f"{row['seconds'] / total:.1%}" if total else ""
        lines.append(f"| {name}: {escaped(row['title'])} | {row['replicas']} | {row['seconds']:.0f} | {share} |")
    return [*lines, f"| all | {sum(row['replicas'] for row in rows.values())} | {total:.0f} | |"]


def beyond() -> str:
    """What the recorded run of the preset `beyond` says, claim by claim, and where its time went."""
    file = DOCS / "results" / "beyond.json"
    if not file.exists():
        return "Not run yet."
    found = json.loads(file.read_text(encoding="utf-8"))
    lines = [*answered(found), f"{found['finished']}, version {found['origin']['version']}.", ""]
    lines += ["| claim | outcome | found |", "|---|---|---|"]
    lines += [f"| {c['claim']} {escaped(c['statement'])} | {c['outcome']} | {escaped(c['sentence'])} |"
              for c in found["claims"]]  # fmt: skip
    lines += ["", "| experiment | replicas | diverged | steps | wall seconds |", "|---|---|---|---|---|"]
    for r in found["runs"]:
        counts = f"{r['replicas']} | {r['diverged']} | {r['steps']} | {number(r.get('seconds'))}"
        lines.append(f"| {r['name']}: {r['title']} | {counts} |")
    return "\n".join(lines)


def error_rates() -> str:
    """Wrong verdicts in worlds on the border of each claim, and how often intervals hold the truth."""
    found = json.loads((ROOT / "analysis" / "tests" / "error_rates.json").read_text(encoding="utf-8"))
    rows: dict[str, dict[str, int]] = {}
    for name, count in found["wrong"].items():
        (claim, wrong), words = name.split(": ", 1)[0].split(" "), name.split(": ", 1)[1]
        rows.setdefault(f"{claim}: {words}", {})[wrong] = count
    lines = [f"Wrong verdicts of {found['trials']}:", "", "| world | supported | refuted |", "|---|---|---|"]
    lines += [
        f"| {escaped(name)} | {counts.get('supported', '')} | {counts.get('refuted', '')} |"
        for name, counts in rows.items()
    ]
    seeds = list(next(iter(found["coverage"].values())))
    lines += ["", f"Share of 95 % intervals that hold the truth, {found['draws']} draws each:", ""]
    lines += [f"| effect | interval | {' | '.join(f'{n} seeds' for n in seeds)} |", "|---|---|" + "---|" * len(seeds)]
    for kind, (how, shares) in ((k, (found["intervals"][k], v)) for k, v in found["coverage"].items()):
        lines.append(f"| {kind} | {how} | {' | '.join(f'{shares[n]:.3f}' for n in seeds)} |")
    return "\n".join(lines)


def cells(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return escaped(", ".join(f"{k} {cells(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value))


def performance() -> str:
    """The ratios against peers of each recorded benchmark, and, folded, all of its file."""
    parts = []
    for file in sorted((ROOT / "benchmarks" / "results").glob("*.json"), reverse=True):
        content = json.loads(file.read_text(encoding="utf-8"))
        lines, tables = [], []
        for key, value in flattened(content):
            if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
                columns = list(dict.fromkeys(column for row in value for column in row))
                tables += ["", f"**{key}**", "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
                tables += ["| " + " | ".join(cells(row.get(column, "")) for column in columns) + " |" for row in value]
            else:
                lines.append(f"- {key}: {cells(value)}")
        machine = content.get("machine") or content.get("device") or ""
        where = machine["cpu"] if isinstance(machine, dict) else str(machine)
        parts += [f"## {file.stem}", "", *([f"{where}.", ""] if where else [])]
        parts += folded("All numbers", [*lines, *tables])
    return (
        "\n".join(parts).rstrip()
        if parts
        else "No benchmark result is recorded in `benchmarks/results/` in this version."
    )


def flattened(content: object, name: str = "") -> list[tuple[str, object]]:
    """(key, value) of nested objects, keys joined by ", "."""
    if not isinstance(content, dict):
        return [(name or "results", content)]
    return [item for key, value in content.items() for item in flattened(value, f"{name}, {key}" if name else key)]


def replaced(text: str, name: str, content: str) -> str:
    """The text with its generated part `name` replaced. Raises ValueError if the marks are missing."""
    begin, end = f"<!-- generated: {name} (docs/generate.py) -->\n", "<!-- end of generated -->"
    if begin not in text or end not in text.split(begin, 1)[1]:
        raise ValueError(f"marks of the generated part {name} are missing")
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{content}\n\n{end}{rest.split(end, 1)[1]}"


def curvature() -> str:
    """Signatures and docstrings of sharpseek.curvature, read without importing it: that needs PyTorch."""
    package = ROOT / "analysis/sharpseek/curvature"
    parts = []
    for module in ("operators", "solve", "recorder"):
        for item in ast.parse((package / f"{module}.py").read_text(encoding="utf-8")).body:
            if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
                parts.append(entry(item.name, item, ast.get_docstring(item)))
            elif isinstance(item, ast.ClassDef) and module == "recorder":
                init = next(m for m in item.body if isinstance(m, ast.FunctionDef) and m.name == "__init__")
                del init.args.args[0]
                both = f"{ast.get_docstring(item)}\n\n{ast.get_docstring(init)}"
                parts.append(entry(item.name, init, both))
    return "\n\n".join(parts)


def entry(name: str, function: ast.FunctionDef, text: str | None) -> str:
    """A heading, the call and what it is."""
    return f"### {name}\n\n```text\n{name}({signature(function.args)})\n```\n\n{inspect.cleandoc(text or '')}"


def signature(arguments: ast.arguments) -> str:
    """Names with their defaults, without types."""
    names = [a.arg for a in arguments.args]
    defaults = [""] * (len(names) - len(arguments.defaults)) + [f"={ast.unparse(d)}" for d in arguments.defaults]
    words = [name + default for name, default in zip(names, defaults, strict=True)]
    if arguments.kwonlyargs:
        words.append("*")
    for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        words.append(name.arg + ("" if default is None else f"={ast.unparse(default)}"))
    return ", ".join([*words, *([f"**{arguments.kwarg.arg}"] if arguments.kwarg else [])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    stale = []
    for page, name, content in (
        ("configuration.md", "options", options(program)),
        ("schema.md", "schema", schema(program)),
        ("results.md", "results", results()),
        *((f"results/{name}.md", "result", result_page(name, found)) for name, found in recorded().items()),
        ("paper.md", "paper", paper()),
        ("beyond.md", "beyond", beyond()),
        ("claims.md", "error rates", error_rates()),
        ("performance.md", "performance", performance()),
        ("curvature.md", "curvature", curvature()),
    ):
        path = DOCS / page
        old = path.read_text(encoding="utf-8")
        new = replaced(old, name, content)
        if old != new:
            stale.append(page)
            if not arguments.check:
                path.write_text(new, encoding="utf-8")
    if arguments.check and stale:
        print(f"docs/generate.py: not up to date: {', '.join(stale)}; `./lab docs` writes them", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
