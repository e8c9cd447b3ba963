"""What a fault is, where it acts, when it begins, and which connections it hits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, replace
from functools import partial
from typing import TypeVar

from tcplab.faults.fault import Fault, ListenerFault, isTime, seconds, size
from tcplab.faults.kindlookup import KINDS, unknownKind
from tcplab.importing import ImportFailed, describeImportError
from tcplab.wire.escaping import unescape
from tcplab.wire.keyvalue import (
    GivenTwice,
    NotKeyValue,
    lengthProblem,
    readArguments,
    split,
    unescapeSeparators,
)
from tcplab.wire.suggestion import suggest


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    When a fault begins, and how long it lasts.

    :ivar afterBytes: the number of bytes of its direction that pass before.
    :ivar afterSeconds: the seconds that pass before.
    :ivar match: the bytes behind which it begins, in however many chunks they arrive.
    :ivar duration: its seconds; ``None``: without end.
    """

    afterBytes: int | None = None
    afterSeconds: float | None = None
    match: bytes = b""
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which connections a fault hits; they are counted from 1 since the fault was added.

    :ivar first: the first of a range.
    :ivar last: the last of a range; ``None``: the range has no end.
    :ivar every: each connection whose number is a multiple of this; 0: a range.
    :ivar probability: from 0 to 1, drawn once for each connection.
    :ivar onData: a connection is counted, and hit, at the first byte that it receives.
    """

    first: int = 1
    last: int | None = None
    every: int = 0
    probability: float = 1.0
    onData: bool = False

    @property
    def counts(self) -> bool:
        """Whether connections have to be counted."""
        return self.first > 1 or self.last is not None or self.every > 0

    def includes(self, number: int | None) -> bool:
        """Tell whether a number is selected; ``None``: the connection is older than the fault."""
        if number is None:
            return not self.counts
        if self.every:
            return number % self.every == 0
        return self.first <= number and (self.last is None or number <= self.last)


_AT_ONCE = Trigger()
_ALL = Selection()


class FaultError(ValueError):
    """A text is not a fault; the error's text is one line with what to type."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """
    A fault, with where it acts, when, and on which connections.

    :ivar fault: what goes wrong.
    :ivar direction: ``downstream`` (towards the client), ``upstream``, ``both``; ``None``: the
        fault's own.
    :ivar trigger: when it begins, and for how long.
    :ivar selection: which connections it hits.
    :ivar listener: the only listener on which it acts; ``None``: all.
    :ivar text: the text that was typed.
    """

    fault: Fault
    direction: str | None = None
    trigger: Trigger = _AT_ONCE
    selection: Selection = _ALL
    listener: str | None = None
    text: str = ""

    @property
    def rolls(self) -> bool:
        """Whether random numbers are drawn for it."""
        return self.fault.rolls or 0 < self.selection.probability < 1

    def directions(self, reading: str) -> tuple[str, ...]:
        """Return the directions on which it acts; ``reading`` is the one that our side reads."""
        chosen = self.direction
        if chosen is None:
            chosen = reading if self.fault.readingSide else "downstream"
        return ("downstream", "upstream") if chosen == "both" else (chosen,)


_Value = TypeVar("_Value")


_CONN = re.compile("([1-9][0-9]{0,8})(-)?([1-9][0-9]{0,8})?|%([1-9][0-9]{0,8})")


def readConn(text: str) -> Selection:
    """
    Read ``3``, ``1-2``, ``4-`` or ``%3``.

    :raises ValueError: the text is none of these.
    """
    found = _CONN.fullmatch(text)
    if found is None or (found[3] and not found[2]):
        raise ValueError("give 3, 1-2, 4- or %3 (every third)")
    if found[4]:
        return Selection(every=int(found[4]))
    first = int(found[1])
    last = int(found[3]) if found[3] else None if found[2] else first
    if last is not None and last < first:
        raise ValueError(f"give the smaller number first, {last}-{first}")
    return Selection(first, last)


def readProbability(text: str) -> float:
    """
    Read a number from 0 to 1.

    :raises ValueError: the text is not such a number.
    """
    if not re.fullmatch(r"[01]|0?\.[0-9]{1,12}|[01]\.0+", text) or float(text) > 1:
        raise ValueError("give a number from 0 to 1, as in 0.1")
    return float(text)


DIRECTIONS = ("downstream", "upstream", "both")


def parseFault(text: str) -> FaultSpec:
    """
    Read ``KIND[,key=value…][@LISTENER]``; a value may have ``\\,`` ``\\@`` and ``\\=`` in it.

    The key of the kind's first field may be left out, if that field is given first:
    ``latency,100ms``.

    :raises FaultError: the text is not a fault.
    """
    problem = lengthProblem(text)
    if problem:
        raise FaultError(f"fault {problem}")
    words, at, listener = split(text, "@")
    if at and not listener:
        raise FaultError(f"fault {text!r}: there is no listener after the @: name one, as in @echo")
    name, comma, rest = split(words, ",")
    try:
        kind = KINDS.get(name)
    except ImportFailed as e:
        raise FaultError(f"fault {text!r}: {e}") from None
    if kind is None:
        raise FaultError(f"fault {text!r}: {unknownKind(name)}")
    typed = _typed(text, kind, rest) if comma else {}
    return _made(text, kind, typed, listener or None)


def _typed(text: str, kind: type[Fault], rest: str) -> dict[str, str]:
    own = kind.named()
    first = split(rest, ",")[0]
    if own and first and not split(first, "=")[1] and first not in (*own, *COMMON_FIELDS):
        rest = f"{next(iter(own))}={rest}"
    try:
        return readArguments(rest, lambda key: key if re.fullmatch(r"[^\W\d]\w*", key) else "")
    except (NotKeyValue, GivenTwice) as e:
        raise FaultError(f"fault {text!r}: {e}") from None


# What any fault may have: how it is read into a trigger, a selection and a direction.


def _direction(value: str) -> str:
    if value not in DIRECTIONS:
        raise ValueError(f"give {', '.join(DIRECTIONS[:-1])} or {DIRECTIONS[-1]}")
    return value


def _after(trigger: Trigger, value: str) -> Trigger:
    if isTime(value):
        return replace(trigger, afterSeconds=seconds(value))
    try:
        return replace(trigger, afterBytes=size(value))
    except ValueError:
        raise ValueError("give bytes or a time with its unit, as in 10B or 250ms") from None


def _match(trigger: Trigger, value: str) -> Trigger:
    if not value:
        raise ValueError("give the text that it begins behind")
    return replace(trigger, match=unescape(value))


def _for(trigger: Trigger, value: str) -> Trigger:
    duration = seconds(value)
    if not duration:
        raise ValueError("give more than 0")
    return replace(trigger, duration=duration)


def _conn(selection: Selection, value: str) -> Selection:
    found = readConn(value)
    return replace(selection, first=found.first, last=found.last, every=found.every)


def _probability(selection: Selection, value: str) -> Selection:
    return replace(selection, probability=readProbability(value))


def _count(selection: Selection, value: str) -> Selection:
    if value not in ("accept", "data"):
        raise ValueError("give accept or data")
    return replace(selection, onData=value == "data")


#: The fields that any fault may have, and what they mean.
COMMON_FIELDS = {
    "after": "begin after some bytes, as in 10B, or after a time, as in 250ms",
    "match": "begin behind this text, however it is cut into segments",
    "for": "last for this time, as in 2s, then end",
    "conn": "only these connections, counted from 1: 3, 1-2, 4- or %3",
    "count": "accept, or data: count connections, and hit them, at their first byte [accept]",
    "probability": "only this part of the connections, at random: 0 to 1",
    "direction": "downstream (to the client), upstream or both",
}

_TRIGGERS = {"after": _after, "match": _match, "for": _for}
_SELECTIONS = {"conn": _conn, "count": _count, "probability": _probability}
#: Those of a `ListenerFault`, which acts before there is a connection.
LISTENER_FIELDS = ("after", "for")


def commonFields(kind: type[Fault]) -> tuple[str, ...]:
    """Return the names of the fields that a kind has besides its own."""
    return LISTENER_FIELDS if issubclass(kind, ListenerFault) else tuple(COMMON_FIELDS)


def _made(text: str, kind: type[Fault], typed: dict[str, str], listener: str | None) -> FaultSpec:
    common = commonFields(kind)
    own = kind.named()
    for key in typed:
        if key not in own and key not in common:
            raise FaultError(f"fault {text!r}: {_unknown(kind, key, common)}")
    trigger, selection, direction = Trigger(), Selection(), None
    values: dict[str, object] = {}
    for key, word in typed.items():
        value = _plain(text, key, word)
        if key in own:
            values[key] = _read(text, key, word, own[key].metadata["read"], value)
        elif key in _TRIGGERS:
            trigger = _read(text, key, word, partial(_TRIGGERS[key], trigger), value)
        elif key in _SELECTIONS:
            selection = _read(text, key, word, partial(_SELECTIONS[key], selection), value)
        else:
            direction = _read(text, key, word, _direction, value)
    fault = _fault(text, kind, values)
    spec = FaultSpec(fault, direction, trigger, selection, listener, text)
    _check(text, spec)
    return spec


# Words for the first field of any kind, which is a time or an amount.
_AMOUNTS = ("delay", "duration", "time", "timeout", "ms", "seconds", "size", "bytes", "rate")


def _unknown(kind: type[Fault], key: str, common: tuple[str, ...]) -> str:
    own = tuple(kind.named())
    if issubclass(kind, ListenerFault) and key in COMMON_FIELDS:
        return (
            f"{key} makes no sense for {kind.kind}, which comes before any connection;"
            f" it has {', '.join(common)}"
        )
    hint = suggest(key, own + common, dict.fromkeys(_AMOUNTS, own[0]) if own else {})
    has = f"it has {', '.join(own)}, and " if own else "it has "
    return f"{kind.kind} has no {key!r}{hint}; {has}{', '.join(common)}"


def _read(text: str, key: str, word: str, read: Callable[[str], _Value], value: str) -> _Value:
    try:
        return read(value)
    except ValueError as e:
        shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in word)
        raise FaultError(f"fault {text!r}: {key}={shown}: {e}") from None


def _fault(text: str, kind: type[Fault], values: dict[str, object]) -> Fault:
    for name, field in kind.named().items():
        if name not in values and field.default is MISSING:
            example = field.metadata.get("example", "")
            advice = f": write {kind.kind},{name}={example}" if example else ""
            raise FaultError(f"fault {text!r}: {kind.kind} needs {name}={advice}")
    try:
        make: Callable[..., Fault] = kind
        return make(**values)
    except ValueError as e:
        raise FaultError(f"fault {text!r}: {e}") from None
    except Exception as e:  # a user's class
        problem = describeImportError(e)
        raise FaultError(f"fault {text!r} cannot be made: {problem}: mend it") from None


def _check(text: str, spec: FaultSpec) -> None:
    trigger = spec.trigger
    if trigger.match and (trigger.afterBytes is not None or trigger.afterSeconds is not None):
        raise FaultError(f"fault {text!r}: after and match are two triggers: give one")
    if trigger.duration is not None and spec.fault.atOnce:
        raise FaultError(f"fault {text!r}: {spec.fault.kind} happens at once: for makes no sense")
    if isinstance(spec.fault, ListenerFault) and trigger.afterBytes is not None:
        raise FaultError(f"fault {text!r}: after is a time here: no byte comes before a connection")


def _plain(text: str, key: str, value: str) -> str:
    try:
        return unescapeSeparators(value)
    except ValueError as e:
        raise FaultError(f"fault {text!r}: {key} {e}") from None
