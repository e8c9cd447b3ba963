"""How much is done: to see that it works, what a coffee break allows, or the matrix's own."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Scale(Enum):
    """Which of the three amounts."""

    QUICK = "quick"
    USUAL = "usual"
    LONG = "long"


@dataclass(frozen=True)
class Amount:
    """
    A number for each scale.

    :ivar long: what the matrix asks for.
    """

    quick: float
    usual: float
    long: float

    def at(self, scale: Scale) -> float:
        """Return the number."""
        number: float = getattr(self, scale.value)
        return number

    def whole(self, scale: Scale) -> int:
        """Return the number of things."""
        return int(self.at(scale))
