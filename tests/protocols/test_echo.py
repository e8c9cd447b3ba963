"""Tests for `tcplab.protocols.echo`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.echo import Echo, LabConversation
from tcplab.protocols.factory import ConversationFactory
from tcplab.testing import checkBehaviour, connected
from tcplab.wire.framing import CRLF, Int32, Lines, Netstrings

ACK = b"You are connected!"


class EchoTests(SynchronousTestCase):
    """Every byte is returned, until the peer finishes (RFC 862)."""

    def test_framed(self) -> None:
        """In every framing, by which what is returned is framed again."""
        for framing, said, answered in (
            (Lines, b"one\r\ntwo\nthr", b"one\ntwo\nthr\n"),
            (CRLF, b"one\r\ntwo\nthr\r\n", b"one\r\ntwo\nthr\r\n"),
            (Netstrings, b"3:one,0:,", b"3:one,0:,"),
            (Int32, b"\0\0\0\x03one\0\0\0\0", b"\0\0\0\x03one\0\0\0\0"),
        ):
            checkBehaviour(ConversationFactory(Echo, framing=framing), said, answered)

    def test_everyByte(self) -> None:
        """Nothing is sent first; bytes of all values are returned at once, and not reported."""
        peer = connected(Echo())
        peer.clock.pump([60.0] * 60)
        self.assertEqual((peer.value(), peer.connected), (b"", True))
        peer.write(bytes(range(256)))
        self.assertEqual((peer.value(), peer.messages), (bytes(range(256)), []))
        self.assertFalse(peer.ended)

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.binary(max_size=50_000), max_size=6), st.booleans(), st.integers(1, 70_000))
    def test_nothingIsLostOrAdded(self, pieces: list[bytes], reads: bool, window: int) -> None:
        """However the bytes are cut, and however the peer reads."""
        peer = connected(Echo())
        peer.reading, peer.window = reads, window
        for piece in pieces:
            peer.write(piece)
        peer.finish()
        peer.resume()
        self.assertEqual(peer.value(), b"".join(pieces))
        self.assertTrue(peer.ended)
        self.assertFalse(peer.wasReset)


class LabTests(SynchronousTestCase):
    """The lab greets, reports the first message and echoes."""

    def test_framed(self) -> None:
        """In lines the first line is the message, and the greeting is one."""
        lined = ConversationFactory(LabConversation, framing=Lines)
        checkBehaviour(lined, b"one\ntwo", ACK + b"\none\ntwo\n")
        peer = connected(lined)
        peer.write(b"one\ntwo\n")
        self.assertEqual(peer.messages, [b"one"])

    def test_allThree(self) -> None:
        """Each connection has a first message of its own, and the greeting comes first."""
        factory = ConversationFactory(LabConversation)
        for word in (b"one\n", b"two\n"):
            peer = connected(factory)
            self.assertEqual((peer.value(), len(ACK)), (ACK, 18))
            peer.write(word)
            peer.write(b"and more\n")
            peer.finish(b"bye")
            self.assertEqual(peer.value(), ACK + word + b"and more\nbye")
            self.assertEqual(peer.messages, [word])
            self.assertEqual((peer.ended, peer.connected), (True, False))

    def test_greeting(self) -> None:
        """It may be another or none."""
        for greeting in (b"Welcome", b""):
            peer = connected(ConversationFactory(LabConversation, greeting=greeting))
            peer.finish(b"hi")
            self.assertEqual(peer.value(), greeting + b"hi")
