"""Random numbers that depend on the seed and their purpose, and not on the order of events."""

from __future__ import annotations

import secrets
from hashlib import blake2b


class Dice:
    """
    The random numbers of one fault on one direction of one connection.

    A number depends on the seed, on the fault and its place, and on what it is drawn for. It
    depends neither on earlier numbers nor on the chunks in which bytes arrive.

    :param seed: the same seed gives the same numbers.
    :param whose: the name of the fault, the name of the listener, the number of the connection, the
        direction.
    """

    def __init__(self, seed: int, *whose: object) -> None:
        self._hash = blake2b(repr((seed, *whose)).encode(), digest_size=8)

    def integer(self, sides: int, *what: object) -> int:
        """Draw a whole number from 0 to ``sides - 1``."""
        rolled = self._hash.copy()
        rolled.update(repr(what).encode())
        # 64 bits: for as many sides as a stream has bytes no side is noticeably more likely.
        return int.from_bytes(rolled.digest(), "big") * sides >> 64

    def fraction(self, *what: object) -> float:
        """Draw a number from 0 up to but not including 1."""
        return self.integer(2**53, *what) / 2**53


def randomSeed() -> int:
    """Choose a seed where none was given; it is short enough to be typed."""
    return secrets.randbelow(10**9)
