"""The pages of the project, read for tests: their sections, tables, programs and commands."""

from __future__ import annotations

import re
import textwrap

from tests.support.subprocess_server import ROOT

#: Those of the top, which docutils can read; Sphinx reads them, and the others.
PLAIN = ("README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst", "examples/README.rst")

PAGES = (
    *PLAIN,
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.rst")),
)

_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)


def page(name: str) -> str:
    """Return a page's text."""
    return (ROOT / name).read_text()


def section(text: str, title: str) -> str:
    """Return what stands beneath a title, up to the next of its kind."""
    found = re.search(rf"^{re.escape(title)}\n-+\n(.*?)(?=^[^\n]+\n-{{4,}}$|\Z)", text, re.M | re.S)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def table(text: str, heading: str = "") -> list[list[str]]:
    """
    Return the rows of a table drawn with ``=``, the cells of one row joined over its lines.

    :param heading: where to begin to look.
    """
    lines = text[text.index(heading) :].splitlines()
    rules = [number for number, line in enumerate(lines) if re.fullmatch(r"=+(  +=+)+", line)]
    end = next(number for number in rules[1:] if not "".join(lines[number + 1 : number + 2]))
    columns = [(found.start(), found.end()) for found in re.finditer("=+", lines[rules[0]])]
    columns[-1] = (columns[-1][0], 1000)
    rows: list[list[str]] = []
    for line in lines[max(number for number in rules if number < end) + 1 : end]:
        cells = [line[first:last].strip() for first, last in columns]
        if cells[0] and line[0] != " ":
            rows.append(cells)
        else:
            rows[-1] = [
                f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)
            ]
    return rows


def literals(text: str) -> list[str]:
    """Return what stands in double backquotes."""
    return [" ".join(found.split()) for found in _LITERAL.findall(text)]


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the blocks of code, each behind the name of its language."""
    found = re.findall(r"^( *)\.\. code-block:: (\w+)\n\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE)
    return [(language, textwrap.dedent(block)) for _, language, block in found]


def programs(text: str) -> list[str]:
    """Return the blocks of Python."""
    return [block for language, block in blocks(text) if language == "python"]


def terminals(text: str) -> list[list[str]]:
    """Return the commands of each block: lines that begin with a prompt, one after another."""
    blocks = re.findall(r"(?:^ +\$ .*\n)+", text, re.MULTILINE)
    return [re.findall(r"^ +\$ (.*)$", block, re.MULTILINE) for block in blocks]


def simple(command: str) -> list[str]:
    """Divide a line into simple commands, each without the folder of the virtual environment."""
    return [re.sub(r"^\.venv/bin/", "", each) for each in re.split(r" && | \| ", command)]
