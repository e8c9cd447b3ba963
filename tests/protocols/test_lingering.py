"""Tests for `tcplab.protocols.lingering`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.protocols.echo import Echo
from tcplab.testing import Peer, connected
from tcplab.wire.framing import Lines


class Farewell(Conversation):
    """Say a long goodbye to the first message."""

    goodbye = b"goodbye" * 30_000

    def messageReceived(self, message: bytes) -> None:
        self.write(self.goodbye)
        self.hangUp()


class HangUpTests(SynchronousTestCase):
    """hangUp(): flush, finish, read and drop, and not for ever."""

    def test_everyByteOfTheGoodbye(self) -> None:
        """A peer that still sends can read it all, and is not reset."""
        peer = connected(Farewell())
        peer.reading = False
        for _ in range(50):
            peer.write(b"and another thing " * 1000)
        peer.resume()
        self.assertEqual(peer.value(), Farewell.goodbye)
        self.assertTrue(peer.ended)
        peer.write(b"more")
        self.assertTrue(peer.connected)
        peer.finish()
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.how), ("server", "fin"))
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_peerThatNeverFinishes(self) -> None:
        """It is aborted lingerTimeout after our end, and that is said."""
        peer = connected(Farewell())
        peer.write(b"hi")
        peer.clock.advance(1.9)
        self.assertTrue(peer.connected)
        peer.write(b"tick")
        peer.clock.advance(0.1)
        peer.clock.advance(0)
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.how), ("server", "reset"))
        self.assertEqual(peer.ending.why, "linger-timeout")
        self.assertEqual(peer.value(), Farewell.goodbye)

    def test_lingerBeginsWhenAllWasSent(self) -> None:
        """A slow reader is given its time: the deadline counts from our FIN."""
        peer = connected(Farewell())
        peer.reading = False
        peer.write(b"hi")
        peer.clock.pump([1.0] * 100)
        self.assertTrue(peer.connected)
        peer.resume()
        self.assertEqual(peer.value(), Farewell.goodbye)
        self.assertTrue(peer.ended)

    def test_ownTimeout(self) -> None:
        """The deadline is a setting."""

        class Brief(Farewell):
            lingerTimeout = 0.5

        peer = connected(Brief())
        peer.write(b"hi")
        peer.clock.advance(0.5)
        peer.clock.advance(0)
        self.assertFalse(peer.connected)

    def test_silentAfterwards(self) -> None:
        """After hangUp() nothing is delivered and nothing more is said."""

        class Chatty(Conversation):
            framing = Lines
            heard: list[bytes] = []

            def messageReceived(self, message: bytes) -> None:
                self.heard.append(message)
                self.send(b"first")
                self.hangUp()
                self.send(b"second")

        peer = connected(Chatty())
        peer.write(b"one\ntwo\nthree\n")
        self.assertEqual(peer.value(), b"first\n")
        self.assertEqual(Chatty.heard, [b"one"])

    def test_twice(self) -> None:
        """Hanging up again, by any name, changes nothing."""
        echo = Echo()
        peer = connected(echo)
        echo.hangUp()
        echo.hangUp()
        echo.transport.loseConnection()
        self.assertTrue(peer.ended)
        self.assertTrue(peer.connected)
        peer.finish()
        self.assertFalse(peer.wasReset)
        echo.hangUp()
        echo.abort()

    def test_whileCongested(self) -> None:
        """Hanging up on a peer that does not read loses nothing of what was written."""
        echo = Echo()
        peer = connected(echo)
        peer.reading = False
        echo.write(b"x" * 2**20)
        self.assertFalse(echo.writable)
        echo.hangUp()
        peer.write(b"y" * 2**20)
        peer.resume()
        self.assertEqual(peer.value(), b"x" * 2**20)
        self.assertTrue(peer.ended)
        peer.finish()
        self.assertFalse(peer.wasReset)

    def test_afterThePeerFinished(self) -> None:
        """When the peer has finished there is nobody to wait for."""
        echo = Echo()
        peer = connected(echo)
        peer.finish(b"hi")
        self.assertEqual((peer.value(), peer.connected), (b"hi", False))
        self.assertFalse(peer.wasReset)

    def test_habitualLoseConnection(self) -> None:
        """transport.loseConnection() in a subclass is as polite."""

        class Habit(Conversation):
            def messageReceived(self, message: bytes) -> None:
                self.transport.write(b"bye")
                self.transport.loseConnection()

        peer = connected(Habit())
        peer.reading = False
        peer.write(b"one")
        peer.write(b"two")
        peer.resume()
        self.assertEqual((peer.value(), peer.ended), (b"bye", True))
        peer.finish()
        self.assertFalse(peer.wasReset)


class DrainTests(SynchronousTestCase):
    """The default of connectionDraining."""

    def test_stream(self) -> None:
        """A stream goes on until the peer has been silent for lingerTimeout."""
        peer = connected(Echo())
        peer.listener.drain()
        for _ in range(10):
            peer.clock.advance(1.5)
            peer.write(b"x")
        self.assertEqual(peer.value(), b"x" * 10)
        self.assertFalse(peer.ended)
        peer.clock.advance(2)
        self.assertTrue(peer.ended)

    def test_streamThatDoesNotRead(self) -> None:
        """While it does not read, we do not listen: that is no silence of its own."""
        peer = connected(Echo())
        peer.reading = False
        said = bytes(range(256)) * 8192
        peer.write(said)
        peer.listener.drain()
        peer.clock.pump([1.0] * 10)
        peer.appetite = 2**30
        peer.resume()
        self.assertEqual(peer.value(), said)
        peer.clock.pump([1.0] * 3)
        self.assertTrue(peer.ended)

    def test_streamThatFinishes(self) -> None:
        """At the peer's end a draining stream ends as ever."""
        peer = connected(Echo())
        peer.listener.drain()
        peer.finish(b"last")
        self.assertEqual((peer.value(), peer.connected), (b"last", False))
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def shouting(self) -> Peer:
        """Connect to a framed conversation."""

        class Shout(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                self.send(message.upper())

        return connected(Shout())

    def test_framed(self) -> None:
        """A framed conversation has answered its message, and hangs up."""
        peer = self.shouting()
        peer.write(b"one\n")
        peer.listener.drain()
        peer.clock.advance(0)
        self.assertEqual((peer.value(), peer.ended), (b"ONE\n", True))

    def test_inTheMiddleOfAMessage(self) -> None:
        """The message that has begun is answered first, and none after it."""
        peer = self.shouting()
        peer.write(b"one\ntw")
        peer.listener.drain()
        self.assertEqual((peer.value(), peer.ended), (b"ONE\n", False))
        peer.write(b"o\nthree\nfo")
        self.assertEqual((peer.value(), peer.ended), (b"ONE\nTWO\n", True))
        peer.finish()
        self.assertEqual(peer.clock.getDelayedCalls(), [])

    def test_neverTheRestOfIt(self) -> None:
        """It is not waited for longer than for a stream."""
        peer = self.shouting()
        peer.write(b"tw")
        peer.listener.drain()
        peer.clock.advance(1.9)
        peer.write(b"o")
        peer.clock.advance(1.9)
        self.assertFalse(peer.ended)
        peer.clock.advance(0.2)
        self.assertEqual((peer.value(), peer.ended), (b"", True))

    def test_lostWhileDraining(self) -> None:
        """No timer outlives the connection."""
        peer = connected(Echo())
        peer.listener.drain()
        peer.reset()
        self.assertEqual(peer.clock.getDelayedCalls(), [])


class HalfCloseTests(SynchronousTestCase):
    """transport.loseWriteConnection(): finish speaking, go on listening."""

    def upload(self, size: int) -> Conversation:
        class Upload(Conversation):
            heard = b""

            def connectionMade(self) -> None:
                self.write(b"x" * size)
                self.transport.loseWriteConnection()

            def messageReceived(self, message: bytes) -> None:
                self.heard += message

        return Upload()

    def test_whateverTheSize(self) -> None:
        """The end comes behind the last byte, even if flow control had to wait for it."""
        for size in (0, 1, 65536, 65537, 300_000):
            upload = self.upload(size)
            peer = connected(upload)
            self.assertEqual((len(peer.value()), peer.ended, peer.connected), (size, True, True))
            peer.write(b"answer")
            self.assertEqual(upload.heard, b"answer")
            peer.clock.advance(60)
            peer.finish()
            self.assertFalse(peer.connected)
            self.assertFalse(peer.wasReset)

    def test_thenHangUp(self) -> None:
        """Hanging up afterwards waits for the peer no longer than ever."""
        upload = self.upload(10)
        peer = connected(upload)
        self.assertTrue(peer.ended)
        upload.hangUp()
        peer.clock.advance(2)
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "linger-timeout")

    def test_nothingMoreIsSaid(self) -> None:
        """What is written afterwards is dropped."""
        upload = self.upload(10)
        peer = connected(upload)
        upload.write(b"more")
        self.assertEqual(len(peer.value()), 10)
