"""Tests for `tcplab.policies.faults.astransport`; those of the filter show the rest."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tcplab.policies.faults import Faults
from tcplab.policies.faults.filter import Filter
from tcplab.testing import connected


class MethodTests(SynchronousTestCase):
    """All that a protocol does to its transport."""

    def setUp(self) -> None:
        self.peer: Any = connected(Protocol())
        self.transport = self.peer.transport
        self.faults = Faults(clock=self.peer.clock)
        self.faults.watch(self.peer.listener)

    def test_written(self) -> None:
        """At once or in pieces; nothing is nothing."""
        self.faults.add("latency,latency=100")
        self.transport.write(b"a")
        self.transport.write(b"")
        self.transport.writeSequence([b"b", b"", b"c"])
        self.transport.write(bytearray(b"d"))
        self.assertRaises(TypeError, self.transport.write, "e")
        self.peer.clock.advance(0.1)
        self.assertEqual(self.peer.value(), b"abcd")

    def test_writtenAfterTheEnd(self) -> None:
        """It goes nowhere."""
        self.faults.add("latency,latency=100")
        self.transport.loseWriteConnection()
        self.transport.write(b"a")
        self.peer.clock.advance(0.1)
        self.assertEqual((self.peer.value(), self.peer.ended), (b"", True))

    def test_stopped(self) -> None:
        """``stopProducing`` is the end, as ever."""
        self.faults.add("slow_close,delay=100")
        self.transport.stopProducing()
        self.assertTrue(self.peer.connected)
        self.peer.clock.advance(0.1)
        self.assertFalse(self.peer.connected)

    def test_producerAfterTheEnd(self) -> None:
        """Whose FIN was sent by a fault need not wait for its producer."""
        self.transport.registerProducer(self.transport, True)
        self.faults.add("half_close")
        self.transport.loseConnection()
        self.assertFalse(self.peer.connected)

    def test_finishedTwice(self) -> None:
        self.faults.add("latency,latency=100")
        self.transport.write(b"a")
        self.transport.loseWriteConnection()
        self.transport.loseConnection()
        self.transport.loseConnection()
        self.peer.clock.advance(0.1)
        self.assertEqual((self.peer.value(), self.peer.connected), (b"a", False))


class ForeignTests(SynchronousTestCase):
    """A transport that is not one of ours."""

    def test_string(self) -> None:
        peer: Any = connected(Protocol())
        transport: Any = StringTransport()
        transport.protocol = Protocol()
        transport.protocol.makeConnection(transport)
        filter = Filter(transport, peer.clock, lambda link, at: None)
        filter.start()
        transport.write(b"a")
        self.assertIsNone(vars(transport).get("filter"))  # there is nothing to do
        transport.loseConnection()
        self.assertEqual((transport.value(), transport.disconnecting), (b"a", True))
