"""Tests for `tcplab.protocols.echo`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import checkBehaviour, connected
from tcplab.wire.framing import CRLF, Lines
from tcplab.wire.lengthprefix import Int32, Netstrings

ACK = b"You are connected!"


class EchoTests(SynchronousTestCase):
    """Every byte comes back, until the peer finishes (RFC 862)."""

    def test_silentAtFirst(self) -> None:
        """Nothing is said before the peer has, however long that takes."""
        peer = connected(Echo())
        peer.clock.pump([60.0] * 60)
        self.assertEqual(peer.value(), b"")
        self.assertTrue(peer.connected)

    def test_everyByte(self) -> None:
        """Bytes of all values come back as they are, at once."""
        peer = connected(Echo())
        peer.write(bytes(range(256)))
        self.assertEqual(peer.value(), bytes(range(256)))
        self.assertFalse(peer.ended)

    def test_untilThePeerFinishes(self) -> None:
        """The peer's end is answered by our own, behind the last byte."""
        peer = connected(Echo())
        peer.write(b"one")
        peer.finish(b"two")
        self.assertEqual(peer.value(), b"onetwo")
        self.assertTrue(peer.ended)
        self.assertFalse(peer.connected)
        self.assertFalse(peer.wasReset)

    def test_reportsNothing(self) -> None:
        """What is echoed is nobody's business."""
        peer = connected(Echo())
        peer.write(b"hi")
        self.assertEqual(peer.messages, [])

    def test_slowReaderStopsItsOwnStream(self) -> None:
        """While the peer does not read, no more is taken in; when it does, nothing is missing."""
        peer = connected(Echo())
        peer.reading = False
        data = bytes(range(251)) * 40_000
        peer.write(data)
        taken = peer.transport.received
        self.assertLess(taken, 1_000_000)
        peer.clock.pump([1.0] * 60)
        self.assertEqual(peer.transport.received, taken)
        peer.appetite = len(data)
        peer.resume()
        peer.finish()
        self.assertEqual(peer.value(), data)
        self.assertTrue(peer.ended)

    def test_framed(self) -> None:
        """Framed, it returns whole messages, framed again."""
        for framing, said, answered in (
            (Lines, b"one\r\ntwo\nthr", b"one\ntwo\n"),
            (CRLF, b"one\r\ntwo\nthr", b"one\r\n"),
            (Netstrings, b"3:one,0:,3:tw", b"3:one,0:,"),
            (Int32, b"\0\0\0\x03one\0\0\0\0\0\0", b"\0\0\0\x03one\0\0\0\0"),
        ):
            kind: Any = framing
            peer = connected(ConversationFactory(Echo, framing=kind))
            for byte in said:
                peer.write(bytes([byte]))
            self.assertEqual(peer.value(), answered)

    def test_lastLineWithoutItsEnd(self) -> None:
        """A last line without its newline is a message when the peer finishes."""
        peer = connected(ConversationFactory(Echo, framing=Lines))
        peer.finish(b"one\ntwo")
        self.assertEqual(peer.value(), b"one\ntwo\n")
        self.assertTrue(peer.ended)

    def test_netstringCutShort(self) -> None:
        """A netstring cut short is an error: the whole ones are answered, then it is over."""
        peer = connected(ConversationFactory(Echo, framing=Netstrings))
        peer.finish(b"3:one,3:tw")
        self.assertEqual(peer.value(), b"3:one,")
        self.assertFalse(peer.connected)
        assert peer.ending is not None
        self.assertEqual(peer.ending.why, "error")

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary(max_size=50_000), max_size=6), st.booleans(), st.integers(1, 70_000))
    def test_nothingIsLostOrAdded(self, pieces: list[bytes], reads: bool, window: int) -> None:
        """In whatever pieces it comes, and however it is read."""
        peer = connected(Echo())
        peer.reading, peer.window = reads, window
        for piece in pieces:
            peer.write(piece)
        peer.finish()
        peer.resume()
        self.assertEqual(peer.value(), b"".join(pieces))
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)

    def test_manners(self) -> None:
        """It keeps them, in every framing."""
        checkBehaviour(self, ConversationFactory(Echo), b"hello\r\n" * 1_000, b"hello\r\n" * 1_000)
        checkBehaviour(self, ConversationFactory(Echo, framing=Lines), b"a\r\nb\nc", b"a\nb\nc\n")
        checkBehaviour(self, ConversationFactory(Echo, framing=Netstrings), b"1:a,", b"1:a,")
        framed = b"\0\0\0\x01a" * 3
        checkBehaviour(self, ConversationFactory(Echo, framing=Int32), framed, framed)


class LabTests(SynchronousTestCase):
    """All three ideas in one port."""

    def test_greets(self) -> None:
        """18 bytes and no newline, before the peer has said anything."""
        peer = connected(LabConversation())
        self.assertEqual(peer.value(), ACK)
        self.assertEqual(len(ACK), 18)

    def test_reportsTheFirstMessage(self) -> None:
        """The first only, as it came."""
        peer = connected(LabConversation())
        peer.write(b"hi\n")
        peer.write(b"and more\n")
        self.assertEqual(peer.messages, [b"hi\n"])

    def test_echoes(self) -> None:
        """Every byte, the first message too, behind the greeting, until the peer finishes."""
        peer = connected(LabConversation())
        peer.write(b"hi\n")
        peer.write(b"and more\n")
        self.assertEqual(peer.value(), ACK + b"hi\nand more\n")
        self.assertFalse(peer.ended)
        peer.finish(b"bye")
        self.assertEqual(peer.value(), ACK + b"hi\nand more\nbye")
        self.assertTrue(peer.ended)
        self.assertFalse(peer.connected)

    def test_eachConnectionHasAFirstMessage(self) -> None:
        """What one peer said does not count for another."""
        factory = ConversationFactory(LabConversation)
        for word in (b"one", b"two"):
            peer = connected(factory)
            peer.write(word)
            self.assertEqual(peer.messages, [word])

    def test_saysNothing(self) -> None:
        """A peer that finishes without a word is greeted, and nothing is reported."""
        peer = connected(LabConversation())
        peer.finish()
        self.assertEqual((peer.value(), peer.messages), (ACK, []))
        self.assertTrue(peer.ended)

    def test_anotherGreeting(self) -> None:
        """It is a setting, and may be none."""
        for greeting in (b"Welcome", b""):
            peer = connected(ConversationFactory(LabConversation, greeting=greeting))
            peer.finish(b"hi")
            self.assertEqual(peer.value(), greeting + b"hi")

    def test_lines(self) -> None:
        """In lines, the first message is the first line."""
        peer = connected(ConversationFactory(LabConversation, framing=Lines))
        peer.write(b"one\ntwo\n")
        self.assertEqual(peer.messages, [b"one"])
        self.assertEqual(peer.value(), ACK + b"\none\ntwo\n")

    def test_manners(self) -> None:
        """It keeps them."""
        checkBehaviour(
            self, ConversationFactory(LabConversation), b"hi" * 1_000, ACK + b"hi" * 1_000
        )
        checkBehaviour(
            self, ConversationFactory(LabConversation, framing=Lines), b"hi", ACK + b"\nhi\n"
        )
