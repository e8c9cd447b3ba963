"""Tests for `tcplab.faults.outbound`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.faults.filter import FaultFilter
from tcplab.protocols.services import Chargen
from tcplab.testing import connected
from tcplab.wire.texts import chargen
from tests.support.fault_memory import Notes, broken


@implementer(IPushProducer)
class Push:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


class SourceTests(SynchronousTestCase):
    """The producer of what goes out."""

    def setUp(self) -> None:
        self.peer, self.faults = broken(Protocol())
        self.push = Push()
        self.transport = self.peer.transport

    def test_held(self) -> None:
        """It is paused while much waits in a fault, and resumed when that has gone."""
        self.faults.add("latency,latency=100")
        self.transport.registerProducer(self.push, True)
        self.transport.write(bytes(2**18 - 1))
        self.assertEqual(self.push.told, [])
        self.transport.write(b"x")
        self.assertEqual(self.push.told, ["pause"])
        self.peer.clock.advance(0.1)
        self.assertEqual(self.push.told, ["pause", "resume"])

    def test_congested(self) -> None:
        """And while the transport's own buffer is full."""
        self.faults.add("slow_close,delay=1")
        self.transport.registerProducer(self.push, True)
        self.peer.reading = False
        self.transport.write(bytes(2**18))
        self.peer.value()
        self.assertEqual(self.push.told, ["pause"])
        self.peer.resume()
        self.assertEqual(self.push.told, ["pause", "resume"])

    def test_takenOver(self) -> None:
        """A producer that was there before is the transport's again, paused or not."""
        self.transport.registerProducer(self.push, True)
        self.peer.reading = False
        self.transport.write(bytes(2**18))
        name = self.faults.add("stall,direction=downstream")
        self.assertIsNot(self.transport.producer, self.push)
        self.faults.remove(name)
        self.assertIs(self.transport.producer, self.push)
        self.assertEqual(self.push.told, ["pause"])
        self.peer.resume()
        self.assertEqual(self.push.told, ["pause", "resume"])

    def test_givenBack(self) -> None:
        """It goes on at once if only we had paused it."""
        self.transport.registerProducer(self.push, True)
        name = self.faults.add("stall,direction=downstream")
        self.assertEqual(self.push.told, ["pause"])
        self.faults.remove(name)
        self.assertEqual(self.push.told, ["pause", "resume"])
        self.transport.unregisterProducer()
        self.assertIsNone(self.transport.producer)

    def test_pausedBeneath(self) -> None:
        """What is released may be too much for the transport: then it stays paused."""
        self.peer.reading = False
        name = self.faults.add("bandwidth,rate=0")
        self.transport.registerProducer(self.push, True)
        self.transport.write(bytes(2**18))
        self.faults.remove(name)
        self.assertEqual(self.push.told, ["pause"])
        self.peer.resume()
        self.assertEqual(self.push.told, ["pause", "resume"])

    def test_lost(self) -> None:
        """It is told when the connection is lost, also after a fault has ended it."""
        self.faults.add("limit_data,bytes=1")
        self.transport.registerProducer(self.push, True)
        self.transport.write(b"ab")
        self.peer.finish()
        self.assertEqual((self.peer.connected, self.push.told[-1]), (False, "stop"))

    def test_endWaits(self) -> None:
        """``loseConnection`` waits for it; there is one at a time: both as ever."""
        self.faults.add("slow_close,delay=1")
        self.transport.registerProducer(self.push, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, Push(), True)
        self.transport.write(b"a")
        self.transport.loseConnection()
        self.peer.clock.advance(1)
        self.transport.write(b"b")
        self.assertTrue(self.peer.connected)
        self.transport.unregisterProducer()
        self.peer.clock.advance(1)
        self.assertEqual((self.peer.value(), self.peer.connected), (b"ab", False))


class PullTests(SynchronousTestCase):
    """One that wants to be asked for each piece."""

    def test_comeAndGo(self) -> None:
        """It is asked, with a fault or without one, and the stream has no seams."""
        peer, faults = broken(Chargen())
        peer.reading = False
        for fault in ("latency,latency=10", "bandwidth,rate=900", "slow_close,delay=1"):
            for size in (1000, 500_000, 300_000):
                name = faults.add(fault)
                for _ in range(30):
                    peer.read(size // 10)
                    peer.clock.advance(0.01)
                faults.remove(name)
                peer.read(size)
        value = peer.value()
        self.assertGreater(len(value), 2_000_000)
        self.assertEqual(value, chargen(0, len(value)))


class MethodTests(SynchronousTestCase):
    """All that a protocol does to its transport."""

    def setUp(self) -> None:
        self.notes = Notes()
        self.peer, self.faults = broken(self.notes)
        self.transport = self.peer.transport

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

    def test_ends(self) -> None:
        """Each end waits for what is held, and passes as what it was; nothing is behind it."""
        for calls, told in (
            (["loseWriteConnection"], ["write lost"]),
            (["loseConnection"], ["lost"]),
            (["stopProducing"], ["lost"]),
            (["loseWriteConnection", "loseConnection", "loseConnection"], ["lost"]),
        ):
            self.setUp()
            self.faults.add("latency,latency=100")
            self.transport.write(b"a")
            for call in calls:
                getattr(self.transport, call)()
            self.transport.write(b"late")
            self.assertEqual((self.peer.value(), self.notes.told), (b"", []))
            self.peer.clock.advance(0.1)
            self.assertEqual((self.peer.value(), self.peer.ended), (b"a", True))
            self.assertEqual(self.notes.told, told)

    def test_producerAfterTheEnd(self) -> None:
        """A protocol for which a fault has sent the FIN does not wait for its producer."""
        self.transport.registerProducer(self.transport, True)
        self.faults.add("half_close")
        self.transport.loseConnection()
        self.assertFalse(self.peer.connected)

    def test_halfClosed(self) -> None:
        """A protocol whose FIN a fault has sent is told, writes in vain, and still receives."""
        self.faults.add("half_close")
        self.transport.write(b"dropped")
        self.transport.loseWriteConnection()  # once is enough
        self.assertEqual((self.peer.value(), self.peer.ended), (b"", True))
        self.peer.write(b"a")
        self.assertEqual(self.notes.told, ["write lost", b"a"])
        self.faults.clear()  # a FIN cannot be taken back
        self.transport.write(b"dropped")
        self.transport.loseConnection()
        self.assertEqual((self.peer.value(), self.peer.connected), (b"", False))
        self.assertEqual(self.peer.ending.why, "fault")


class ForeignTests(SynchronousTestCase):
    """A transport that is not one of ours."""

    def test_string(self) -> None:
        peer: Any = connected(Protocol())
        transport: Any = StringTransport()
        transport.protocol = Protocol()
        transport.protocol.makeConnection(transport)
        filter = FaultFilter(transport, peer.clock, lambda link, at: None)
        filter.start()
        transport.write(b"a")
        self.assertIsNone(vars(transport).get("filter"))  # there is nothing to do
        transport.loseConnection()
        self.assertEqual((transport.value(), transport.disconnecting), (b"a", True))
