"""Tests for `tcplab.reactor.sendbuffer`."""

from __future__ import annotations

import errno
from socket import socketpair
from typing import Any

from hypothesis import given, settings
from twisted.internet import unix
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from tcplab.reactor.sendbuffer import BYPASS, CORKED, CORKED_MANY, CORKED_ONE, UNCORKED
from tcplab.testing import Peer, connected
from tcplab.testing import peer as module
from tcplab.testing.memorytransport import MemoryTransport
from tests.support import scripted_transport
from tests.support.scripted_transport import (
    PATTERN,
    Actor,
    Producer,
    StockTransport,
    UnixTransport,
    check,
    fate,
    play,
)


class OrderTests(SynchronousTestCase):
    """Every byte written before the end arrives, once and in order."""

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(scripted_transport.turns(nested=True))
    def test_tcp(self, turns: Any) -> None:
        """Any mix of writes, ends, producers, peers that do not read, and turns within turns."""
        check(self, *play(self, MemoryTransport, turns))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(scripted_transport.turns(nested=True))
    def test_unix(self, turns: Any) -> None:
        """On Unix sockets, too."""
        self.patch(unix, "sendmsg", scripted_transport.Messages())
        check(self, *play(self, UnixTransport, turns))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(scripted_transport.turns(nested=False, push=False))
    def test_asTwistedsOwn(self, turns: Any) -> None:
        """
        The same steps over Twisted's own transport come to the same.

        Until the end is asked for: with nothing left to send ours has ended when the protocol
        returns, Twisted's at the next chance to write.
        """
        ours = play(self, MemoryTransport, turns, stubborn=True)
        stock = play(self, StockTransport, turns, stubborn=True)
        check(self, *stock)
        self.assertEqual(fate(*ours), fate(*stock))


class Says(Protocol):
    """Write the answers at each read, and note the states of the cork."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.seen: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        self.seen = [transport._corked]
        for answer in self.answers:
            transport.write(answer)
            self.seen.append(transport._corked)


class StateTests(SynchronousTestCase):
    """The states of the cork."""

    def states(self, peer: Peer) -> tuple[int, int]:
        return peer.transport._corked, peer.transport._cork

    def test_held(self) -> None:
        """One piece is held, more are collected; then it is as it was."""
        peer = connected(Says(b"one", b"two", b"three"))
        self.assertEqual(self.states(peer), (UNCORKED, CORKED))
        peer.write(b"x")
        self.assertEqual(peer.protocol.seen, [CORKED, CORKED_ONE, CORKED_MANY, CORKED_MANY])
        self.assertEqual(self.states(peer), (UNCORKED, CORKED))

    def test_busy(self) -> None:
        """While bytes are unsent, all others wait behind them."""
        peer = connected(Says(b"x" * 100))
        peer.window, peer.reading = 30, False
        peer.write(b"x")
        self.assertEqual(self.states(peer), (UNCORKED, BYPASS))
        peer.write(b"x")
        self.assertEqual(peer.protocol.seen, [BYPASS, CORKED_MANY])
        peer.resume()
        self.assertEqual(self.states(peer), (UNCORKED, CORKED))
        self.assertEqual(peer.value(), b"x" * 200)

    def test_timer(self) -> None:
        """A write outside of a read is the reactor's; one in a read that comes first takes it."""
        peer = connected(Says(b"second"))
        peer.transport.write(b"first ")
        self.assertEqual(self.states(peer), (UNCORKED, BYPASS))
        peer.transport.socket.receiveBuffer += b"x"
        peer.transport.doRead()
        self.assertEqual(self.states(peer), (UNCORKED, CORKED))
        self.assertIs(
            peer.transport.doWrite(), None
        )  # what was sent is neither sent again nor counted
        self.assertEqual((peer.value(), peer.transport.sent), (b"first second", 12))
        self.assertEqual(peer.clock.writers, set())

    def test_afterHalfClose(self) -> None:
        """After our FIN, bytes written are dropped, and there is no second FIN."""
        peer = connected(Says(b"late"))
        peer.transport.loseWriteConnection()
        peer.value()
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.ended, peer.connected), (b"", True, True))
        del peer.transport.socket.finished
        peer.clock.addWriter(peer.transport)
        self.assertTrue(peer.connected)
        self.assertEqual(peer.clock.writers, set())
        self.assertFalse(hasattr(peer.transport.socket, "finished"))
        peer.transport.socket.finished = True
        peer.finish()
        self.assertIs(peer.transport.doWrite(), None)  # after the end it does nothing


class PiecesTests(SynchronousTestCase):
    """Unsent bytes leave in as few sends as possible."""

    def waiting(self, *pieces: bytes) -> Peer:
        """Connect a peer that takes ten bytes, and write more."""
        peer = connected(Says(*pieces))
        peer.window, peer.reading = 10, False
        peer.write(b"x")
        return peer

    def held(self, peer: Peer) -> int:
        transport = peer.transport
        return len(transport.dataBuffer) + transport._tempDataLen

    def test_whatWasSentIsNotHeld(self) -> None:
        """A peer that reads slowly costs what it has not read, and one piece more at most."""
        peer = self.waiting(b"a" * 40)
        for _ in range(9):
            peer.write(b"x")
        self.assertEqual(self.held(peer), 400)
        for taken in range(1, 40):
            peer.read(10)
            unread = 400 - 10 * taken
            self.assertLessEqual(self.held(peer), unread + 40)
        peer.resume()
        self.assertEqual(peer.value(), b"a" * 400)
        self.assertEqual(self.held(peer), 0)
        peer.transport.socket.sendmsg = lambda pieces: self.fail("asked")
        peer.transport.doWrite()  # nothing waits: the kernel is not asked

    def test_moreThanTheKernelTakesAtOnce(self) -> None:
        """Of more pieces than one send may have none is lost (IOV_MAX is 1,024)."""
        server, client = socketpair()
        self.addCleanup(server.close)
        self.addCleanup(client.close)
        peer = self.waiting(b"a" * 20)
        peer.transport.writeSequence([b"%d," % each for each in range(3000)])
        peer.transport.socket.sendmsg = server.sendmsg
        peer.transport.socket.send = server.send
        peer.transport.doWrite()
        for _ in range(10):
            if peer.transport in peer.clock.writers:
                peer.transport.doWrite()
        expected = b"a" * 10 + b"".join(b"%d," % each for each in range(3000))
        self.assertEqual(client.recv(2**20), expected)
        self.assertEqual((self.held(peer), peer.clock.writers), (0, set()))


class ErrorTests(SynchronousTestCase):
    """Errors of a send, of a producer and of a protocol."""

    def test_send(self) -> None:
        """EAGAIN and ENOBUFS are no end, at once or later; of two others the first is reported."""
        for errors, how, number in (
            ((errno.EAGAIN, errno.EAGAIN), "fin", None),
            ((errno.EAGAIN, errno.ENOBUFS), "fin", None),
            ((errno.ENOBUFS,), "fin", None),
            ((errno.ECONNRESET, errno.EPIPE), "reset", errno.ECONNRESET),
            ((errno.EAGAIN, errno.EPIPE), "reset", errno.EPIPE),
        ):
            peer = connected(Says(b"answer"))
            socket, left = peer.transport.socket, list(errors)

            def send(data: bytes, left: Any = left, original: Any = socket.send) -> Any:
                if left:
                    raise OSError(left.pop(0), "of the test")
                return original(data)

            socket.send = send
            peer.write(b"x")
            if number is None:
                self.assertEqual((peer.value(), peer.transport.sent), (b"answer", 6))
                peer.finish()
            assert peer.ending is not None
            self.assertEqual((peer.ending.how, peer.ending.errno), (how, number))

    def test_connectionLost(self) -> None:
        """A connectionLost that raises is logged."""
        protocol: Any = Says()
        protocol.connectionLost = lambda reason: 1 / 0
        peer = connected(protocol)
        peer.transport.cork()
        peer.transport.write(b"bye")
        peer.transport.loseConnection()
        peer.transport.uncork()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertFalse(peer.connected)

    def test_producer(self) -> None:
        """A producer that raises, paused or resumed, ends its connection, as in Twisted."""

        class Fails(Producer):
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

        class FailsAtOnce(Fails):
            pauseProducing = Fails.resumeProducing

        for kind, window in ((Fails, 2**16), (FailsAtOnce, 10)):
            peer = connected(Says(b"x" * 70_000))
            peer.window, peer.reading = window, window > 10
            peer.transport.registerProducer(kind(Actor(), 0), True)
            peer.write(b"x")
            self.assertFalse(peer.connected)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ProducerTests(SynchronousTestCase):
    """A producer is paused when too much is unsent, in whichever buffer."""

    def paused(self, kind: Any) -> list[str]:
        actor = Actor()
        self.patch(module, "MemoryTransport", kind)
        peer = Peer(actor)
        peer.window, peer.reading = 10, False
        producer = Producer(actor, 0)
        peer.transport.registerProducer(producer, True)
        for _ in range(2):
            actor.scripts = [[("write", 60_000)]]
            peer.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        peer.resume()
        self.assertEqual(peer.value(), PATTERN[:120_000])
        return producer.told

    def test_pausedOnce(self) -> None:
        """As Twisted, count the bytes that it tries to send and those it has not looked at yet."""
        for kind in (StockTransport, MemoryTransport):
            self.assertEqual(self.paused(kind), ["pause", "resume"])
