"""Whom a fault hits: which connections, and with what probability."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONN = re.compile("([1-9][0-9]{0,8})(-)?([1-9][0-9]{0,8})?|%([1-9][0-9]{0,8})")


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


def readConn(text: str) -> dict[str, int | None]:
    """
    Read ``3``, ``1-2``, ``4-`` or ``%3``.

    :return: the fields of a `Selection`.
    :raises ValueError: it is none of these.
    """
    found = _CONN.fullmatch(text)
    if found is None or (found[3] and not found[2]):
        raise ValueError("give 3, 1-2, 4- or %3 (every third)")
    if found[4]:
        return {"every": int(found[4])}
    first = int(found[1])
    last = int(found[3]) if found[3] else None if found[2] else first
    if last is not None and last < first:
        raise ValueError(f"give the smaller number first, {last}-{first}")
    return {"first": first, "last": last}


def readProbability(text: str) -> float:
    """
    Read a number from 0 to 1.

    :raises ValueError: it is none.
    """
    if not re.fullmatch(r"[01]|0?\.[0-9]{1,12}|[01]\.0+", text) or float(text) > 1:
        raise ValueError("give a number from 0 to 1, as in 0.1")
    return float(text)
