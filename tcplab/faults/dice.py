"""Dice that fall the same way for the same seed, whatever else happens and in whatever order."""

from __future__ import annotations

import secrets
from hashlib import blake2b


class Dice:
    """
    The rolls of one fault on one direction of one connection.

    A roll depends on the seed, on whose dice these are, and on what is rolled for. It depends
    neither on earlier rolls nor on the chunks in which bytes arrive.

    :param seed: repeats all rolls.
    :param whose: the name of the fault, the name of the listener, the number of the connection, the
        direction.
    """

    def __init__(self, seed: int, *whose: object) -> None:
        self._hash = blake2b(repr((seed, *whose)).encode(), digest_size=8)

    def integer(self, sides: int, *what: object) -> int:
        """Roll a number from 0 to ``sides - 1``."""
        rolled = self._hash.copy()
        rolled.update(repr(what).encode())
        # 64 bits: for as many sides as a stream has bytes no side is noticeably more likely.
        return int.from_bytes(rolled.digest(), "big") * sides >> 64

    def fraction(self, *what: object) -> float:
        """Roll a number from 0 up to but not including 1."""
        return self.integer(2**53, *what) / 2**53


def randomSeed() -> int:
    """Choose a seed where none was given; it is short enough to be typed."""
    return secrets.randbelow(10**9)
