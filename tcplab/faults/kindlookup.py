"""The class of a kind of fault, by the name that is typed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from importlib import import_module

from tcplab import entrypoints
from tcplab.faults.fault import Fault, ListenerFault
from tcplab.importing import ImportFailed, importName
from tcplab.wire.keyvalue import split
from tcplab.wire.names import FAULTS
from tcplab.wire.suggestion import suggest


class _Kinds(Mapping[str, type[Fault]]):
    # Built-in names first, then those that packages register, then package.module.Name.
    def __getitem__(self, name: str) -> type[Fault]:
        if name in FAULTS:
            package, _, className = FAULTS[name].rpartition(".")
            kind: type[Fault] = getattr(import_module(package), className)
            return kind
        if found := entrypoints.registered(entrypoints.FAULTS).get(name):
            return _checked(name, found.load(), name)
        if "." in name:
            return _checked(name, importName(name))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from FAULTS
        yield from (
            each for each in entrypoints.registered(entrypoints.FAULTS) if each not in FAULTS
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


#: The class of each kind of fault, by the name that is typed; loaded when it is looked up. A user's
#: class has the name that a package registers, or its dotted name.
KINDS: Mapping[str, type[Fault]] = _Kinds()


#: Other words for the kinds of fault: the hint names the kind, or those that a wide word may mean.
SYNONYMS = {
    "slow": "latency, bandwidth or slicer",
    "drop": "timeout, limit_data, reset_peer or hang",
    **dict.fromkeys(("delay", "lag", "late", "wait", "sleep"), "latency"),
    **dict.fromkeys(("throttle", "rate", "ratelimit", "limit"), "bandwidth"),
    **dict.fromkeys(("slice", "split", "fragment", "chunk", "segment"), "slicer"),
    **dict.fromkeys(("cut", "truncate", "partial", "short"), "limit_data"),
    **dict.fromkeys(("loss", "blackhole", "silence", "silent", "mute"), "timeout"),
    **dict.fromkeys(("reset", "rst", "abort", "kill"), "reset_peer"),
    **dict.fromkeys(("fin", "shutdown"), "half_close"),
    **dict.fromkeys(("pause", "freeze", "block", "zerowindow", "window"), "stall"),
    **dict.fromkeys(("flip", "bitflip", "garble", "mangle", "noise"), "corrupt"),
    **dict.fromkeys(("reject", "deny", "closed", "down"), "refuse"),
    **dict.fromkeys(("syn", "connecttimeout", "unreachable"), "hang"),
}


def unknownKind(name: str) -> str:
    """Describe in one line that there is no such kind of fault, and what was probably meant."""
    key, equals, value = split(name, "=")
    if equals and key in KINDS and KINDS[key].named():
        first = next(iter(KINDS[key].named()))
        return f"{name!r} names no field: write {key},{first}={value} or {key},{value}"
    hint = suggest(key, KINDS, SYNONYMS)
    return f"there is no fault {name!r}{hint}; the faults are {', '.join(KINDS)}"


def _checked(name: str, found: object, kind: str = "") -> type[Fault]:
    if not (isinstance(found, type) and issubclass(found, Fault)):
        raise ImportFailed(f"{name} is no fault: derive the class from tcplab.faults.Fault")
    if problem := _problem(found, kind):
        raise ImportFailed(f"{name} cannot be used: {problem}")
    return found


def _problem(found: type[Fault], kind: str) -> str:
    own = vars(found)
    if "stage" not in own and found.stage is Fault.stage and not issubclass(found, ListenerFault):
        return "it has no stage(): define one"
    if any(isinstance(each, dataclasses.Field) for each in own.values()):
        return "its fields need @dataclass(frozen=True) above the class"
    for each in found.named().values():
        if "read" not in each.metadata:
            return f"{each.name} cannot be typed: declare it with timeField() or its like"
    named = getattr(found, "kind", "")
    if not (isinstance(named, str) and named.isidentifier()):
        return 'it has no name for the log: give it one word, as in kind = "drip"'
    if kind not in ("", named):
        return f"it is registered as {kind}, and has kind = {named!r}: make them the same"
    return ""
