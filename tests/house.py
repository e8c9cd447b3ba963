"""
The house in figures: ``python -m tests.house`` prints each beside its bound; 1 if one is broken.

``--only structure`` leaves out the calls, which take some seconds; ``--report`` always ends with 0.
Text counts as it stands, in comments and docstrings too. What is counted:

- modules: the Python files under ``tcplab/``, without ``__init__.py``; the largest folder likewise,
  without those in folders below.
- circles of imports: groups of modules that each lead to all others of the group. Imports in
  functions and under ``TYPE_CHECKING`` count; that of ``tcplab.__version__`` does not.
- mixins with one user: classes that exist only to be the base of one other. Exactly one class
  derives from it, no package exports it in ``__all__``, and no code names it otherwise. Imports and
  annotations are no use; a ``typing.Protocol`` is no mixin.
- ``TYPE_CHECKING`` imports: the blocks ``if TYPE_CHECKING:``, also those with declarations only.
- ``self: Any`` and ``type: ignore``: each occurrence outside of the coalescing transports.
- probes: the lines with a call of ``getattr``, and those with one of ``hasattr``.
- ``Any``: the word.
- calls: see `tests.walks`. The bounds hold for Python 3.11. No other counts any, since
  comprehensions are calls in 3.11, and no more in 3.12.
- lines of tests per line of source: all lines of all Python files under ``tests/``, helpers too,
  over those under ``tcplab/``.
- persons: the words who, whom, whoever, somebody, nobody, anybody, everybody, in any case.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

#: The coalescing transports, by the names of before and after the move.
COALESCING = {
    f"tcplab/reactor/{name}.py"
    for name in (
        *("corked", "sizing", "sending", "unwatched", "corkedunix"),
        *("coalescing", "sendbuffer", "transports"),
    )
}

PERSONS = r"(?i)\b(who|whom|whoever|somebody|nobody|anybody|everybody)\b"

#: Texts by their path from the root: ``tcplab/tap.py``.
Texts = Mapping[str, str]


class Figure(NamedTuple):
    """One line of the table."""

    what: str
    here: float
    most: float

    @property
    def broken(self) -> bool:
        return self.here > self.most

    def __str__(self) -> str:
        mark = "  over" if self.broken else ""
        return f"{self.what:58} {self.here:8g} {self.most:8g}{mark}"


def texts(folder: str) -> dict[str, str]:
    """Read the Python files in a folder and below."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


# Counting


def modules(code: Texts) -> list[str]:
    """Return the files that are modules: all but ``__init__.py``."""
    return [path for path in code if PurePosixPath(path).name != "__init__.py"]


def largestFolder(code: Texts) -> int:
    """Return how many modules stand in the folder that has most."""
    return max(Counter(PurePosixPath(path).parent for path in modules(code)).values())


def occurrences(pattern: str, code: Texts) -> int:
    """Count what a pattern finds."""
    return sum(len(re.findall(pattern, text)) for text in code.values())


def linesWith(pattern: str, code: Texts) -> int:
    """Count the lines in which a pattern finds something."""
    return sum(
        bool(re.search(pattern, line)) for text in code.values() for line in text.splitlines()
    )


def lines(files: Texts) -> int:
    return sum(len(text.splitlines()) for text in files.values())


# Circles of imports


def moduleName(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is imported: a module and a name in it, or a module and nothing."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, each.name) for each in node.names)


def importGraph(code: Texts) -> dict[str, set[str]]:
    """Return which modules and packages of ours each of them imports."""
    ours = {moduleName(path) for path in code}
    graph = {}
    for path, text in code.items():
        found = {
            f"{module}.{name}" if f"{module}.{name}" in ours else module
            for module, name in imported(text)
            if (module, name) != ("tcplab", "__version__")
        }
        graph[moduleName(path)] = found & ours
    return graph


def reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    """Return to what a module's imports lead; to itself only where they come back."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found


def circles(code: Texts) -> list[list[str]]:
    """Return the groups of modules that import each other, whichever way round."""
    graph = importGraph(code)
    leadsTo = {module: reached(module, graph) for module in graph}
    groups = {
        frozenset(other for other in leadsTo[module] if module in leadsTo[other])
        for module in graph
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


# Mixins


def mixins(code: Texts) -> list[str]:
    """Return the classes that exist only to be the base of one other."""
    trees = [ast.parse(text) for text in code.values()]
    classes = {name for tree in trees for name in _concrete(tree)}
    users = Counter(name for tree in trees for name in _bases(tree))
    used = {name for tree in trees for name in _uses(tree)}
    return sorted(name for name in classes if users[name] == 1 and name not in used)


def _concrete(tree: ast.Module) -> Iterator[str]:
    # Classes that are no typing.Protocol.
    typing = _importsTypingProtocol(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not (
            typing and "Protocol" in map(_named, node.bases)
        ):
            yield node.name


def _importsTypingProtocol(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "typing"
        and any(each.name == "Protocol" and not each.asname for each in node.names)
        for node in tree.body
    )


def _bases(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from map(_named, node.bases)


def _named(base: ast.expr) -> str:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def _uses(node: ast.AST) -> Iterator[str]:
    # The names that stand elsewhere than in bases, imports and annotations; also those of __all__.
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        yield from ast.literal_eval(node.value)
    for field, value in ast.iter_fields(node):
        if field not in ("bases", "annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _uses(child)


# The table


def structure(code: Texts, tests: Texts) -> list[Figure]:
    """Measure what stands in the files."""
    others = {path: text for path, text in code.items() if path not in COALESCING}
    probes = sum(linesWith(rf"\b{name}\(", code) for name in ("getattr", "hasattr"))
    return [
        # 135 after the redesign; the rest are roles that came later, a file each.
        Figure("modules", len(modules(code)), 165),
        Figure("modules in the largest folder", largestFolder(code), 14),
        Figure("circles of imports", len(circles(code)), 0),
        Figure("mixins with one user, but for coalescing", len(mixins(others)), 0),
        Figure("TYPE_CHECKING imports", occurrences(r"\bif TYPE_CHECKING\b", code), 3),
        Figure("self: Any, but for coalescing", occurrences(r"\bself: Any\b", others), 0),
        Figure("type: ignore, but for coalescing", occurrences("type: ignore", others), 15),
        Figure("probes by getattr and hasattr", probes, 50),
        Figure("Any", occurrences(r"\bAny\b", code), 300),
        Figure("lines of tests per line of source", round(lines(tests) / lines(code), 2), 1.5),
        Figure("persons (who, nobody, ...)", occurrences(PERSONS, code), 5),
    ]


def walked(name: str) -> dict[str, int]:
    """Have the calls of some walks counted in a process of their own."""
    command = [sys.executable, "-m", "tests.walks", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def calls() -> list[Figure]:
    """Count the calls of all walks."""
    found = walked("accept") | walked("fault") | walked("header") | walked("option")
    return [
        Figure("calls: accept until ready", found["accept"], 58),
        Figure("calls: accept with a fault", found["faulty accept"], 116),
        Figure("calls: a byte through that fault", found["faulty byte"], 43),
        Figure("calls: the tenth byte to the RST", found["faulty reset"], 147),
        Figure("calls: PROXY header to connection", found["header"], 70),
        Figure("calls: --idle-timeout 60 to settings", found["option"], 40),
    ]


def measured(only: str | None) -> Iterator[Figure]:
    """Yield the figures, each as soon as it is known."""
    yield from structure(texts("tcplab"), texts("tests"))
    if only != "structure" and sys.version_info[:2] == (3, 11):
        yield from calls()


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser("python -m tests.house", description="Measure the house.")
    parser.add_argument("--only", choices=["structure"], help="leave out the calls")
    parser.add_argument("--report", action="store_true", help="end with 0 in any case")
    asked = parser.parse_args()
    print(f"{'':58} {'here':>8} {'at most':>8}")
    broken = False
    for figure in measured(asked.only):
        print(figure)
        broken |= figure.broken
    return int(broken and not asked.report)


if __name__ == "__main__":
    sys.exit(main())
