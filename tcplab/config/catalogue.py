"""The catalogue: the behaviours and faults that can be typed, with their fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING
from textwrap import wrap
from typing import NamedTuple

from tcplab import entrypoints
from tcplab.faults.fault import SIZE_UNITS, TIME_UNITS, ListenerFault
from tcplab.faults.kindlookup import KINDS, SYNONYMS
from tcplab.faults.spec import COMMON_FIELDS, LISTENER_FIELDS, commonFields
from tcplab.wire.escaping import escape
from tcplab.wire.names import BEHAVIOURS, FAULTS, FRAMINGS
from tcplab.wire.suggestion import suggest

#: Columns of a terminal.
_WIDTH = 80
#: Columns in which most fields of one entry find room.
_FIELDS_WIDTH = 28


class Field(NamedTuple):
    """
    A setting of a behaviour, or a field of a fault.

    :ivar name: what is typed before the ``=``.
    :ivar unit: the unit of a bare number, or the values to choose from; empty for any other value.
    :ivar default: its value when it is left out; empty if it is required, or empty by default.
    :ivar summary: its meaning in a few words.
    """

    name: str
    unit: str
    default: str
    summary: str

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name}{unit}" + (f" [{self.default}]" if self.default else "")


class Entry(NamedTuple):
    """
    A behaviour, or a kind of fault.

    :ivar name: what is typed.
    :ivar summary: what it does: a sentence without its full stop.
    :ivar fields: its settings or fields.
    :ivar more: a sentence about the fields that all of its sort have.
    """

    name: str
    summary: str
    fields: tuple[Field, ...]
    more: str = ""


def behaviours() -> list[Entry]:
    """Return the behaviours that have a name; those of installed packages come last."""
    found = entrypoints.registered(entrypoints.BEHAVIOURS)
    return _entries(_behaviour, BEHAVIOURS) + _entries(
        _behaviour, sorted(found.keys() - BEHAVIOURS)
    )


def faults() -> list[Entry]:
    """Return the kinds of fault; those of installed packages come last."""
    return _entries(_fault, KINDS)


def _entries(entry: Callable[[str], Entry], names: Iterable[str]) -> list[Entry]:
    found = []
    for name in names:
        try:
            found.append(entry(name))
        except ValueError as e:  # a package has registered it, and it cannot be loaded
            found.append(Entry(name, f"Not usable: {e}", ()))
    return found


def selectors() -> list[Field]:
    """Return the fields that every fault has: when it begins, and which connections it hits."""
    return [Field(name, "", "", summary) for name, summary in COMMON_FIELDS.items()]


def _behaviour(name: str) -> Entry:
    # The list of faults does without the behaviours.
    from tcplab.config.behaviours import Behaviour
    from tcplab.config.behaviourspec import BehaviourSpec

    behaviour = Behaviour(BehaviourSpec(name))
    summary, texts = _documented(behaviour.served)
    settings = behaviour.settings()
    return Entry(
        name,
        summary,
        tuple(
            Field(key, _unit(key, texts.get(key, "")), _shown(default), texts.get(key, ""))
            for key, default in settings.items()
        ),
    )


def _unit(key: str, text: str) -> str:
    if key == "framing":
        return "|".join(FRAMINGS)
    return (
        {"seconds": "s", "bytes": "B"}.get(text.partition(" ")[0], "") if key != "greeting" else ""
    )


def _shown(default: object) -> str:
    if isinstance(default, bytes):
        return escape(default)
    if isinstance(default, float):
        return f"{default:g}"
    for name, framing in FRAMINGS.items():
        if default is framing:
            return name
    return "" if default is None else str(default)


def _fault(name: str) -> Entry:
    kind = KINDS[name]
    summary, texts = _documented(kind)
    fields = []
    for key, field in kind.named().items():
        default = field.default
        shown = "" if default is MISSING else _shown(default)
        fields.append(Field(key, field.metadata.get("unit", ""), shown, texts.get(key, "")))
    common = ", ".join(commonFields(kind))
    more = f"Also the fields of every fault (see tcplab faults): {common}."
    return Entry(name, summary, tuple(fields), more)


# Docstrings


def _documented(found: object) -> tuple[str, dict[str, str]]:
    """Return the first sentence of a docstring, and the texts of its fields, inherited ones too."""
    texts: dict[str, str] = {}
    for each in inspect.getmro(found) if isinstance(found, type) else (type(found),):
        for name, text in re.findall(
            r"^:[ci]var (\w+): (.*(?:\n[ ]+.*)*)", inspect.cleandoc(each.__doc__ or ""), re.M
        ):
            texts.setdefault(name, _plain(re.sub(r" \((seconds|bytes)\)", "", text)))
    text = inspect.cleandoc(getattr(found, "__doc__", None) or "")
    if isinstance(found, type) and text.startswith(f"{found.__name__}("):
        text = ""  # a dataclass without a docstring has its signature there
    return _plain(_sentence(text)), texts


def _sentence(text: str) -> str:
    """Return the first sentence of a text, without its full stop."""
    return re.split(r"\.(?:\s|$)", text, maxsplit=1)[0]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"``?", "", text).split())


# The tables that are printed


def behaviourTable() -> str:
    """Return the text of ``tcplab behaviours``."""
    entries = behaviours()
    # What echo has, which sends no greeting, is what every conversation has.
    common = next(entry.fields for entry in entries if entry.name == "echo")
    shared = {field.name for field in common}
    own = [
        entry._replace(fields=tuple(f for f in entry.fields if f.name not in shared))
        for entry in entries
    ]
    return _text(
        *_table(own),
        "",
        "Every behaviour also has:",
        *_list(common),
        "",
        "A behaviour is written NAME[,key=value...]: --behaviour echo,framing=lines.",
        "Defaults stand in brackets. A Protocol or a Factory of yours is a behaviour too:"
        " package.module.Name.",
    )


def faultTable() -> str:
    """Return the text of ``tcplab faults``."""
    kinds = [name for name in FAULTS if issubclass(KINDS[name], ListenerFault)]
    return _text(
        *_table(faults()),
        "",
        f"Every fault also has these ({' and '.join(kinds)} only {' and '.join(LISTENER_FIELDS)}):",
        *_list(selectors()),
        "",
        "A fault is written KIND[,field=value...][@LISTENER]: latency,100,conn=1-2.",
        "The first field may go without its name. Defaults stand in brackets. A bare number has"
        " the unit that is shown; other units are written out, as in 2s.",
        f"Times: {TIME_UNITS}. Sizes: {SIZE_UNITS}.",
    )


def detail(entries: list[Entry], name: str) -> str:
    """
    Return the text of ``tcplab faults latency``: one entry, with the meaning of each field.

    :raises ValueError: there is no such entry; the text is one line.
    """
    found = {entry.name: entry for entry in entries}
    if name not in found:
        raise ValueError(f"there is no {name!r}{suggest(name, found, SYNONYMS)}")
    entry = found[name]
    fields = [field for field in entry.fields if field.name != "framing"]
    width = max((len(str(field)) for field in fields), default=0) + 4
    return _text(
        f"{name}: {entry.summary}.",
        *(
            line
            for field in fields
            for line in wrap(
                field.summary.replace("**", ""),
                _WIDTH,
                initial_indent=f"  {field!s:{width - 2}}",
                subsequent_indent=" " * width,
            )
        ),
        *wrap(entry.more, _WIDTH),
    )


def _table(entries: list[Entry]) -> Iterator[str]:
    name = max(len(entry.name) for entry in entries)
    fields = [", ".join(map(str, entry.fields)) for entry in entries]
    # A longer list of fields leaves less room for the summary.
    width = max((len(each) for each in fields if len(each) <= _FIELDS_WIDTH), default=0)
    if fields.count("") > len(fields) / 2:
        width = 0
    for entry, each in zip(entries, fields, strict=True):
        begin = f"{entry.name:{name}}  " + (f"{each:{width}}  " if each or width else "")
        yield (begin + _cut(entry.summary, _WIDTH - len(begin))).rstrip()


def _list(fields: Iterable[Field]) -> Iterator[str]:
    for field in fields:
        yield _cut(f"  {field.name:14}{_meaning(field)}", _WIDTH)


def _meaning(field: Field) -> str:
    words = field.unit.replace("|", ", ") if "|" in field.unit else _sentence(field.summary)
    return words + (f" [{field.default}]" if field.default else "")


def _cut(text: str, width: int) -> str:
    """Return a sentence, or the part of it that fits."""
    if len(text) <= width:
        return text
    parts = [found.start() for found in re.finditer(r"[,:;.] | \(", text) if found.start() <= width]
    return text[: parts[-1]] if parts else text[: width - 3].rstrip() + "..."


def _text(*paragraphs: str) -> str:
    lines = (
        line
        for each in paragraphs
        for line in ([each] if len(each) <= _WIDTH else wrap(each, _WIDTH, break_on_hyphens=False))
    )
    return "\n".join(lines) + "\n"
