"""The recipes of CONTRIBUTING: sections that say how to add a part in five minutes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.support.rst_pages import page, section, terminals

PAGE = page("CONTRIBUTING.rst")

_BLOCK = re.compile(r"^( *)\.\. code-block:: (\w+)\n\n((?:\1 +.*\n|\n)+)", re.M)
_FILE = re.compile(r"``([\w/]+\.(?:py|tac))``")


class Recipe:
    """One section of the page: its new files, its changes, and the commands to try it."""

    def __init__(self, kind: str) -> None:
        text = section(PAGE, f"A new {kind} in five minutes")
        self.commands = [command for each in terminals(text) for command in each]
        self.files: dict[str, str] = {}
        self.changes: list[tuple[str, str, str]] = []
        for found in _BLOCK.finditer(text):
            block = textwrap.dedent(found[3]).rstrip() + "\n"
            if found[2] == "diff":
                self.changes += _changes(block)
            else:
                self.files[_FILE.findall(text[: found.start()])[-1]] = block

    def apply(self, folder: Path) -> None:
        """
        Do what the section says.

        :raises AssertionError: a change fits nowhere, or in several places.
        """
        for name, text in self.files.items():
            assert not (folder / name).exists(), f"{name} is there already"
            (folder / name).write_text(text)
        for name, old, new in self.changes:
            text = (folder / name).read_text()
            assert text.count(old) == 1, f"{name} has {text.count(old)} times:\n{old}"
            (folder / name).write_text(text.replace(old, new))

    def names(self) -> set[str]:
        """Return the files that it makes or changes."""
        return {*self.files, *(name for name, _, _ in self.changes)}


def _changes(block: str) -> Iterator[tuple[str, str, str]]:
    """Yield the changes of a diff: a file, its lines, and those that replace them."""
    for part in re.split(r"^--- ", block, flags=re.M)[1:]:
        name, _, hunks = part.partition("\n")
        for hunk in re.split(r"^@@\n", hunks, flags=re.M):
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] == " ")
            yield name, "\n" + old, "\n" + "".join(line[1:] for line in lines)


RECIPES = {kind: Recipe(kind) for kind in ("behaviour", "fault", "policy", "option", "observer")}
