"""Tests for `tcplab.faults.closing`."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.faults.closing import FaultClose
from tcplab.faults.filter import Splice
from tcplab.testing import connected


class FaultCloseTests(SynchronousTestCase):
    """An end that is exactly what it should be."""

    def setUp(self) -> None:
        self.peer: Any = connected(Protocol())
        self.detached = 0
        transport = self.peer.transport
        self.close = FaultClose(Splice(transport, None), self.peer.clock, self.detach)

    def detach(self) -> None:
        self.detached += 1

    def test_fin(self) -> None:
        """The peer may finish in its own time."""
        self.peer.transport.write(b"bye")
        self.close.fin()
        self.assertEqual((self.peer.value(), self.peer.ended), (b"bye", True))
        self.assertTrue(self.close.begun and self.peer.connected)
        self.close.readConnectionLost()
        self.close.cancel()
        self.assertEqual((self.peer.ending.how, self.peer.ending.why), ("fin", "fault"))
        self.assertEqual((self.detached, self.peer.clock.getDelayedCalls()), (1, []))

    def test_finBoth(self) -> None:
        """The peer has finished, or lingers too long: nothing is lost, so the end stays a FIN."""
        for finished in (True, False):
            self.setUp()
            if finished:
                self.close.readConnectionLost()
            self.close.fin()
            if not finished:
                self.peer.clock.advance(2)
            self.assertEqual((self.peer.connected, self.peer.ending.how), (False, "fin"))

    def test_slowReader(self) -> None:
        """A peer that takes something has more time; one that takes nothing is reset."""
        self.peer.reading, self.peer.window = False, 10
        self.peer.transport.write(bytes(50))
        self.close.fin()
        for _ in range(3):
            self.peer.clock.advance(2)
            self.peer.read(5)
            self.assertTrue(self.peer.connected)
        self.peer.clock.advance(2)
        self.peer.clock.advance(2)
        self.assertEqual((self.peer.connected, self.peer.ending.how), (False, "reset"))

    def test_reset(self) -> None:
        """Behind what has passed."""
        self.peer.reading, self.peer.window = False, 10
        self.peer.transport.write(bytes(50))
        self.close.reset()
        self.peer.clock.advance(1)
        self.assertTrue(self.peer.connected)
        self.peer.resume()
        self.peer.clock.advance(0.05)
        self.assertEqual(len(self.peer.value()), 50)
        self.assertEqual((self.peer.ending.how, self.peer.ending.why), ("reset", "fault"))

    def test_resetAfterFin(self) -> None:
        """A reset may follow a FIN that lingers; not the other way round."""
        self.close.fin()
        self.close.reset()
        self.close.fin()
        self.assertEqual((self.peer.connected, self.peer.ending.how), (False, "reset"))
        self.assertEqual((self.detached, self.peer.clock.getDelayedCalls()), (1, []))
