"""A factory that hands its connections to the test."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import Factory, Protocol


class Met(Protocol):
    """A plain echo without ``connectionDraining``, which begins with its factory's greeting."""

    factory: Any
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(self.factory.greeting)
        self.factory.queue.put(self)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Meeting(Factory):
    """
    Build protocols of one kind.

    :ivar queue: those of the kind `Met`, when they are connected.
    :ivar asked: how many were asked for.
    """

    noisy = False
    asked = 0

    def __init__(self, kind: Any = Met, greeting: bytes = b"") -> None:
        self.queue: DeferredQueue[Any] = DeferredQueue()
        self.kind = kind
        self.greeting = greeting

    def buildProtocol(self, addr: object) -> Any:
        self.asked += 1
        protocol = self.kind()
        protocol.factory = self
        return protocol


class Refusing(Meeting):
    """Build nothing."""

    def buildProtocol(self, addr: object) -> None:
        self.asked += 1
