"""A fault: a value that says what goes wrong, not where, when, or to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from typing import Any, ClassVar

from tcplab.policies.faults.stage import Hands, Stage
from tcplab.policies.faults.units import seconds, size


def reads(read: Callable[[str], Any], default: Any = MISSING) -> Any:
    """Declare a field of a fault: how it is read from text, and its default, if it has one."""
    return field(default=default, metadata={"read": read})


def time(bare: str | None = None, default: Any = MISSING) -> Any:
    """Declare a field of seconds; ``bare`` is the unit of a typed number that has none."""
    return reads(partial(seconds, bare=bare), default)


def amount(bare: str | None = None, default: Any = MISSING) -> Any:
    """Declare a field of bytes."""
    return reads(partial(size, bare=bare), default)


def _ending(text: str) -> str:
    if text not in ("fin", "reset"):
        raise ValueError("give fin or reset")
    return text


def ending() -> Any:
    """Declare the field that says how a connection ends."""
    return reads(_ending, "fin")


@dataclass(frozen=True)
class Fault:
    """
    What all faults have in common.

    Times are seconds and amounts bytes here, whatever unit was typed.

    :cvar kind: its name.
    :cvar atOnce: it happens in a moment and can't be taken back: it can't last.
    :cvar readingSide: unless said otherwise it acts on what we read, not on what goes downstream.
    """

    kind: ClassVar[str]
    atOnce: ClassVar[bool] = False
    readingSide: ClassVar[bool] = False

    def stage(self, hands: Hands) -> Stage:
        """Make what acts on one direction of one connection."""
        raise NotImplementedError

    @property
    def rolls(self) -> bool:
        """Whether it rolls dice."""
        return False

    @property
    def endless(self) -> bool:
        """Whether it keeps a connection for ever, unless something ends it."""
        return False

    @classmethod
    def named(cls) -> dict[str, Field[Any]]:
        """Return its fields."""
        return {each.name: each for each in fields(cls)}
