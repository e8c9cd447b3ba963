"""A connection in memory with faults, and a protocol that notes what it is told."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from tcplab.faults import Faults
from tcplab.testing import connected


def broken(protocol: Any, *faults: str) -> tuple[Any, Faults]:
    """Connect a protocol in memory, with faults from its first byte; return its peer and them."""
    peer = connected(protocol)
    standing = Faults(seed=1, clock=peer.clock)
    standing.watch(peer.listener)
    for fault in faults:
        standing.add(fault)
    return peer, standing


@implementer(IHalfCloseableProtocol)
class Notes(Protocol):
    """Note what is received, and each end."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)

    def readConnectionLost(self) -> None:
        self.told.append("read lost")

    def writeConnectionLost(self) -> None:
        self.told.append("write lost")

    def connectionLost(self, reason: Any = None) -> None:
        self.told.append("lost")
