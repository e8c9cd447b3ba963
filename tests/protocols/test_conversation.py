"""Tests for `tcplab.protocols.conversation`."""

from __future__ import annotations

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.conversation import Conversation
from tcplab.testing import connected
from tcplab.wire.framing import CRLF, FramingError, Lines
from tests.protocols.conversations import Keep, KeepLines, Shout


class HookTests(SynchronousTestCase):
    """When each hook is called, and that none needs super()."""

    def test_order(self) -> None:
        """Made, messages, finished, lost."""
        keep = Keep()
        peer = connected(keep)
        peer.write(b"one")
        peer.finish(b"two")
        keep.hangUp()
        self.assertFalse(peer.connected)
        self.assertEqual(keep.told, ["made", b"one", b"two", "finished", "lost"])

    def test_greetingComesFirst(self) -> None:
        """The greeting is framed, and said before connectionMade speaks."""

        class Eager(Shout):
            def connectionMade(self) -> None:
                self.send(b"and quickly")

        self.assertEqual(connected(Eager()).value(), b"say something\nand quickly\n")

    def test_wholeMessages(self) -> None:
        """A message is delivered when it is whole, without its delimiter."""
        keep = KeepLines()
        peer = connected(keep)
        peer.write(b"one\ntw")
        self.assertEqual(keep.told, ["made", b"one"])
        peer.write(b"o\n")
        self.assertEqual(keep.told, ["made", b"one", b"two"])

    def test_lastLineWithoutNewline(self) -> None:
        """A last line without its newline is a message when the peer finishes."""
        keep = KeepLines()
        connected(keep).finish(b"one\ntwo")
        self.assertEqual(keep.told, ["made", b"one", b"two", "finished"])

    def test_speakAfterThePeerFinished(self) -> None:
        """A half-closed connection is still good for speaking."""
        keep = Keep()
        peer = connected(keep)
        peer.finish()
        keep.write(b"much later")
        peer.clock.advance(3600)
        self.assertEqual((peer.value(), peer.ended), (b"much later", False))
        keep.hangUp()
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)

    def test_finishedIsToldOnce(self) -> None:
        """Whatever the transport does, the end of the input is told once."""
        keep = Keep()
        peer = connected(keep)
        peer.finish()
        peer.transport.resumeProducing()
        peer.clock.advance(1)
        self.assertEqual(keep.told, ["made", "finished"])

    def test_inMidMessage(self) -> None:
        """A subclass may end, or let another protocol go on, in the middle of a chunk."""

        class Switch(Conversation):
            framing = Lines

            def messageReceived(self, message: bytes) -> None:
                rest = self.framing.unread()
                self.transport.protocol = other
                other.makeConnection(self.transport)
                other.dataReceived(rest)

        other = Keep()
        peer = connected(Switch())
        peer.write(b"switch\nrest\nof it")
        peer.write(b" and more")
        self.assertEqual(other.told, ["made", b"rest\nof it", b" and more"])


class SpeakingTests(SynchronousTestCase):
    """send, write, report."""

    def test_framedAndRaw(self) -> None:
        """send frames, write does not."""

        class Both(Conversation):
            framing = CRLF

            def connectionMade(self) -> None:
                self.send(b"framed")
                self.write(b"raw")

        self.assertEqual(connected(Both()).value(), b"framed\r\nraw")

    def test_unsayable(self) -> None:
        """A line with a newline in it cannot be said as one."""
        shout = Shout()
        connected(shout)
        self.assertRaises(FramingError, shout.send, b"two\nlines")

    def test_report(self) -> None:
        """A reported message reaches the observers of the server."""
        keep = Keep()
        peer = connected(keep)
        keep.report(b"hear")
        self.assertEqual(peer.messages, [b"hear"])

    def test_reportOfText(self) -> None:
        """A text is refused where it is given, not where the log would fail."""
        keep = Keep()
        connected(keep)
        with self.assertRaisesRegex(TypeError, r"report\(\) takes bytes, not str"):
            keep.report("hear")  # type: ignore[arg-type]

    def test_reportWithoutServer(self) -> None:
        """On a transport that nobody watches a report is told to nobody."""
        keep = Keep()
        keep.makeConnection(StringTransport())
        keep.report(b"hear")

    def test_peer(self) -> None:
        """The peer's address is at hand."""
        keep = Keep()
        connected(keep)
        self.assertEqual(keep.peer.host, "127.0.0.1")

    def test_abort(self) -> None:
        """abort() resets, and says why."""
        keep = Keep()
        peer = connected(keep)
        keep.abort("fault")
        peer.clock.advance(0)
        assert peer.ending is not None
        self.assertEqual((peer.ending.by, peer.ending.how), ("server", "reset"))
        self.assertEqual(peer.ending.why, "fault")
        self.assertTrue(peer.wasReset)
