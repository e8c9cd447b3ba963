"""How much is read at once: a buffer costs the most when it is large and stays empty."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

# What one recv() may take at first, and after some messages that were small. With the smaller one
# the interpreter takes the memory from its own pools: 2 % of all that a small request costs.
FIRST = 4096
LEAST = 479
_SMALL_ONES = 8

SMALL = 16384  # what is read while something waits to be sent: it will have to wait too


class Sizing:
    """
    The part of `tcplab.reactor.corked.Corked` that says how much is read.

    :ivar readLimit: bytes that are read at once, at most.
    """

    # All of it may have to be held for a deaf peer, and what is read until that is known: 256 KiB.
    readLimit = 196608

    _readSize: int
    _smallOnes: int

    def _readOn(self: Any, data: bytes) -> bytes:
        # There may be more. What would have fitted into the first read comes as one.
        size = self._readSize
        if size > LEAST:
            self._readSize = min(size * 4, self.readLimit)
            return data
        self._readSize, self._smallOnes = FIRST, 0
        with suppress(OSError):  # the next read meets it again
            data += self.socket.recv(FIRST - size)
        return data

    def _readLess(self) -> None:
        if self._readSize > FIRST:
            self._readSize >>= 2
        else:
            self._smallOnes += 1
            if self._smallOnes > _SMALL_ONES:
                self._readSize = LEAST

    def _readLittle(self) -> None:
        # The peer did not take all: it may not take what comes when it reads again.
        self._readSize = min(self._readSize, SMALL)
