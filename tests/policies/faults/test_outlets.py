"""Tests for `tcplab.policies.faults.outlets`; those of the filter show the rest."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.policies.faults import Faults
from tcplab.testing import connected


@implementer(IHalfCloseableProtocol)
class Notes(Protocol):
    """Notes what it is told."""

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


class OutletTests(SynchronousTestCase):
    """Where bytes leave the faults."""

    def setUp(self) -> None:
        self.notes = Notes()
        self.peer: Any = connected(self.notes)
        self.faults = Faults(clock=self.peer.clock)
        self.faults.watch(self.peer.listener)
        self.transport = self.peer.transport

    def test_paused(self) -> None:
        """What is due waits while the protocol wants nothing, the end too."""
        self.faults.add("latency,latency=100,direction=upstream")
        self.peer.finish(b"a")
        self.transport.pauseProducing()
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, [])
        self.transport.resumeProducing()
        self.assertEqual(self.notes.told, [b"a", "read lost"])

    def test_pausedOnTheWay(self) -> None:
        """One piece at a time, if it wants no more."""

        def once(data: bytes) -> None:
            self.notes.told.append(data)
            self.transport.pauseProducing()

        self.notes.dataReceived = once  # type: ignore[method-assign]
        self.faults.add("latency,latency=100,direction=upstream")
        self.peer.write(b"a")
        self.peer.write(b"b")
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, [b"a"])
        self.transport.resumeProducing()
        self.assertEqual(self.notes.told, [b"a", b"b"])

    def test_cutForBoth(self) -> None:
        """A fault that ends both directions waits for nobody."""
        self.transport.pauseProducing()
        self.faults.add("reset_peer,timeout=100,direction=upstream")
        self.peer.clock.advance(0.1)
        self.assertEqual((self.peer.connected, self.notes.told), (False, ["lost"]))

    def test_halfClosed(self) -> None:
        """Who speaks is told that it can't any more, and goes on listening."""
        self.faults.add("half_close")
        self.transport.write(b"nobody hears it")
        self.assertEqual((self.peer.value(), self.peer.ended), (b"", True))
        self.peer.write(b"a")
        self.assertEqual(self.notes.told, ["write lost", b"a"])
        self.transport.loseConnection()
        self.assertEqual((self.peer.connected, self.peer.ending.why), (False, "fault"))

    def test_halfCloseStays(self) -> None:
        """Nobody can take a FIN back."""
        self.faults.add("half_close")
        self.faults.clear()
        self.transport.write(b"nobody hears it")
        self.assertEqual(self.peer.value(), b"")

    def test_finish(self) -> None:
        """Our own end goes through as what it was: of one direction, or of both."""
        self.faults.add("slow_close,delay=100")
        self.transport.write(b"a")
        self.transport.loseWriteConnection()
        self.peer.clock.advance(0.1)
        self.assertEqual((self.peer.ended, self.peer.connected), (True, True))
        self.transport.loseConnection()
        self.assertFalse(self.peer.connected)
        self.assertEqual(self.notes.told, ["write lost", "lost"])

    def test_closingHearsNothing(self) -> None:
        """As with any transport: who has asked for the end is told nothing but that."""
        self.faults.add("slow_close,delay=100")
        self.transport.loseConnection()
        self.peer.write(b"a")
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, ["lost"])
