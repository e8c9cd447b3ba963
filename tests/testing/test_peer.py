"""Tests for `tcplab.testing.peer`."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack
from tcplab.testing import Peer, connected
from tcplab.wire.framing import Lines


class Shout(Conversation):
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.report(message)
        self.send(message.upper())


class Plain(Protocol):
    """A plain protocol that keeps what happens to it."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.reasons: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.reasons.append(reason)


class Endless(Conversation):
    """Say more whenever there is room."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.write(b"x" * 10_000)

    def stopProducing(self) -> None: ...


class ConnectedTests(SynchronousTestCase):
    """Three lines are enough to test a behaviour."""

    def test_threeLines(self) -> None:
        """Connect, say, look."""
        peer = connected(Shout())
        peer.write(b"hi\n")
        self.assertEqual(peer.value(), b"HI\n")

    def test_anyProtocol(self) -> None:
        """An instance, a class, a factory of any kind: each is connected."""
        for what in (
            Plain(),
            Plain,
            Factory.forProtocol(Plain),
            Shout(),
            Shout,
            ConversationFactory(Shout),
        ):
            peer = connected(what)
            self.assertIsInstance(peer, Peer)
            self.assertTrue(peer.connected)
            self.assertTrue(peer.protocol.connected)
            self.assertIs(peer.transport.protocol, peer.protocol)
        instance = Plain()
        self.assertIs(connected(instance).protocol, instance)

    def test_factorySettings(self) -> None:
        """What a factory sets is set."""
        peer = connected(ConversationFactory(LabConversation, greeting=b"Welcome"))
        self.assertEqual(peer.value(), b"Welcome")

    def test_eachItsOwn(self) -> None:
        """Two connections know nothing of each other."""
        one, two = connected(Echo), connected(Echo)
        one.write(b"one")
        two.write(b"two")
        self.assertEqual((one.value(), two.value()), (b"one", b"two"))
        one.reset()
        self.assertTrue(two.connected)

    def test_addresses(self) -> None:
        """It has the addresses of a connection to the lab."""
        peer = connected(Echo)
        address = peer.protocol.peer
        self.assertEqual((address.type, address.host, address.port), ("TCP", "127.0.0.1", 36702))
        host = peer.transport.getHost()
        self.assertEqual((host.type, host.host, host.port), ("TCP", "127.0.0.1", 50544))


class SayingTests(SynchronousTestCase):
    """What the peer says arrives; what it is told can be seen."""

    def test_write(self) -> None:
        """Each piece is delivered by itself."""
        peer = connected(Plain)
        peer.write(b"one")
        peer.write(b"two")
        self.assertEqual(peer.protocol.received, [b"one", b"two"])

    def test_valueAndClear(self) -> None:
        """All since the beginning, or since it was forgotten."""
        peer = connected(Shout)
        peer.write(b"one\n")
        peer.write(b"two\n")
        self.assertEqual(peer.value(), b"ONE\nTWO\n")
        self.assertEqual(peer.value(), b"ONE\nTWO\n")
        peer.clear()
        self.assertEqual(peer.value(), b"")
        peer.write(b"three\n")
        self.assertEqual(peer.value(), b"THREE\n")

    def test_unaskedWords(self) -> None:
        """What the server says of its own accord is seen too."""
        peer = connected(Shout)
        peer.protocol.send(b"by the way")
        self.assertEqual(peer.value(), b"by the way\n")
        peer.protocol.send(b"and")
        peer.clear()
        self.assertEqual(peer.value(), b"")

    def test_messages(self) -> None:
        """Reported messages are kept."""
        peer = connected(Shout)
        peer.write(b"one\ntwo\n")
        self.assertEqual(peer.messages, [b"one", b"two"])

    def test_wordsForAClosedConnection(self) -> None:
        """They are answered by a reset, as by any kernel; silence is not."""
        peer = connected(Plain)
        peer.protocol.transport.loseConnection()
        self.assertFalse(peer.connected)
        peer.write(b"")
        self.assertFalse(peer.wasReset)
        peer.write(b"hello?")
        self.assertTrue(peer.wasReset)
        self.assertEqual(peer.protocol.received, [])


class SlowReaderTests(SynchronousTestCase):
    """A peer that does not read, or only now and then."""

    def test_notReading(self) -> None:
        """64 KiB go to where the kernel would keep them; the rest waits in the server."""
        peer = connected(Plain)
        peer.reading = False
        peer.transport.write(b"x" * 100_000)
        self.assertEqual(peer.value(), b"")
        self.assertEqual(peer.transport.sent, 64 * 1024)

    def test_readSome(self) -> None:
        """Reading makes room, a byte at a time if need be."""
        peer = connected(Plain)
        peer.reading, peer.window = False, 10
        peer.transport.write(b"0123456789abcdef")
        peer.clock.advance(0)
        self.assertEqual((peer.value(), peer.transport.sent), (b"", 10))
        peer.read(3)
        self.assertEqual((peer.value(), peer.transport.sent), (b"012", 13))
        peer.read(100)
        self.assertEqual(peer.value(), b"0123456789abc")
        peer.read(100)
        self.assertEqual((peer.value(), peer.transport.sent), (b"0123456789abcdef", 16))

    def test_resume(self) -> None:
        """Reading again, it gets all that waits, and whatever follows."""
        peer = connected(Plain)
        peer.reading, peer.window = False, 10
        peer.transport.write(b"x" * 1_000)
        peer.clock.advance(0)
        peer.resume()
        self.assertEqual(len(peer.value()), 1_000)
        peer.transport.write(b"y")
        self.assertEqual(len(peer.value()), 1_001)

    def test_window(self) -> None:
        """How much fits on the way can be asked and set."""
        peer = connected(Plain)
        self.assertEqual(peer.window, 65_536)
        peer.window = 7
        self.assertEqual(peer.window, 7)

    def test_endNotReadYet(self) -> None:
        """It has not been told the end before it has read so far."""
        peer = connected(Ack)
        peer.clear()
        peer.reading = False
        peer.protocol.write(b"x" * 100)
        peer.write(b"hi")
        self.assertFalse(peer.ended)
        peer.read(99)
        self.assertFalse(peer.ended)
        peer.read(1)
        self.assertTrue(peer.ended)

    def test_endlessStreams(self) -> None:
        """Of an endless stream it reads as much as its appetite, at everything that it does."""
        endless = connected(Endless)
        first = len(endless.value())
        self.assertGreaterEqual(first, endless.readLimit)
        self.assertLess(first, 10 * endless.readLimit)
        endless.readLimit = 100_000
        endless.clear()
        endless.clock.advance(1)
        self.assertGreaterEqual(len(endless.value()), 100_000)
        self.assertLess(len(endless.value()), 2_000_000)


class EndingTests(SynchronousTestCase):
    """How it ends, seen from the other end."""

    def test_beforeTheEnd(self) -> None:
        """Nothing has ended."""
        peer = connected(Echo)
        peer.write(b"hi")
        self.assertEqual(
            (peer.connected, peer.ended, peer.wasReset, peer.ending), (True, False, False, None)
        )

    def test_finish(self) -> None:
        """FIN stands right behind the last word, and the answer to that is still read."""
        peer = connected(Shout)
        peer.finish(b"last words")
        self.assertEqual(peer.value(), b"LAST WORDS\n")
        self.assertTrue(peer.ended)
        self.assertFalse(peer.connected)
        self.assertFalse(peer.wasReset)
        ending = peer.ending
        assert ending is not None
        self.assertEqual(
            (ending.by, ending.how, ending.why, ending.received, ending.sent),
            ("peer", "fin", None, 10, 11),
        )

    def test_finishAPlainProtocol(self) -> None:
        """A protocol that cannot half-close is over with it, as everywhere in Twisted."""
        peer = connected(Plain)
        peer.finish(b"bye")
        self.assertEqual(peer.protocol.received, [b"bye"])
        [reason] = peer.protocol.reasons
        self.assertTrue(reason.check(ConnectionDone))
        self.assertTrue(peer.ended)
        self.assertFalse(peer.connected)

    def test_reset(self) -> None:
        """The server is told of a lost connection, with the system's error."""
        peer = connected(Plain)
        peer.reset()
        [reason] = peer.protocol.reasons
        self.assertTrue(reason.check(ConnectionLost))
        self.assertFalse(peer.connected)
        self.assertFalse(peer.wasReset)  # it was not the server who did that
        ending = peer.ending
        assert ending is not None
        self.assertEqual((ending.by, ending.how, ending.errno), ("peer", "reset", errno.ECONNRESET))

    def test_resetDestroysWhatWaits(self) -> None:
        """What had been sent before a reset and was not read yet is gone."""
        peer = connected(Plain)
        peer.transport.pauseProducing()
        peer.write(b"on its way")
        peer.reset()
        peer.transport.resumeProducing()
        self.assertFalse(peer.connected)
        self.assertEqual(peer.protocol.received, [])

    def test_serverAborts(self) -> None:
        """The server has broken it off."""
        peer = connected(Echo)
        peer.protocol.abort("fault")
        self.assertTrue(peer.wasReset)
        self.assertFalse(peer.connected)
        ending = peer.ending
        assert ending is not None
        self.assertEqual((ending.by, ending.how, ending.why), ("server", "reset", "fault"))

    def test_serverClosesOnUnreadInput(self) -> None:
        """That is a reset too, whatever it thought."""
        peer = connected(Plain)
        peer.transport.pauseProducing()
        peer.write(b"not read")
        peer.transport.loseConnection()
        self.assertFalse(peer.connected)
        self.assertTrue(peer.wasReset)
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.how), ("server", "reset"))

    def test_halfClosedByTheServer(self) -> None:
        """It has been told the end, and the connection is still there."""
        peer = connected(Ack)
        peer.write(b"hi")
        self.assertTrue(peer.ended)
        self.assertTrue(peer.connected)
        peer.finish()
        self.assertFalse(peer.connected)

    def test_exceptionInAPlainProtocol(self) -> None:
        """It is logged and ends the connection, as the reactor does it."""

        class Broken(Plain):
            def dataReceived(self, data: bytes) -> None:
                raise RuntimeError("a bug of the subclass")

        peer = connected(Broken)
        peer.write(b"hi")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "error")

    def test_pausedServer(self) -> None:
        """A server that does not read finds all of it later, in order, and the end."""
        peer = connected(Plain)
        peer.transport.pauseProducing()
        peer.write(b"one")
        peer.finish(b"two")
        self.assertEqual(peer.protocol.received, [])
        self.assertTrue(peer.connected)
        peer.transport.resumeProducing()
        peer.clock.advance(0)
        self.assertEqual(b"".join(peer.protocol.received), b"onetwo")
        self.assertFalse(peer.connected)


class TimeTests(SynchronousTestCase):
    """Time passes by hand."""

    def test_clock(self) -> None:
        """It is one of Twisted's own clocks, and begins at zero."""
        peer = connected(Echo)
        self.assertIsInstance(peer.clock, Clock)
        self.assertEqual(peer.clock.seconds(), 0)

    def test_deadlines(self) -> None:
        """A conversation's deadlines run on it; no other time counts."""
        peer = connected(Ack)
        peer.write(b"hi")
        peer.clock.advance(1.99)
        self.assertTrue(peer.connected)
        peer.clock.advance(0.01)
        self.assertFalse(peer.connected)

    def test_whatIsDueHappens(self) -> None:
        """What a timer writes is seen, and what it does has its consequences."""
        peer = connected(Plain)
        peer.clock.callLater(3, peer.transport.write, b"later")
        peer.clock.callLater(4, peer.transport.loseConnection)
        peer.clock.advance(3)
        self.assertEqual(peer.value(), b"later")
        self.assertFalse(peer.ended)
        peer.clock.pump([0.5, 0.5])
        self.assertTrue(peer.ended)
        self.assertEqual(len(peer.protocol.reasons), 1)

    def test_duration(self) -> None:
        """The ending says how long it was, by this clock."""
        peer: Any = connected(Echo)
        peer.clock.advance(12.5)
        peer.finish()
        self.assertEqual(peer.ending.seconds, 12.5)

    def test_drain(self) -> None:
        """Its listener drains it as a server's does."""
        peer = connected(Shout)
        peer.listener.drain()
        self.assertTrue(peer.ended)
        self.assertEqual(peer.listener.connections, {peer.transport})
        peer.finish()
        self.assertEqual(peer.listener.connections, set())
