"""The fault ``corrupt``: some bytes are replaced by others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tcplab.faults.dice import Dice
from tcplab.faults.fault import Fault, integerField, sizeField
from tcplab.faults.stage import Stage, StageContext


@dataclass(frozen=True)
class Corrupt(Fault):
    """
    Replace some bytes by others.

    In each block of the stream one byte is replaced. The byte and its new value are random.

    :ivar every: the length of a block, of which one byte is replaced (bytes).
    :ivar bits: the number of bits of that byte that are inverted.
    """

    kind: ClassVar[str] = "corrupt"
    every: int = sizeField()
    bits: int = integerField(1, 8, 1)

    def __post_init__(self) -> None:
        if not self.every:
            raise ValueError("every is 0: give 1B or more")
        if not 1 <= self.bits <= 8:
            raise ValueError("bits is the number of bits of a byte: from 1 to 8")

    def stage(self, context: StageContext) -> Stage:
        """Make the stage."""
        return _Corrupting(context, self)

    @property
    def rolls(self) -> bool:
        """Whether it draws random numbers: always."""
        return True


class _Corrupting(Stage):
    def __init__(self, context: StageContext, fault: Corrupt) -> None:
        super().__init__(context)
        self._fault = fault

    def feed(self, data: bytes, at: int) -> None:
        every, dice = self._fault.every, self.context.dice
        corrupted = bytearray(data)
        for block in range(at // every, (at + len(data) - 1) // every + 1):
            place = block * every + dice.integer(every, block) - at
            if 0 <= place < len(data):
                self.context.hit(at + place)
                corrupted[place] ^= mask(dice, block, self._fault.bits)
        self.out.feed(bytes(corrupted))


def mask(dice: Dice, block: int, bits: int) -> int:
    """Draw which bits of a byte are inverted; they differ from each other."""
    left = list(range(8))
    return sum(1 << left.pop(dice.integer(len(left), block, nth)) for nth in range(bits))
