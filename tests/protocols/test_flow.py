"""Tests for `tcplab.protocols.flow`."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.protocols.basic import FileSender
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.dialogue import Dialogue
from tcplab.protocols.echo import Echo
from tcplab.protocols.services import Chargen
from tcplab.reactor.stack import bufferedBytes
from tcplab.testing import connected
from tcplab.wire.framing import Lines

MEGABYTE = b"x" * 2**20


class Tenfold(Conversation):
    """Answer each line with ten thousand bytes."""

    framing = Lines
    heard = 0

    def messageReceived(self, message: bytes) -> None:
        self.heard += 1
        self.write(message[:1] * 10_000)


class BackPressureTests(SynchronousTestCase):
    """A peer that does not read stops its own stream."""

    def test_deafPeer(self) -> None:
        """What is held for a peer that does not read is bounded."""
        peer = connected(Echo())
        peer.reading = False
        peer.write(MEGABYTE * 20)
        held = bufferedBytes(peer.transport)
        assert held is not None
        self.assertLessEqual(held, 192 * 1024)
        self.assertLess(peer.transport.received, 320 * 1024)
        self.assertFalse(peer.protocol.writable)

    def test_nothingIsLostByWaiting(self) -> None:
        """When it reads again everything comes, in order."""
        peer = connected(Echo())
        peer.reading = False
        said = bytes(range(256)) * 40_000
        peer.write(said)
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(peer.value(), said)
        self.assertTrue(peer.protocol.writable)

    def test_smallQuestionsLargeAnswers(self) -> None:
        """Messages that are here already wait too: answers do not pile up."""
        tenfold = Tenfold()
        peer = connected(tenfold)
        peer.reading = False
        peer.write(b"a\n" * 20_000)
        held = bufferedBytes(peer.transport)
        assert held is not None
        self.assertLess(held, 128 * 1024)
        self.assertLess(tenfold.heard, 30)
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(tenfold.heard, 20_000)
        self.assertEqual(len(peer.value()), 20_000 * 10_000)

    def test_endBehindWaitingMessages(self) -> None:
        """A FIN behind messages that wait is told after them."""
        tenfold = Tenfold()
        peer = connected(tenfold)
        peer.reading = False
        peer.finish(b"a\n" * 1000)
        self.assertFalse(peer.ended)
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(len(peer.value()), 1000 * 10_000)
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)

    def test_slowReaderOfFramedAnswers(self) -> None:
        """While a peer reads slowly, no more is taken from it than it takes from us."""

        class Lined(Echo):
            framing = Lines

        peer = connected(Lined())
        peer.reading = False
        peer.write(b"some line\n" * 1_000_000)
        for _ in range(100):
            peer.read(20_000)
            self.assertLess(peer.transport.received - peer.transport.sent, 256 * 1024)
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(peer.value(), b"some line\n" * 1_000_000)


class MaxUnsentTests(SynchronousTestCase):
    """What others send to a peer that does not read is bounded."""

    def broadcast(self, peer: Any, pieces: int, size: int = 1000) -> int:
        for number in range(pieces):
            peer.protocol.write(b"x" * size)
            peer.clock.advance(0)
            if not peer.connected:
                return number
        return pieces

    def test_deafListener(self) -> None:
        """Beyond maxUnsent the connection is aborted and says so."""
        peer = connected(Echo())
        peer.reading = False
        written = self.broadcast(peer, 100_000) * 1000
        self.assertFalse(peer.connected)
        self.assertGreater(written, 2**20)
        self.assertLess(written, 2**20 + 300_000)  # and what the kernel and the first buffer hold
        self.assertEqual(peer.ending.why, "unread")

    def test_slowListener(self) -> None:
        """One who reads, if slowly, may be told any amount."""
        peer = connected(Echo())
        peer.reading = False
        self.broadcast(peer, 200)
        for _ in range(5000):
            self.broadcast(peer, 1)
            peer.read(1000)
        self.assertTrue(peer.connected)
        self.assertGreater(len(peer.value()), 3 * 2**20)

    def test_oneLargeAnswer(self) -> None:
        """A single answer of any size is no reason to abort."""
        peer = connected(Echo())
        peer.protocol.write(MEGABYTE * 5)
        peer.protocol.write(b"and this")
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(len(peer.value()), 5 * 2**20 + 8)

    def test_whileAnotherProducerRules(self) -> None:
        """A producer of the subclass's own does not lift the bound."""
        peer = connected(Echo())
        peer.reading = False
        FileSender().beginFileTransfer(io.BytesIO(MEGABYTE), peer.protocol.transport).addErrback(
            lambda failure: None
        )
        self.broadcast(peer, 100_000)
        self.assertFalse(peer.connected)
        self.assertEqual(peer.ending.why, "unread")


class OtherProducerTests(SynchronousTestCase):
    """A producer of the subclass's own takes over flow control and gives it back."""

    def test_fileSender(self) -> None:
        """Twisted's FileSender finds the transport free, and flow control returns after it."""

        class Send(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                FileSender().beginFileTransfer(io.BytesIO(MEGABYTE), self.transport).addCallback(
                    lambda last: self.send(b"that was it")
                )

        peer = connected(Send())
        peer.appetite = 2**30
        peer.write(b"go\n")
        self.assertEqual(peer.value(), MEGABYTE + b"that was it\n")
        self.assertIs(peer.transport.producer, peer.protocol.flow)

    def test_habitualLoseConnection(self) -> None:
        """transport.loseConnection() waits for a registered producer, as ever in Twisted."""

        class Send(Conversation):
            def connectionMade(self) -> None:
                FileSender().beginFileTransfer(io.BytesIO(MEGABYTE), self.transport)
                self.transport.loseConnection()

        peer = connected(Send())
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(peer.value(), MEGABYTE)
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.connected)

    def test_hangUpStopsIt(self) -> None:
        """hangUp() does not wait: the producer is told to stop."""

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
        self.assertTrue(endless.stopped)
        self.assertTrue(peer.ended)

    def test_twoAtOnce(self) -> None:
        """A second one is refused, as by Twisted's transports."""
        echo = Echo()
        connected(echo)
        echo.transport.registerProducer(FileSender(), True)
        self.assertRaises(RuntimeError, echo.transport.registerProducer, FileSender(), True)


class WhenFlushedTests(SynchronousTestCase):
    """whenFlushed() tells when it is time to write more."""

    def test_atOnce(self) -> None:
        """It fires at once when nothing waits."""
        echo = Echo()
        connected(echo)
        self.assertIsNone(self.successResultOf(echo.whenFlushed()))

    def test_later(self) -> None:
        """It fires when the peer has taken what waits."""
        echo = Echo()
        peer = connected(echo)
        peer.reading = False
        echo.write(MEGABYTE)
        flushed = echo.whenFlushed()
        self.assertNoResult(flushed)
        peer.resume()
        self.assertIsNone(self.successResultOf(flushed))

    def test_lost(self) -> None:
        """It fails when the connection is lost."""
        echo = Echo()
        peer = connected(echo)
        peer.reading = False
        echo.write(MEGABYTE)
        flushed = echo.whenFlushed()
        peer.reset()
        self.failureResultOf(flushed, ConnectionLost)

    def test_cancelled(self) -> None:
        """It may be given up."""
        echo = Echo()
        peer = connected(echo)
        peer.reading = False
        echo.write(MEGABYTE)
        flushed = echo.whenFlushed()
        flushed.addErrback(lambda failure: None)
        flushed.cancel()
        peer.resume()
        self.assertTrue(echo.writable)


class MutualTests(SynchronousTestCase):
    """Two ends that both control their flow do not wait for each other for ever."""

    def test_muchIsSaidFirst(self) -> None:
        """While much of what we said waits, what the peer says is still heard."""

        class Count(Conversation):
            heard = 0

            def connectionMade(self) -> None:
                self.write(MEGABYTE * 8)

            def messageReceived(self, message: bytes) -> None:
                self.heard += len(message)

        count = Count()
        peer = connected(count)
        peer.reading = False
        peer.write(MEGABYTE * 3)
        self.assertEqual(count.heard, 3 * 2**20)

    def test_muchIsSaidInADialogue(self) -> None:
        """A dialogue may say much and then await the answer to it."""

        class Ask(Dialogue):
            answer = b""

            async def converse(self) -> None:
                self.write(MEGABYTE * 8)
                self.answer = await self.receiveExactly(3 * 2**20)

        ask = Ask()
        peer = connected(ask)
        peer.reading = False
        peer.write(MEGABYTE * 3)
        self.assertEqual(len(ask.answer), 3 * 2**20)


class PartingTests(SynchronousTestCase):
    """What is over holds nobody: what was not sent would wait for the garbage collector with it."""

    def test_producerOfItsOwn(self) -> None:
        """A conversation that is its own producer is not kept by its flow."""
        chargen = Chargen()
        peer = connected(chargen)
        self.assertIs(chargen.flow.otherProducer, chargen)
        peer.reset()
        self.assertIsNone(chargen.flow.otherProducer)
