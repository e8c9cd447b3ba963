"""Tests for `tcplab.protocols.flow`."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer
from twisted.protocols.basic import FileSender
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.services import Chargen
from tcplab.reactor.stack import bufferedBytes
from tcplab.testing import Peer, connected
from tcplab.wire.framing import Lines
from tests.support.conversations import ending

MEGABYTE = b"x" * 2**20


def unread(conversation: Conversation) -> Peer:
    """Connect a peer that does not read; once it does, it reads all."""
    peer = connected(conversation)
    peer.reading = False
    peer.readLimit = 2**30
    return peer


def sendFile(conversation: Conversation) -> Any:
    return FileSender().beginFileTransfer(io.BytesIO(MEGABYTE), conversation.transport)


class Tenfold(Conversation):
    """Answer each line with ten thousand bytes."""

    framing = Lines
    heard = 0

    def messageReceived(self, message: bytes) -> None:
        self.heard += 1
        self.write(message[:1] * 10_000)


class BackPressureTests(SynchronousTestCase):
    """A peer that does not read stops its own stream."""

    def test_stream(self) -> None:
        """Little is held for it; when it reads again all is received, in order."""
        peer = unread(Echo())
        said = bytes(range(256)) * 80_000
        peer.write(said)
        self.assertLessEqual(bufferedBytes(peer.transport) or 0, 192 * 1024)
        self.assertLess(peer.transport.received, 320 * 1024)
        self.assertFalse(peer.protocol.writable)
        peer.resume()
        self.assertEqual(peer.value(), said)
        self.assertTrue(peer.protocol.writable)

    def test_largeAnswers(self) -> None:
        """Messages that were received already wait too, and FIN behind them."""
        tenfold = Tenfold()
        peer = unread(tenfold)
        peer.finish(b"a\n" * 20_000)
        self.assertLess(bufferedBytes(peer.transport) or 0, 128 * 1024)
        self.assertLess(tenfold.heard, 30)
        self.assertFalse(peer.ended)
        peer.resume()
        self.assertEqual(tenfold.heard, 20_000)
        self.assertEqual(len(peer.value()), 20_000 * 10_000)
        self.assertEqual((peer.ended, peer.wasReset), (True, False))

    def test_slowReader(self) -> None:
        """No more is read from a slow reader than it takes."""

        class Lined(Echo):
            framing = Lines

        peer = unread(Lined())
        peer.write(b"some line\n" * 1_000_000)
        for _ in range(100):
            peer.read(20_000)
            self.assertLess(peer.transport.received - peer.transport.sent, 256 * 1024)
        peer.resume()
        self.assertEqual(peer.value(), b"some line\n" * 1_000_000)

    def test_mutual(self) -> None:
        """While many bytes wait to be sent, input is read that may be what the peer waits for."""

        class Count(Conversation):
            heard = 0

            def connectionMade(self) -> None:
                self.write(MEGABYTE * 8)

            def messageReceived(self, message: bytes) -> None:
                self.heard += len(message)

        class Ask(Dialogue):
            heard = 0

            async def converse(self) -> None:
                self.write(MEGABYTE * 8)
                self.heard = len(await self.receiveExactly(3 * 2**20))

        for kind in (Count, Ask):
            peer = unread(kind())
            peer.write(MEGABYTE * 3)
            self.assertEqual(peer.protocol.heard, 3 * 2**20)


class MaxUnsentTests(SynchronousTestCase):
    """What is written to a peer that does not read is bounded."""

    def broadcast(self, peer: Any, pieces: int) -> int:
        """Write pieces of 1000 bytes; return how many until the connection was lost."""
        for number in range(pieces):
            peer.protocol.write(b"x" * 1000)
            peer.clock.advance(0)
            if not peer.connected:
                return number
        return pieces

    def test_exceeded(self) -> None:
        """Beyond maxUnsent the connection is aborted; another producer does not lift the bound."""
        for producer in (False, True):
            peer = unread(Echo())
            if producer:
                sendFile(peer.protocol).addErrback(lambda failure: None)
            written = self.broadcast(peer, 100_000) * 1000
            # Besides, the kernel and the first buffer hold a part.
            self.assertLess(written, 2**20 + 300_000)
            self.assertTrue(producer or written > 2**20)
            self.assertEqual(ending(peer)[1], "unread")

    def test_slowReader(self) -> None:
        """A peer that reads, if slowly, may be sent any amount."""
        peer = unread(Echo())
        self.broadcast(peer, 200)
        for _ in range(5000):
            self.broadcast(peer, 1)
            peer.read(1000)
        self.assertTrue(peer.connected)
        self.assertGreater(len(peer.value()), 3 * 2**20)

    def test_oneLargeAnswer(self) -> None:
        """A single answer of any size is no reason to abort."""
        peer = unread(Echo())
        peer.protocol.write(MEGABYTE * 5)
        peer.protocol.write(b"and this")
        peer.resume()
        self.assertEqual(len(peer.value()), 5 * 2**20 + 8)


class OtherProducerTests(SynchronousTestCase):
    """A producer of the subclass's own takes flow control over, and gives it back."""

    def test_fileSender(self) -> None:
        """Twisted's FileSender may register, also while much waits; afterwards flow returns."""

        class Send(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                self.write(MEGABYTE)
                sendFile(self).addCallback(lambda last: self.send(b"that was it"))

        peer = unread(Send())
        peer.write(b"go\n")
        peer.resume()
        self.assertEqual(peer.value(), MEGABYTE * 2 + b"that was it\n")
        self.assertIs(peer.transport.producer, peer.protocol.flow)

    def test_transportClosed(self) -> None:
        """loseConnection() and loseWriteConnection() of the transport wait for the producer."""
        for close in ("loseConnection", "loseWriteConnection"):
            peer = unread(Echo())
            sendFile(peer.protocol)
            for _ in range(2):
                getattr(peer.protocol.transport, close)()
            self.assertFalse(peer.ended)
            peer.resume()
            self.assertEqual((peer.value(), peer.ended), (MEGABYTE, True))
            peer.finish()
            self.assertFalse(peer.connected or peer.wasReset)

    def test_hangUp(self) -> None:
        """hangUp() does not wait: the producer is stopped."""

        @implementer(IPullProducer)
        class Endless:
            stopped = False

            def __init__(self, conversation: Conversation) -> None:
                self.conversation = conversation
                self.left = 10

            def resumeProducing(self) -> None:
                self.conversation.write(b"x")
                self.left -= 1
                if not self.left:
                    self.conversation.hangUp()

            def stopProducing(self) -> None:
                self.stopped = True

        echo = Echo()
        peer = connected(echo)
        endless = Endless(echo)
        echo.transport.registerProducer(endless, False)
        peer.resume()
        self.assertEqual(peer.value(), b"x" * 10)
        self.assertTrue(endless.stopped and peer.ended)

    def test_two(self) -> None:
        """A second one is refused, as by Twisted's transports."""
        echo = Echo()
        connected(echo)
        echo.transport.registerProducer(FileSender(), True)
        self.assertRaises(RuntimeError, echo.transport.registerProducer, FileSender(), True)

    def test_afterTheEnd(self) -> None:
        """After hangUp() the transport is free for any producer; a lost one keeps none."""
        chargen = Chargen()
        peer = connected(chargen)
        self.assertIs(chargen.flow.otherProducer, chargen)
        peer.reset()
        self.assertIsNone(chargen.flow.otherProducer)
        echo = Echo()
        peer = connected(echo)
        echo.hangUp()
        sender = FileSender()
        echo.transport.registerProducer(sender, True)
        self.assertIs(peer.transport.producer, sender)
        echo.transport.unregisterProducer()
        self.assertIsNone(peer.transport.producer)


class WhenFlushedTests(SynchronousTestCase):
    """whenFlushed() fires when it is time to write more."""

    def test_fires(self) -> None:
        """At once when nothing waits, else when the peer has read what does."""
        echo = Echo()
        peer = unread(echo)
        self.assertIsNone(self.successResultOf(echo.whenFlushed()))
        echo.write(MEGABYTE)
        flushed, second, cancelled = (echo.whenFlushed() for _ in range(3))
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.assertNoResult(flushed)
        peer.resume()
        for each in (flushed, second):
            self.assertIsNone(self.successResultOf(each))

    def test_lost(self) -> None:
        """It fails when the connection is lost."""
        echo = Echo()
        peer = unread(echo)
        echo.write(MEGABYTE)
        flushed = echo.whenFlushed()
        peer.reset()
        self.failureResultOf(flushed, ConnectionLost)
