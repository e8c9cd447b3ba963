"""A fault that is ordered: where it acts, when it begins, and which connections it hits."""

from __future__ import annotations

from dataclasses import dataclass

from tcplab.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Trigger:
    """
    When a fault begins, and how long it lasts.

    :ivar afterBytes: bytes that pass in its direction before.
    :ivar afterSeconds: time that passes before.
    :ivar match: it begins behind these bytes, even if they come in pieces.
    :ivar duration: seconds; ``None``: for good.
    """

    afterBytes: int | None = None
    afterSeconds: float | None = None
    match: bytes = b""
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which connections a fault hits; each is counted from 1 since the fault was added.

    :ivar first: of a range.
    :ivar last: of a range; ``None``: it has no end.
    :ivar every: each so-many-th; 0: not chosen so.
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
        """Tell whether this connection is meant; ``None`` was there before the fault was."""
        if number is None:
            return not self.counts
        if self.every:
            return number % self.every == 0
        return self.first <= number and (self.last is None or number <= self.last)


_AT_ONCE = Trigger()
_ALL = Selection()


class FaultError(ValueError):
    """What was typed is no fault; the text is one line that says what to type."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """
    A fault, and where, when and for whom.

    :ivar fault: what goes wrong.
    :ivar direction: ``downstream`` (towards the client), ``upstream``, ``both``; ``None``: as the
        fault has it.
    :ivar trigger: when it begins, and for how long.
    :ivar selection: which connections it hits.
    :ivar listener: the only listener whose connections it hits; ``None``: all.
    :ivar text: the whole of it, as it was typed.
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
        """Return the directions it acts on; ``reading`` is the one in which our side reads."""
        chosen = self.direction
        if chosen is None:
            chosen = reading if self.fault.readingSide else "downstream"
        return ("downstream", "upstream") if chosen == "both" else (chosen,)
