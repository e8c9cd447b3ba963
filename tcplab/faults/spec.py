"""What a fault is, where it acts, when it begins, and which connections it hits."""

from __future__ import annotations

from dataclasses import dataclass

from tcplab.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    When a fault begins, and how long it lasts.

    :ivar afterBytes: the number of bytes of its direction that pass before.
    :ivar afterSeconds: the seconds that pass before.
    :ivar match: the bytes behind which it begins, in however many chunks they arrive.
    :ivar duration: its seconds; ``None``: for ever.
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
    :ivar every: one of so many, in place of a range; 0: a range.
    :ivar probability: from 0 to 1, rolled once for each connection.
    """

    first: int = 1
    last: int | None = None
    every: int = 0
    probability: float = 1.0

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
    """A text is no fault; the error's text is one line that says what to type."""


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
        """Whether dice are rolled for it."""
        return self.fault.rolls or 0 < self.selection.probability < 1

    def directions(self, reading: str) -> tuple[str, ...]:
        """Return the directions on which it acts; ``reading`` is the one that our side reads."""
        chosen = self.direction
        if chosen is None:
            chosen = reading if self.fault.readingSide else "downstream"
        return ("downstream", "upstream") if chosen == "both" else (chosen,)
