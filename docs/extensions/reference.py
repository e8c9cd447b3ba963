"""
Directives that write parts of the reference from the code.

- ``behaviours``, ``faults``: a table of all, each with its heading on the same page.
- ``behaviour NAME``, ``fault NAME``: its summary, and a table of its own settings or fields.
- ``settings``: those that every behaviour has. ``selectors``: those that every fault has.
- ``options NAME ...``: options of the server, by the names of their fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tcplab.config.catalogue import Entry, Field, behaviours, faults, selectors
from tcplab.config.options import OPTIONS, SOURCES
from tcplab.faults.kindlookup import KINDS
from tcplab.wire.names import BEHAVIOURS, FAULTS

#: What is typed behind an option, where that is not the last word of its name.
_VALUES = {
    "behaviour": "SPEC",
    "serve": "SPEC@ENDPOINT",
    "faults": "KIND[,field=value...][@LISTENER]",
    "greeting": "TEXT",
    "interface": "ADDRESS",
    "maxConnections": "N",
    "maxPerPeer": "N",
    "proxyFrom": "CIDR",
    "proxyProtocol": "v1|v2|any",
    "seed": "N",
    "workers": "N",
    "logFormat": "text|json",
    "config": "FILE",
    "observerNames": "NAME",
    "portFile": "FILE",
    "logFile": "FILE",
}


def row(*cells: str) -> Iterator[str]:
    """Yield the lines of one row of a ``list-table``."""
    for number, cell in enumerate(cells):
        yield f"   {'*' if number == 0 else ' '} - {cell}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table."""
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: auto", "")
    yield from row(*head)
    for each in rows:
        yield from row(*each)
    yield ""


def sentence(text: str) -> str:
    """Make a sentence of a summary; names in it stand as code."""
    text = re.sub(r"(?<![\w`])(\w+(?:Timeout|Unsent)|\w+=)(?![\w`])", r"``\1``", text)
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".") if text else ""


def literal(text: str) -> str:
    """Show a text as code."""
    return f"``{text}``" if text else ""


def unit(field: Field) -> str:
    """Show what a value is."""
    if "|" in field.unit:
        return ", ".join(map(literal, field.unit.split("|")))
    return field.unit.replace("-", " to ")


def fieldTable(fields: Iterable[Field], what: str, required: Iterable[str] = ()) -> Iterator[str]:
    """Yield a table of settings or fields."""
    rows = [
        (
            literal(each.name),
            unit(each),
            "required" if each.name in required else literal(each.default),
            sentence(each.summary),
        )
        for each in fields
    ]
    shown = [0, *(column for column in (1, 2, 3) if any(each[column] for each in rows))]
    head = (what, "unit or words", "default", "meaning")
    return table(
        [head[column] for column in shown], [[each[column] for column in shown] for each in rows]
    )


def index(kind: str, entries: Iterable[Entry], known: Iterable[str]) -> Iterator[str]:
    """Yield a table of all that are no package's, each with a link to its heading."""
    rows = [
        (f":ref:`{each.name} <{kind}-{each.name}>`", sentence(each.summary))
        for each in entries
        if each.name in known
    ]
    return table((kind, "what it does"), rows)


class Generated(SphinxDirective):
    """A directive whose lines are written here."""

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Return what the lines mean. Each build reads the page again: code changes."""
        self.env.note_reread()
        return self.parse_text_to_nodes("\n".join(self.lines()))


class Behaviours(Generated):
    """All behaviours."""

    def lines(self) -> Iterator[str]:
        return index("behaviour", behaviours(), BEHAVIOURS)


class Faults(Generated):
    """All faults."""

    def lines(self) -> Iterator[str]:
        return index("fault", faults(), FAULTS)


class Named(Generated):
    """One of those that have a name."""

    required_arguments = 1

    def entry(self, entries: Iterable[Entry]) -> Entry:
        """Return the one that is meant."""
        for each in entries:
            if each.name == self.arguments[0]:
                return each
        raise self.error(f"there is no {self.name} {self.arguments[0]!r}")


class Behaviour(Named):
    """One behaviour."""

    def lines(self) -> Iterator[str]:
        entry = self.entry(behaviours())
        common = self.common()
        own = [each for each in entry.fields if each not in common]
        yield from (sentence(entry.summary), "")
        if own:
            yield from fieldTable(own, "setting")

    @staticmethod
    def common() -> tuple[Field, ...]:
        """Return the settings that every behaviour has, with the usual defaults."""
        return next(each.fields for each in behaviours() if each.name == "echo")


class Settings(Generated):
    """The settings of every behaviour."""

    def lines(self) -> Iterator[str]:
        return fieldTable(Behaviour.common(), "setting")


class Fault(Named):
    """One fault."""

    def lines(self) -> Iterator[str]:
        entry = self.entry(faults())
        named = KINDS[entry.name].named()
        yield from (sentence(entry.summary), "")
        if entry.fields:
            required = [name for name, field in named.items() if field.default is MISSING]
            yield from fieldTable(entry.fields, "field", required)


class Selectors(Generated):
    """The fields of every fault."""

    def lines(self) -> Iterator[str]:
        return fieldTable(selectors(), "field")


class Options(Generated):
    """Some options of the server."""

    required_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> Iterator[str]:
        known = {**SOURCES, **OPTIONS}
        for name in self.arguments[0].split():
            if name not in known:
                raise self.error(f"there is no option {name!r}")
            option = known[name]
            seconds = name.endswith(("Timeout", "Delay"))
            value = _VALUES.get(name, "SECONDS" if seconds else name.upper())
            flags = [f"{option.flag} {value}"]
            if option.letter:
                flags.insert(0, f"-{option.letter} {value}")
            yield from (f".. option:: {', '.join(flags)}", "", f"   {shown(option.text)}", "")


def shown(text: str) -> str:
    """Show a help text; what is typed in it stands as code."""
    typed = r"(?<![\w`-])(--[a-z][\w-]*|[\w\[\],.=]*@[\w:\[\]]+)"
    return re.sub(typed, r"``\1``", text.replace("\\", "\\\\"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for directive in (Behaviours, Behaviour, Settings, Faults, Fault, Selectors, Options):
        app.add_directive(directive.__name__.lower(), directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
