"""Tests for `tcplab.testing.peer`."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols import Ack, Conversation, ConversationFactory, Echo, LabConversation
from tcplab.testing import Peer, connected
from tcplab.wire.framing import Lines


class Shout(Conversation):
    framing = Lines

    def messageReceived(self, message: bytes) -> None:
        self.report(message)
        self.send(message.upper())


class Plain(Protocol):
    """A plain protocol that keeps what it receives."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.reasons: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        assert reason is not None
        self.reasons.append(reason)


class Endless(Conversation):
    """Writes whenever there is room."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.write(b"x" * 10_000)

    def stopProducing(self) -> None: ...


class ConnectedTests(SynchronousTestCase):
    def test_whatCanBeConnected(self) -> None:
        """A protocol, a class or a factory, of any kind; each connection is separate."""
        for what in (
            *(Plain(), Plain, Factory.forProtocol(Plain)),
            *(Shout(), Shout, ConversationFactory(Shout)),
        ):
            peer = connected(what)
            self.assertIsInstance(peer, Peer)
            self.assertTrue(peer.connected and peer.protocol.connected)
            self.assertIs(peer.transport.protocol, peer.protocol)
        instance = Plain()
        self.assertIs(connected(instance).protocol, instance)
        greeting = connected(ConversationFactory(LabConversation, greeting=b"Welcome"))
        self.assertEqual(greeting.value(), b"Welcome")
        one, two = connected(Echo), connected(Echo)
        two.write(b"two")
        one.reset()
        self.assertEqual((one.value(), two.value(), two.connected), (b"", b"two", True))

    def test_whatCannot(self) -> None:
        """One line says why, and what to write."""

        class Refusing(Factory):  # type: ignore[type-arg]
            def buildProtocol(self, addr: object) -> None: ...

        used = Plain()
        connected(used)
        for what, says in (
            (Refusing(), "refuses the connection"),
            (Peer, "takes a Protocol, its class or a factory, not <class"),
            (ConversationFactory, "give it made, ConversationFactory(protocol=...)"),
            (used, "this Plain has had a connection: make another one, Plain()"),
            ("echo", "takes a Protocol, its class or a factory, not 'echo'"),
            (None, "takes a Protocol, its class or a factory, not None"),
            (int, "takes a Protocol, its class or a factory, not <class 'int'>"),
        ):
            self.assertIn(says, str(self.assertRaises(TypeError, connected, what)))
        peer: Any = connected(Plain)
        for send in (peer.write, peer.finish):
            self.assertIn("bytes, not str", str(self.assertRaises(TypeError, send, "hi")))

    def test_addresses(self) -> None:
        peer = connected(Echo)
        for address, port in (peer.protocol.peer, 36702), (peer.transport.getHost(), 50544):
            place = address.type, address.host, address.port
            self.assertEqual(place, ("TCP", "127.0.0.1", port))


class DataTests(SynchronousTestCase):
    def test_write(self) -> None:
        """Each write is delivered by itself; the value is all bytes since the last clear."""
        peer = connected(Shout)
        peer.write(b"one\ntwo\n")
        self.assertEqual([peer.value(), peer.value()], [b"ONE\nTWO\n"] * 2)
        self.assertEqual(peer.messages, [b"one", b"two"])
        peer.protocol.send(b"dropped")
        peer.clear()
        self.assertEqual(peer.value(), b"")
        peer.protocol.send(b"by itself")
        self.assertEqual(peer.value(), b"by itself\n")
        plain = connected(Plain)
        for data in (b"one", b"two"):
            plain.write(data)
        self.assertEqual(plain.protocol.received, [b"one", b"two"])

    def test_bytesForAClosedConnection(self) -> None:
        """They are answered by a reset, as by any kernel."""
        peer = connected(Plain)
        peer.protocol.transport.loseConnection()
        self.assertFalse(peer.connected)
        peer.write(b"")
        self.assertFalse(peer.wasReset)
        peer.write(b"hello?")
        self.assertEqual((peer.wasReset, peer.protocol.received), (True, []))

    def test_slowReader(self) -> None:
        """The window fills; each read makes room; after resume the peer reads all."""
        peer = connected(Plain)
        self.assertEqual(peer.window, 65_536)
        peer.reading, peer.window = False, 10
        peer.transport.write(b"0123456789abcdef")
        peer.clock.advance(0)
        seen = [(peer.value(), peer.transport.sent)]
        for size in 3, 10, 100:
            peer.read(size)
            seen.append((peer.value(), peer.transport.sent))
        all_ = b"0123456789abcdef"
        self.assertEqual(seen, [(b"", 10), (all_[:3], 13), (all_[:13], 16), (all_, 16)])
        peer.transport.write(b"x" * 1_000)
        peer.resume()
        peer.transport.write(b"y")
        self.assertEqual(len(peer.value()), 16 + 1_000 + 1)

    def test_endNotReadYet(self) -> None:
        """The end is seen behind the last byte."""
        peer = connected(Ack)
        peer.reading = False
        peer.protocol.write(b"x" * 100)
        peer.write(b"hi")
        peer.read(99)
        self.assertFalse(peer.ended)
        peer.read(1)
        self.assertTrue(peer.ended)

    def test_endlessStreams(self) -> None:
        """Each call reads about as much as the limit."""
        endless = connected(Endless)
        for limit in 2**20, 100_000:
            endless.readLimit = limit
            endless.clear()
            endless.clock.advance(1)
            self.assertGreaterEqual(len(endless.value()), limit)
            self.assertLess(len(endless.value()), 20 * limit)

    def test_pausedServer(self) -> None:
        """Bytes and FIN are delivered in order when the server reads again."""
        peer = connected(Plain)
        peer.transport.pauseProducing()
        peer.write(b"one")
        peer.finish(b"two")
        self.assertEqual((peer.protocol.received, peer.connected), ([], True))
        peer.transport.resumeProducing()
        peer.clock.advance(0)
        self.assertEqual(b"".join(peer.protocol.received), b"onetwo")
        self.assertFalse(peer.connected)


class EndingTests(SynchronousTestCase):
    def assertEnded(self, peer: Peer, *ending: object, reset: bool = False) -> None:
        """Check by which side a connection ended, how, why and with what number."""
        self.assertEqual((peer.connected, peer.wasReset), (False, reset))
        assert peer.ending is not None
        self.assertEqual(peer.ending[:4], ending)

    def test_open(self) -> None:
        peer = connected(Ack)
        seen = peer.connected, peer.ended, peer.wasReset, peer.ending
        self.assertEqual(seen, (True, False, False, None))
        peer.write(b"hi")
        self.assertEqual((peer.ended, peer.connected), (True, True))  # half-closed

    def test_finish(self) -> None:
        """The answer to bytes right before FIN is read; without half-close FIN is the end."""
        peer, plain = connected(Shout), connected(Plain)
        for each in (peer, plain):
            each.finish(b"last words")
            self.assertTrue(each.ended)
            self.assertEnded(each, "peer", "fin", None, None)
        self.assertEqual(peer.value(), b"LAST WORDS\n")
        self.assertEqual(plain.protocol.received, [b"last words"])
        self.assertTrue(plain.protocol.reasons[0].check(ConnectionDone))

    def test_reset(self) -> None:
        """A reset destroys what was not read yet."""
        unread, peer = connected(Plain), connected(Plain)
        unread.transport.pauseProducing()
        unread.write(b"on its way")
        unread.reset()
        unread.transport.resumeProducing()
        self.assertEqual((unread.protocol.received, unread.connected), ([], False))
        peer.reset()
        self.assertEnded(peer, "peer", "reset", None, errno.ECONNRESET)
        self.assertTrue(peer.protocol.reasons[0].check(ConnectionLost))

    def test_serverResets(self) -> None:
        """By abort, by a close with unread input, and by an exception."""
        aborted, unread, broken = connected(Echo), connected(Plain), connected(Plain)
        aborted.protocol.abort("fault")
        self.assertEnded(aborted, "server", "reset", "fault", None, reset=True)
        unread.transport.pauseProducing()
        unread.write(b"not read")
        unread.transport.loseConnection()
        self.assertEnded(unread, "server", "reset", None, None, reset=True)
        broken.protocol.received = None
        broken.write(b"hi")
        self.assertEnded(broken, "server", "fin", "error", None)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)


class TimeTests(SynchronousTestCase):
    def test_clock(self) -> None:
        """Timers run as the test moves the clock; what they do has happened afterwards."""
        peer: Any = connected(Plain)
        self.assertIsInstance(peer.clock, Clock)
        peer.clock.callLater(3, peer.transport.write, b"later")
        peer.clock.callLater(4, peer.transport.loseConnection)
        peer.clock.advance(3)
        self.assertEqual((peer.value(), peer.ended), (b"later", False))
        peer.clock.pump([0.5, 0.5])
        self.assertEqual((peer.ended, len(peer.protocol.reasons)), (True, 1))
        self.assertEqual(peer.ending.seconds, 4.0)

    def test_deadlines(self) -> None:
        """The deadlines of a conversation are on the clock."""
        peer = connected(Ack)
        peer.write(b"hi")
        peer.clock.advance(1.99)
        self.assertTrue(peer.connected)
        peer.clock.advance(0.01)
        self.assertFalse(peer.connected)

    def test_drain(self) -> None:
        """The peer's listener drains it as a server's does."""
        peer = connected(Shout)
        peer.listener.drain()
        self.assertTrue(peer.ended)
        self.assertEqual(peer.listener.connections, {peer.transport})
        peer.finish()
        self.assertEqual(peer.listener.connections, set())
