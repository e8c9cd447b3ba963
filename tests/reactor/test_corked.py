"""Tests for `tcplab.reactor.corked`."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.testing import Peer, connected


class Script(Protocol):
    """Do what the test says when data comes."""

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        for step in self.steps:
            step(self.transport)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


def write(data: bytes) -> Any:
    return lambda transport: transport.write(data)


class CorkTests(SynchronousTestCase):
    """What is written while bytes are read leaves in one send when they have been read."""

    def sends(self, peer: Peer) -> list[bytes]:
        """Watch what is handed to the kernel."""
        sent: list[bytes] = []
        original = peer.transport.socket.send

        def send(data: bytes) -> int:
            sent.append(bytes(data))
            return original(data)  # type: ignore[no-any-return]

        peer.transport.socket.send = send
        return sent

    def test_oneSend(self) -> None:
        """Several writes are one send, and the reactor is not asked."""
        peer = connected(Script(write(b"one "), write(b"two "), write(b"three")))
        sent = self.sends(peer)
        peer.write(b"x")
        self.assertEqual(sent, [b"one two three"])
        self.assertEqual(peer.clock.writers, set())
        self.assertEqual((peer.transport.received, peer.transport.sent), (1, 13))

    def test_sequence(self) -> None:
        """writeSequence is corked too."""
        peer = connected(Script(lambda t: t.writeSequence([b"a", b"b"]), write(b"c")))
        sent = self.sends(peer)
        peer.write(b"x")
        self.assertEqual(sent, [b"abc"])

    def test_leftOver(self) -> None:
        """What the kernel does not take waits in order."""
        big = bytes(range(256)) * 1000
        peer = connected(Script(write(big)))
        peer.reading = False
        peer.write(b"x")
        peer.write(b"y")
        self.assertEqual(peer.clock.writers, {peer.transport})
        peer.resume()
        self.assertEqual(peer.value(), big * 2)

    def test_notBytes(self) -> None:
        """Anything but bytes is refused as ever."""
        peer = connected(Script(lambda t: t.write("text")))
        peer.write(b"x")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_exception(self) -> None:
        """What an exception interrupts is not sent."""

        def fail(transport: Any) -> None:
            raise ZeroDivisionError

        peer = connected(Script(write(b"half"), fail))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"", False))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_abort(self) -> None:
        """What an abort interrupts is not sent."""
        peer = connected(Script(write(b"half"), lambda t: t.abortConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.wasReset), (b"", True))

    def test_loseConnection(self) -> None:
        """What was written before loseConnection is sent."""
        peer = connected(Script(write(b"before "), lambda t: t.loseConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.connected), (b"before ", False))
        self.assertFalse(peer.wasReset)

    def test_loseWriteConnection(self) -> None:
        """A half-close comes behind what was written."""
        peer = connected(Script(write(b"before"), lambda t: t.loseWriteConnection()))
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.ended, peer.connected), (b"before", True, True))
        peer.finish()

    def test_protocolSwap(self) -> None:
        """The protocol may be another for the next read."""
        other = Script(write(b"other"))
        peer = connected(Script(lambda t: setattr(t, "protocol", other)))
        other.makeConnection(peer.transport)
        peer.write(b"x")
        peer.write(b"y")
        self.assertEqual(peer.value(), b"other")

    def test_pushProducer(self) -> None:
        """A producer is paused when much is written at once, and resumed when it has left."""

        class Producer:
            told: list[str] = []

            def pauseProducing(self) -> None:
                self.told.append("pause")

            def resumeProducing(self) -> None:
                self.told.append("resume")

            def stopProducing(self) -> None:
                self.told.append("stop")

        peer = connected(Script(write(b"x" * 70_000)))
        producer = Producer()
        peer.transport.registerProducer(producer, True)
        peer.write(b"x")
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(len(peer.value()), 70_000)

    def test_resetMeanwhile(self) -> None:
        """A send that fails ends the connection by the ordinary way."""
        peer = connected(Script(lambda t: setattr(t.socket, "error", 104), write(b"late")))
        peer.write(b"x")
        self.assertFalse(peer.connected)
        self.assertTrue(peer.protocol.lost)


class FailureTests(SynchronousTestCase):
    """What fails when all has been sent fails alone."""

    def test_connectionLost(self) -> None:
        """A connectionLost that raises is logged, and nobody else hears of it."""

        class Raises(Script):
            def connectionLost(self, reason: Any = None) -> None:
                raise ZeroDivisionError

        peer = connected(Raises())
        peer.transport.cork()
        peer.transport.write(b"bye")
        peer.transport.loseConnection()
        peer.transport.uncork()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)

    def test_producer(self) -> None:
        """A producer that raises ends its connection, as in Twisted."""

        class Producer:
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

            def stopProducing(self) -> None: ...

        peer = connected(Script(write(b"x"), lambda t: t.registerProducer(Producer(), True)))
        peer.protocol.steps = (write(b"x" * 70_000),)
        producer = Producer()
        producer.pauseProducing = lambda: None  # type: ignore[attr-defined]
        peer.transport.registerProducer(producer, True)
        peer.write(b"x")
        self.assertFalse(peer.connected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_errorOfTheSend(self) -> None:
        """The error that a send met first is the one that is told."""

        def breaks(transport: Any) -> None:
            def send(data: bytes) -> int:
                transport.socket.error = 0
                transport.socket.send = type(transport.socket).send.__get__(transport.socket)
                transport.socket.error = 104
                raise ConnectionResetError(104, "reset")

            transport.socket.send = send

        peer = connected(Script(breaks, write(b"late")))
        peer.write(b"x")
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.errno), ("reset", 104))


class ReadSizeTests(SynchronousTestCase):
    """The read size follows what comes."""

    def test_grows(self) -> None:
        """It grows while reads are full, up to the limit, and shrinks when they are not."""
        peer = connected(Protocol())
        sizes: list[int] = []
        original = peer.transport.socket.recv

        def recv(size: int) -> bytes:
            sizes.append(size)
            return original(size)  # type: ignore[no-any-return]

        peer.transport.socket.recv = recv
        peer.write(b"x" * 2**20)
        self.assertEqual(sizes[0], 4096)
        self.assertEqual(max(sizes), peer.transport.readLimit)
        for _ in range(10):
            peer.write(b"x")
        self.assertLess(sizes[-1], 2 * 4096 + 1)
