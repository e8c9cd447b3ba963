"""Medians and spreads of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

#: More than this of a core used by other programs marks a round.
FOREIGN = 0.10
#: A generator that uses more than this of its core may be what was measured.
BUSY = 0.95


@dataclass(frozen=True)
class Spread:
    """A median, never without the least and the greatest."""

    median: float
    low: float
    high: float

    def told(self, scale: float = 1.0) -> str:
        """Tell it in units of ``scale``."""
        middle, low, high = (_three(each / scale) for each in (self.median, self.low, self.high))
        return f"{middle} ({low}\N{EN DASH}{high})"


def _three(value: float) -> str:
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def spread(values: list[float]) -> Spread | None:
    """Return the spread of some values; ``None`` of none."""
    return Spread(median(values), min(values), max(values)) if values else None


class Figures:
    """
    Results, asked for by load and contender.

    :param results: what ``latest.json`` has.
    """

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results
        self.baseline: str = results["baseline"]
        self.contenders: dict[str, str] = results["contenders"]
        self.loads: dict[str, dict[str, str]] = results["loads"]
        self._rounds = {
            (each["load"], each["contender"], each["round"]): each for each in results["measured"]
        }

    def _of(self, load: str, contender: str) -> dict[int, dict[str, Any]]:
        return {
            number: figures
            for (each, who, number), figures in self._rounds.items()
            if (each, who) == (load, contender) and "failed" not in figures
        }

    def of(self, load: str, contender: str, what: str = "rate") -> Spread | None:
        """Return a figure over the rounds."""
        rounds = self._of(load, contender).values()
        return spread([each[what] for each in rounds if what in each])

    def ratio(self, load: str, contender: str) -> Spread | None:
        """Return the ratio to the baseline in the same round; ``None`` for memory."""
        if self.loads[load]["kind"] == "idle":
            return None
        base = self._of(load, self.baseline)
        return spread(
            [
                figures["rate"] / base[number]["rate"]
                for number, figures in self._of(load, contender).items()
                if number in base
            ]
        )

    def marks(self, load: str, contender: str) -> str:
        """Return ``*`` if other programs used a core, ``+`` if the generator was at its limit."""
        rounds = self._of(load, contender).values()
        foreign = any(each.get("foreign", 0) > FOREIGN for each in rounds)
        busy = any(each.get("generator", 0) > BUSY for each in rounds)
        return "*" * foreign + "+" * busy

    def failures(self) -> list[str]:
        """Return a line for each measurement that could not be made."""
        return [
            f"{self.contenders[each['contender']]}, {self.loads[each['load']]['title']},"
            f" round {each['round'] + 1}: {each['failed']}"
            for each in self._rounds.values()
            if "failed" in each
        ]
