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
from tests.reactor.test_coalescing import Script, write
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
    """Every byte that was written before the end comes out, once and in order."""

    @settings(deadline=None, derandomize=True, max_examples=400)
    @given(scripted_transport.turns(nested=True))
    def test_tcp(self, turns: Any) -> None:
        """Whatever the mix of writes, ends, producers, deaf peers and turns within turns."""
        check(self, *play(self, MemoryTransport, turns))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(scripted_transport.turns(nested=False))
    def test_unix(self, turns: Any) -> None:
        """On Unix sockets too."""
        self.patch(unix, "sendmsg", scripted_transport.Messages())
        check(self, *play(self, UnixTransport, turns))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(scripted_transport.turns(nested=True))
    def test_unixReadWhileItIsRead(self, turns: Any) -> None:
        """On Unix sockets too, when the protocol turns the reactor itself."""
        self.patch(unix, "sendmsg", scripted_transport.Messages())
        check(self, *play(self, UnixTransport, turns))

    @settings(deadline=None, derandomize=True, max_examples=400)
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
    """Say what the test says, at each word it hears."""

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
    """The cork knows what its writes have to do."""

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
        """Behind what the kernel has not taken all waits, until that has left."""
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
        peer.transport.socket.coming += b"x"
        peer.transport.doRead()
        self.assertEqual(bytes(peer.transport.socket.going), b"first second")
        self.assertEqual(self.states(peer), (UNCORKED, CORKED))
        self.assertEqual(peer.value(), b"first second")
        self.assertEqual(peer.clock.writers, set())

    def test_afterHalfClose(self) -> None:
        """Whoever has finished stays so, and drops what is said later."""
        peer = connected(Says(b"late"))
        peer.transport.loseWriteConnection()
        peer.value()
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.ended, peer.connected), (b"", True, True))
        self.assertEqual(peer.clock.writers, set())


class PiecesTests(SynchronousTestCase):
    """What waits leaves piece by piece, in as few sends as can be."""

    def waiting(self, *pieces: bytes) -> Peer:
        """Connect to someone who takes ten bytes, and say more to him."""
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

    def test_nothingWaits(self) -> None:
        """Where nothing waits the kernel is not asked."""
        peer = connected(Says())
        peer.transport.socket.sendmsg = lambda pieces: self.fail("asked")
        peer.transport.doWrite()
        peer.transport.loseConnection()
        self.assertEqual((peer.value(), peer.ended), (b"", True))

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
    """What the kernel says to a send."""

    def failing(self, *errors: int) -> Peer:
        """Connect to someone whose first sends meet errors."""
        peer = connected(Says(b"answer"))
        left = list(errors)
        socket = peer.transport.socket
        original = socket.send

        def send(data: bytes) -> int:
            if left:
                raise OSError(left.pop(0), "of the test")
            return original(data)  # type: ignore[no-any-return]

        socket.send = send
        return peer

    def test_again(self) -> None:
        """EAGAIN is no error: it is sent when there is room."""
        peer = self.failing(errno.EAGAIN, errno.EAGAIN)
        peer.write(b"x")
        self.assertEqual((peer.value(), peer.transport.sent), (b"answer", 6))

    def test_noBuffers(self) -> None:
        """Nor is ENOBUFS, on the reactor's turn."""
        peer = self.failing(errno.EAGAIN, errno.ENOBUFS)
        peer.write(b"x")
        self.assertEqual(peer.value(), b"answer")
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.errno), ("fin", None))

    def test_noBuffersAtOnce(self) -> None:
        """Nor at once: the connection that lives on is not told as one that was reset."""
        peer = self.failing(errno.ENOBUFS)
        peer.write(b"x")
        self.assertEqual(peer.value(), b"answer")
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.errno), ("fin", None))

    def test_broken(self) -> None:
        """Any other is the end, told by the first error."""
        peer = self.failing(errno.ECONNRESET, errno.EPIPE)
        peer.write(b"x")
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.errno), ("reset", errno.ECONNRESET))

    def test_brokenOnTheReactorsTurn(self) -> None:
        """The same for what had to wait."""
        peer = self.failing(errno.EAGAIN, errno.EPIPE)
        peer.write(b"x")
        assert peer.ending is not None
        self.assertEqual((peer.ending.how, peer.ending.errno), ("reset", errno.EPIPE))


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
        producer.pauseProducing = lambda: None
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


class WriterTests(SynchronousTestCase):
    """The reactor's turn may come when there is nothing to do any more."""

    def test_gone(self) -> None:
        """After the end it does nothing."""
        peer = connected(Says(b"bye"))
        transport = peer.transport
        peer.finish()
        self.assertIs(transport.doWrite(), None)

    def test_finished(self) -> None:
        """After our FIN it asks not to be told again, and finishes no second time."""
        peer = connected(Says())
        peer.transport.loseWriteConnection()
        peer.value()
        del peer.transport.socket.finished
        peer.clock.addWriter(peer.transport)
        self.assertTrue(peer.connected)
        self.assertEqual(peer.clock.writers, set())
        self.assertFalse(hasattr(peer.transport.socket, "finished"))
        peer.transport.socket.finished = True

    def test_sentMeanwhile(self) -> None:
        """What a read has sent meanwhile is not sent again, nor counted."""
        peer = connected(Says(b"second"))
        peer.transport.write(b"first ")
        peer.transport.socket.coming += b"x"
        peer.transport.doRead()
        self.assertIs(peer.transport.doWrite(), None)
        self.assertEqual((peer.value(), peer.transport.sent), (b"first second", 12))


class ProducerTests(SynchronousTestCase):
    """A producer is paused when too much waits, whatever it waits in."""

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

    def test_stock(self) -> None:
        """Twisted counts what it tries to send and what it has not looked at yet together."""
        self.assertEqual(self.paused(StockTransport), ["pause", "resume"])

    def test_ours(self) -> None:
        """So do we."""
        self.assertEqual(self.paused(MemoryTransport), ["pause", "resume"])

    def test_pauseFails(self) -> None:
        """One that fails when it is paused ends its connection, and no other."""

        class Fails(Producer):
            def pauseProducing(self) -> None:
                raise ZeroDivisionError

        peer = connected(Says(b"x" * 200_000))
        peer.window, peer.reading = 10, False
        peer.transport.registerProducer(Fails(Actor(), 0), True)
        peer.write(b"x")
        self.assertFalse(peer.connected)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
