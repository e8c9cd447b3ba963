"""Clients that several cases have: one that asks, and two that do not read."""

from __future__ import annotations

import os

from soak.crowd import Member

#: Bytes of a client's own buffers: its part of the kernel's memory is not what is measured.
OWN = 4096

_NOISE = os.urandom(65536)


class Asking(Member):
    """
    Asks one thing, and stays.

    :ivar served: it was answered.
    """

    __slots__ = ("served",)

    def __init__(self) -> None:
        super().__init__()
        self.served = False

    def connected(self) -> None:
        """Ask."""
        self.send(b"?")

    def heard(self, data: bytes) -> None:
        """Be content."""
        self.served = data == b"?"


class Silent(Member):
    """Never reads, and says nothing."""

    buffers = OWN

    def connected(self) -> None:
        """Do not read."""
        self.watch(reading=False)

    def heard(self, data: bytes) -> None:
        """Not this either: it came before we could say so."""


class Stuck(Member):
    """Says as much as is taken, and never reads."""

    __slots__ = ("sent",)

    buffers = OWN

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0

    def connected(self) -> None:
        self.watch(reading=False, writing=True)

    def mayWrite(self) -> None:
        self.sent += self.send(_NOISE)

    def ended(self) -> None:
        self.watch(reading=False)
        super().ended()
