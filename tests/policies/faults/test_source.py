"""Tests for `tcplab.policies.faults.source`."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.policies.faults import Faults
from tcplab.protocols.services import Chargen
from tcplab.testing import connected
from tcplab.wire.texts import chargen


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
        self.peer: Any = connected(Protocol())
        self.faults = Faults(clock=self.peer.clock)
        self.faults.watch(self.peer.listener)
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
        """One that was there before; paused or not, it is once more when we are gone."""
        self.transport.registerProducer(self.push, True)
        self.peer.reading = False
        self.transport.write(bytes(2**18))
        self.assertEqual(self.push.told, ["pause"])
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

    def test_two(self) -> None:
        """As with any transport there is one at a time."""
        self.faults.add("slow_close,delay=1")
        self.transport.registerProducer(self.push, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, Push(), True)

    def test_lost(self) -> None:
        """It is told when the connection is lost, also after a fault has ended it."""
        self.faults.add("limit_data,bytes=1")
        self.transport.registerProducer(self.push, True)
        self.transport.write(b"ab")
        self.peer.finish()
        self.assertEqual((self.peer.connected, self.push.told[-1]), (False, "stop"))

    def test_endWaits(self) -> None:
        """``loseConnection`` waits for it, as ever."""
        self.faults.add("slow_close,delay=1")
        self.transport.registerProducer(self.push, True)
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
        """It is asked, whoever is between it and the transport, and the stream has no seams."""
        peer = connected(Chargen())
        peer.reading = False
        faults = Faults(clock=peer.clock)
        faults.watch(peer.listener)
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
