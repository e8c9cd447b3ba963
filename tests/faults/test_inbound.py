"""Tests for `tcplab.faults.inbound`."""

from __future__ import annotations

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tests.support.fault_memory import Notes, broken

LATE = "latency,latency=100,direction=upstream"


class InboundTests(SynchronousTestCase):
    """What is received reaches the protocol when it wants it, and as often as it wants it."""

    def setUp(self) -> None:
        self.notes = Notes()
        self.peer, self.faults = broken(self.notes)
        self.transport = self.peer.transport

    def test_paused(self) -> None:
        """What is due waits while the protocol is paused, the end too."""
        self.faults.add(LATE)
        self.peer.finish(b"a")
        self.transport.pauseProducing()
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, [])
        self.transport.resumeProducing()
        self.assertEqual(self.notes.told, [b"a", "read lost"])

    def test_pausedWhileDelivering(self) -> None:
        """One piece at a time, if the protocol pauses at each."""

        def once(data: bytes) -> None:
            self.notes.told.append(data)
            self.transport.pauseProducing()

        self.notes.dataReceived = once  # type: ignore[method-assign]
        self.faults.add(LATE)
        self.peer.write(b"a")
        self.peer.write(b"b")
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, [b"a"])
        self.transport.resumeProducing()
        self.assertEqual(self.notes.told, [b"a", b"b"])

    def test_pausedWhenRemoved(self) -> None:
        """What a removed fault held waits for a paused protocol, and the filter with it."""
        self.faults.add("bandwidth,rate=0,direction=upstream")
        self.peer.write(b"held")
        self.transport.pauseProducing()
        self.faults.clear()
        self.assertEqual(self.notes.told, [])
        self.transport.resumeProducing()
        self.assertEqual(self.notes.told, [b"held"])
        self.assertIs(self.transport.protocol, self.notes)

    def test_endOfBoth(self) -> None:
        """A fault that ends both directions waits for no protocol that is paused, or pauses."""
        self.transport.pauseProducing()
        self.faults.add("reset_peer,timeout=100,direction=upstream")
        self.peer.clock.advance(0.1)
        self.assertEqual((self.peer.connected, self.notes.told), (False, ["lost"]))
        self.setUp()
        self.notes.dataReceived = lambda data: self.transport.pauseProducing()  # type: ignore[method-assign]
        self.faults.add("limit_data,bytes=2B,how=reset,direction=upstream")
        self.peer.write(b"abc")
        self.assertEqual((self.peer.connected, self.notes.told), (False, ["lost"]))

    def test_closing(self) -> None:
        """A protocol that has called ``loseConnection`` receives nothing more."""
        self.faults.add("slow_close,delay=100")
        self.transport.loseConnection()
        self.peer.write(b"a")
        self.peer.clock.advance(0.1)
        self.assertEqual(self.notes.told, ["lost"])

    def test_noHalfClose(self) -> None:
        """A protocol without half-close is told the end when that arrives, not before."""
        lost: list[object] = []
        plain = Protocol()
        plain.connectionLost = lost.append  # type: ignore[method-assign, assignment]
        peer, _ = broken(plain, LATE)
        peer.finish(b"last")
        self.assertEqual(lost, [])
        peer.clock.advance(0.1)
        self.assertEqual((len(lost), peer.connected), (1, False))

    def test_failing(self) -> None:
        """A protocol that fails in a timer's turn loses its connection, as in any other."""

        class Fails(Protocol):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        peer, _ = broken(Fails(), LATE)
        peer.write(b"a")
        peer.clock.advance(0.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual((peer.connected, peer.ending.why), (False, "error"))
