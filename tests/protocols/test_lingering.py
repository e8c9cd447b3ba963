"""Tests for `tcplab.protocols.lingering`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.testing import Peer, connected
from tests.support.conversations import LineRecorder, Shout, ending

GOODBYE = b"goodbye" * 30_000


class Farewell(Conversation):
    """Answer the first message by much, and close."""

    def messageReceived(self, message: bytes) -> None:
        self.write(GOODBYE)
        self.hangUp()


class Habit(Conversation):
    """Close in Twisted's way."""

    def messageReceived(self, message: bytes) -> None:
        self.transport.write(GOODBYE)
        self.transport.loseConnection()


class Closing(SynchronousTestCase):
    def assertGraceful(self, peer: Peer) -> None:
        """Check that the server has finished, and close without a reset when the peer has."""
        self.assertTrue(peer.ended)
        self.assertTrue(peer.connected)
        peer.finish()
        self.assertEqual(ending(peer)[0], "fin")
        self.assertEqual(peer.clock.getDelayedCalls(), [])


class HangUpTests(Closing):
    """hangUp(): flush, half-close, read and discard, for a limited time."""

    def test_everyByte(self) -> None:
        """A peer that goes on sending can read all, and is not reset."""
        for kind in (Farewell, Habit):
            peer = connected(kind())
            peer.reading = False
            for _ in range(50):
                peer.write(b"and another thing " * 1000)
            peer.resume()
            self.assertEqual(peer.value(), GOODBYE)
            peer.write(b"more")
            self.assertGraceful(peer)

    def test_peerThatDoesNotFinish(self) -> None:
        """It is aborted ``lingerTimeout`` seconds after FIN was sent, with a reason."""

        class Brief(Farewell):
            lingerTimeout = 0.5

        for kind, seconds in ((Farewell, 2.0), (Brief, 0.5)):
            peer = connected(kind())
            peer.write(b"hi")
            peer.clock.advance(seconds - 0.1)
            self.assertTrue(peer.connected)
            peer.write(b"tick")
            peer.clock.advance(0.1)
            peer.clock.advance(0)
            self.assertEqual(ending(peer), ("reset", "linger-timeout"))
            self.assertEqual(peer.value(), GOODBYE)

    def test_nothingAfterwards(self) -> None:
        """Nothing more is delivered or sent; what cannot be framed is not refused."""

        class Chatty(LineRecorder):
            def messageReceived(self, message: bytes) -> None:
                super().messageReceived(message)
                self.send(b"first")
                self.hangUp()
                self.send(b"second")
                self.send(b"two\nlines")
                self.write(b"third")

        peer = connected(Chatty())
        peer.write(b"one\ntwo\nthree\n")
        peer.write(b"four\n")
        self.assertEqual(peer.value(), b"first\n")
        self.assertEqual(peer.protocol.events, ["made", b"one"])

    def test_twice(self) -> None:
        """Closing again, in any way and also after the loss, changes nothing."""
        for first in (Conversation.hangUp, Conversation.closeGracefully):
            echo = Echo()
            peer = connected(echo)
            first(echo)
            echo.hangUp()
            echo.transport.loseConnection()
            self.assertGraceful(peer)
            echo.hangUp()
            echo.transport.loseConnection()
            echo.abort()

    def test_slowReader(self) -> None:
        """Nothing that was written is lost, and the time does not begin before FIN was sent."""
        echo = Echo()
        peer = connected(echo)
        peer.reading = False
        echo.write(b"x" * 2**20)
        self.assertFalse(echo.writable)
        echo.hangUp()
        peer.write(b"y" * 2**20)
        peer.clock.pump([1.0] * 100)
        self.assertTrue(peer.connected)
        peer.resume()
        self.assertEqual(peer.value(), b"x" * 2**20)
        self.assertGraceful(peer)


class DrainTests(Closing):
    """The default of connectionDraining."""

    def test_stream(self) -> None:
        """A stream closes after ``lingerTimeout`` seconds without input."""
        peer = connected(Echo())
        peer.listener.drain()
        peer.protocol.connectionDraining()  # again changes nothing
        for _ in range(10):
            peer.clock.advance(1.5)
            peer.write(b"x")
        self.assertEqual(peer.value(), b"x" * 10)
        self.assertFalse(peer.ended)
        peer.clock.advance(2)
        self.assertGraceful(peer)

    def test_streamThatIsNotRead(self) -> None:
        """While the peer does not read, its input is not read, and does not count as missing."""
        peer = connected(Echo())
        peer.reading = False
        said = bytes(range(256)) * 8192
        peer.write(said)
        peer.listener.drain()
        peer.clock.pump([1.0] * 10)
        peer.readLimit = 2**30
        peer.resume()
        self.assertEqual(peer.value(), said)
        peer.clock.pump([1.0] * 3)
        self.assertTrue(peer.ended)

    def test_streamThatEnds(self) -> None:
        """At FIN or a reset it ends as ever, and no timer is left."""
        for end in (Peer.finish, Peer.reset):
            peer = connected(Echo())
            peer.listener.drain()
            peer.write(b"last")
            end(peer)
            self.assertEqual((peer.value(), peer.connected), (b"last", False))
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_betweenMessages(self) -> None:
        """A framed conversation closes."""
        peer = connected(Shout())
        peer.write(b"one\n")
        peer.clear()
        peer.listener.drain()
        self.assertGraceful(peer)

    def test_inAMessage(self) -> None:
        """A message that has been received in part is answered first, and none after it."""
        for rest, answered in ((b"o\nthree\nfo", b"TWO\n"), (b"o", b"TWO\n"), (b"", b"TW\n")):
            peer = connected(Shout())
            peer.write(b"one\ntw")
            peer.listener.drain()
            peer.clear()
            peer.write(rest)
            peer.finish()
            self.assertEqual((peer.value(), peer.ended), (answered, True))
            self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_restOfAMessage(self) -> None:
        """The rest of the message has no more time than a stream has."""
        peer = connected(Shout())
        peer.write(b"tw")
        peer.clear()
        peer.listener.drain()
        for data in (b"o", b""):
            peer.clock.advance(1.9)
            peer.write(data)
        self.assertFalse(peer.ended)
        peer.clock.advance(0.2)
        self.assertEqual(peer.value(), b"")
        self.assertGraceful(peer)


class Upload(Conversation):
    """Send so many bytes, half-close, and go on reading."""

    size = 10
    heard = b""

    def connectionMade(self) -> None:
        self.write(b"x" * self.size)
        self.transport.loseWriteConnection()

    def messageReceived(self, message: bytes) -> None:
        self.heard += message


class HalfCloseTests(Closing):
    """transport.loseWriteConnection(): finish, and go on reading."""

    def test_whateverTheSize(self) -> None:
        """FIN is sent behind the last byte, and nothing after it."""
        for size in (0, 1, 65536, 65537, 300_000):
            upload = Upload()
            upload.size = size
            peer = connected(upload)
            upload.write(b"more")
            self.assertEqual((len(peer.value()), peer.ended, peer.connected), (size, True, True))
            peer.write(b"answer")
            self.assertEqual(upload.heard, b"answer")
            peer.clock.advance(60)
            peer.finish()
            self.assertFalse(peer.connected or peer.wasReset)

    def test_thenHangUp(self) -> None:
        """From hangUp() on, the peer has ``lingerTimeout`` seconds."""
        upload = Upload()
        peer = connected(upload)
        self.assertTrue(peer.ended)
        upload.transport.loseWriteConnection()  # again changes nothing
        upload.hangUp()
        peer.clock.advance(2)
        peer.clock.advance(0)
        self.assertEqual(ending(peer), ("reset", "linger-timeout"))
