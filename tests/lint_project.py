"""What no linter knows: sizes, generated documents, texts that must not be in the project.

Run by ``make lint``; with ``--write`` the generated documents are written anew.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from launcher.core.policy.policy import RULES
from launcher.core.world import lifecycle
from launcher.jobfile.reading import json_schema
from tests import configuration, reference

ROOT = Path(__file__).resolve().parent.parent
MAP = ROOT / "launcher" / "README.md"
SCHEMA = ROOT / "launcher" / "jobfile" / "schema.json"
MOST_LINES, MOST_TEST_LINES, MOST_FUNCTION, MOST_MODULES = 400, 800, 40, 16
FORBIDDEN = re.compile(
    r"index[-_]url|https?://\S+/simple\b|\bTODO\b|\bFIXME\b|\bXXX\b|time\.sleep\(.*# test"
)
PUBLIC_NAME = "Job"
"""The Python interface has a class of this name for users, beside the core's."""
MANUAL = ROOT / "launcher" / "manual"


def tracked(suffix: str) -> list[Path]:
    """Return the files of the project with this ending."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", f"*{suffix}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


def generated() -> dict[Path, str]:
    """Return every generated document as it must be."""
    diagram = f"```mermaid\n{lifecycle.diagram()}\n```"
    return {
        MAP: between(MAP, "diagram", diagram),
        MANUAL / "sharing-and-security.md": between(
            MANUAL / "sharing-and-security.md", "policy", policy()
        ),
        MANUAL / "job-files.md": between(MANUAL / "job-files.md", "keys", reference.keys()),
        MANUAL / "operating.md": between(
            MANUAL / "operating.md", "configuration", configuration.example()
        ),
        MANUAL / "verbs.md": between(MANUAL / "verbs.md", "verbs", reference.verbs()),
        SCHEMA: json_schema.text(),
    }


def between(path: Path, name: str, text: str) -> str:
    """Return a document with this text between the marks of this name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, rest = path.read_text().split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def policy() -> str:
    """Return the rules of the default policy as a table."""
    lines = ["| field | may be | rule |", "|---|---|---|"]
    lines += [f"| `{rule.field}` | {rule.may} | {rule.id} |" for rule in RULES]
    return "\n".join(lines)


def stale() -> Iterator[str]:
    """Yield the generated documents that are not current."""
    for path, text in generated().items():
        if path.read_text() != text:
            yield f"{path.relative_to(ROOT)}: is not current; `make docs` writes it"


def sizes() -> Iterator[str]:
    """Yield modules and functions that have grown too long."""
    for path in tracked(".py"):
        name = path.relative_to(ROOT)
        text = path.read_text()
        lines, tests = text.count("\n"), name.parts[0] == "tests"
        most = MOST_TEST_LINES if tests else MOST_LINES
        if lines > most:
            yield f"{name}: {lines} lines, {most} at most"
        if tests:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_table(node):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MOST_FUNCTION:
                    yield f"{name}:{node.lineno}: {node.name} has {length} lines"


def rooms() -> Iterator[str]:
    """Yield folders with too many modules, and class names with more than one meaning."""
    modules: Counter[Path] = Counter()
    classes: dict[str, list[str]] = {}
    for path in tracked(".py"):
        name = path.relative_to(ROOT)
        if name.parts[0] != "launcher":
            continue
        modules[name.parent] += name.name != "__init__.py"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes.setdefault(node.name, []).append(str(name))
    for folder, count in modules.items():
        if count > MOST_MODULES:
            yield f"{folder}: {count} modules, {MOST_MODULES} at most"
    for name_, places in classes.items():
        if len(places) > 1 and name_ != PUBLIC_NAME:
            yield f"{', '.join(places)}: more than one class has the name {name_}"


PHRASES = re.compile(
    r"(?<![Tt]here )(?<![Ww]here there )\b(is|are) no (?!longer\b|more\b)|\bof before\b"
    r"|\b[Ss]o long\b(?! as)|\b[Ww]ho(ever)? ask(s|ed)\b|\b[Nn]obody's\b|\bfor ever\b"
    r"|\bthat there are\b|\bwhich there is\b|\b([Hh]e|[Hh]is|[Hh]im)\b"
)
"""Phrases that a reader must read twice; a user is "the user" or "they"."""


def phrases() -> Iterator[str]:
    """Yield texts that people read and that are not plain English."""
    for suffix in (".py", ".md", ".toml", ".yaml", ".c", ".h", ".service", ".socket"):
        for path in tracked(suffix):
            name = path.relative_to(ROOT)
            if name.parts[0] in ("tests", ".ci"):
                continue
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if found := PHRASES.search(line):
                    yield f"{name}:{number}: {found.group()!r} is not plain English"


def _is_table(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is mostly one literal: a table with a name."""
    literal = max(
        (
            (n.end_lineno or 0) - n.lineno
            for n in ast.walk(node)
            if isinstance(n, ast.Dict | ast.List | ast.Tuple | ast.Call)
        ),
        default=0,
    )
    return literal > MOST_FUNCTION // 2


def sleeps() -> Iterator[str]:
    """Yield tests that let time pass instead of waiting for something."""
    for path in tracked(".py"):
        name = path.relative_to(ROOT)
        if name.parts[:2] in (("tests", "unit"), ("tests", "integration"), ("tests", "acceptance")):
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if re.search(r"\btime\.sleep\(", line):
                    yield f"{name}:{number}: a test sleeps; tests.support.wait waits"


def texts() -> Iterator[str]:
    """Yield texts that must not be in the project."""
    for path in [
        p for s in (".py", ".md", ".toml", ".txt", ".yaml", ".sql", ".c") for p in tracked(s)
    ]:
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if FORBIDDEN.search(line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"


def main() -> int:
    """Check, or write; the exit status says whether anything is wrong."""
    if "--write" in sys.argv:
        for path, text in generated().items():
            path.write_text(text)
        return 0
    found = [*stale(), *sizes(), *rooms(), *sleeps(), *texts(), *phrases()]
    print(
        "\n".join(found)
        or f"{len(tracked('.py'))} Python files: sizes, documents and texts are well"
    )
    json.loads(SCHEMA.read_text())
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
