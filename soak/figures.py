"""Figures: what is asked, what was measured, and whether that is met."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class Verdict(Enum):
    """What became of a figure."""

    MET = "met"
    MISSED = "NOT MET"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Row:
    """
    A row of the table.

    :ivar case: its number in the matrix.
    :ivar done: what was done, with the amounts that really were.
    :ivar badness: how near to the bound, or how far beyond it; only compared.
    """

    case: int
    done: str
    asked: str
    measured: str
    verdict: Verdict
    badness: float = 0.0


@dataclass(frozen=True)
class Figure:
    """
    A number and its bound.

    :ivar name: of what.
    :ivar least: it must be at least the bound; otherwise at most.
    :ivar words: how the bound and the value are told, where numbers are not enough.
    """

    name: str
    value: float
    bound: float
    unit: str = ""
    least: bool = False
    words: tuple[str, str] | None = None

    @property
    def met(self) -> bool:
        """Whether it is good enough."""
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def asked(self) -> str:
        """Tell what is asked."""
        if self.words is not None:
            return self.name + self.words[0]
        sign = "\N{GREATER-THAN OR EQUAL TO}" if self.least else "\N{LESS-THAN OR EQUAL TO}"
        how = "" if self.bound == 0 and not self.least else f"{sign} "
        return f"{self.name}: {how}{told(self.bound, self.unit)}"

    @property
    def measured(self) -> str:
        """Tell what was measured."""
        return told(self.value, self.unit) if self.words is None else self.words[1]

    def row(self, case: int, done: str) -> Row:
        """Make a row of it."""
        verdict = Verdict.MET if self.met else Verdict.MISSED
        bad = self.bound - self.value if self.least else self.value - self.bound
        return Row(case, done, self.asked, self.measured, verdict, bad)


def none(name: str, value: float) -> Figure:
    """Ask for not a single one."""
    return Figure(name, value, 0)


def atMost(name: str, value: float, bound: float, unit: str = "") -> Figure:
    """Ask for no more than the bound."""
    return Figure(name, value, bound, unit)


def atLeast(name: str, value: float, bound: float, unit: str = "") -> Figure:
    """Ask for no less than the bound."""
    return Figure(name, value, bound, unit, least=True)


def every(name: str, value: float, number: float) -> Figure:
    """Ask for all of them."""
    return Figure(name, value, number, least=True, words=(f": all {told(number)}", told(value)))


def holds(name: str, value: bool) -> Figure:
    """Ask for something to be so."""
    return Figure(name, value, True, least=True, words=("", "yes" if value else "no"))


def told(value: float, unit: str = "") -> str:
    """Write a number as people do, with its unit."""
    if value == float("inf"):
        return "never"
    if float(value).is_integer():
        text = f"{int(value):,}"
    else:
        text = f"{value:.{1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3}f}"
    return f"{text} {unit}".rstrip()


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that so many percent are not above; infinite of none."""
    ordered = sorted(values)
    if not ordered:
        return float("inf")
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def worst(rounds: list[list[Row]]) -> list[Row]:
    """Return, of several rounds of one case, the worst of each row."""
    order = (Verdict.MET, Verdict.SKIPPED, Verdict.MISSED, Verdict.FAILED)
    found: dict[tuple[str, int], Row] = {}
    for key, row in (pair for rows in rounds for pair in _named(rows)):
        old = found.get(key)
        if old is None or (order.index(old.verdict), old.badness) < (
            order.index(row.verdict),
            row.badness,
        ):
            found[key] = row
    return list(found.values())


def _named(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, int], Row]]:
    # By what is asked, and not by how much was done, which a round may have done less of: of those
    # that are alike but for numbers, each by its turn.
    turns: Counter[str] = Counter()
    for row in rows:
        name = row.asked.partition(":")[0] + re.sub(r"[0-9.,]+", "", row.done)
        turns[name] += 1
        yield (name, turns[name]), row
