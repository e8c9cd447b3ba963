"""Tests for `tcplab.protocols.greeting`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack, Greeting
from tcplab.testing import Peer, checkBehaviour, connected
from tcplab.wire.framing import Lines


class HearOneMessageTests(SynchronousTestCase):
    """Both say their text first, report the first message, and hang up."""

    kinds: tuple[tuple[Any, bytes], ...] = (
        (Greeting, b"Hello from server!"),
        (Ack, b"You are connected!"),
    )

    def each(self) -> list[tuple[Peer, bytes]]:
        return [(connected(kind()), text) for kind, text in self.kinds]

    def test_speaksFirst(self) -> None:
        """18 bytes and no newline, before the peer has said anything; then it waits."""
        for peer, text in self.each():
            self.assertEqual((peer.value(), len(text)), (text, 18))
            peer.clock.pump([1.0] * 3600)
            self.assertEqual(peer.value(), text)
            self.assertFalse(peer.ended)

    def test_reportsTheMessage(self) -> None:
        """What came is reported as it came, its line end too."""
        for peer, _ in self.each():
            peer.write(b"hi\n")
            self.assertEqual(peer.messages, [b"hi\n"])

    def test_hangsUp(self) -> None:
        """Politely: the peer reads the whole text and the end, and is not reset."""
        for peer, text in self.each():
            peer.write(b"hi")
            self.assertEqual(peer.value(), text)
            self.assertTrue(peer.ended)
            self.assertTrue(peer.connected)
            peer.finish()
            self.assertFalse(peer.connected)
            self.assertFalse(peer.wasReset)

    def test_onlyTheFirst(self) -> None:
        """Nothing that follows is reported or answered."""
        for peer, text in self.each():
            peer.write(b"hi")
            peer.write(b"hi again")
            peer.finish(b"and again")
            self.assertEqual((peer.messages, peer.value()), ([b"hi"], text))
            self.assertFalse(peer.wasReset)

    def test_peerSaysNothing(self) -> None:
        """A peer that finishes without a word has nothing reported, and is hung up on."""
        for peer, text in self.each():
            peer.finish()
            self.assertEqual((peer.messages, peer.value()), ([], text))
            self.assertTrue(peer.ended)
            self.assertFalse(peer.connected)

    def test_peerStays(self) -> None:
        """A peer that does not finish is aborted after the linger time."""
        for peer, _ in self.each():
            peer.write(b"hi")
            peer.clock.advance(1.9)
            self.assertTrue(peer.connected)
            peer.clock.advance(0.2)
            self.assertFalse(peer.connected)
            assert peer.ending is not None
            self.assertEqual(peer.ending.why, "linger-timeout")

    def test_ending(self) -> None:
        """It is the server that ends it, after 18 bytes."""
        for peer, _ in self.each():
            peer.write(b"hi")
            peer.finish()
            ending = peer.ending
            assert ending is not None
            self.assertEqual(
                (ending.by, ending.how, ending.why, ending.received, ending.sent),
                ("server", "fin", None, 2, 18),
            )

    def test_anotherText(self) -> None:
        """The text is a setting, and the class keeps its own."""
        for kind, _ in self.kinds:
            peer = connected(ConversationFactory(kind, greeting=b"Welcome"))
            self.assertEqual(peer.value(), b"Welcome")

    def test_wholeLines(self) -> None:
        """Framed in lines, the first message is the first line, however it comes."""
        for kind, text in self.kinds:
            peer = connected(ConversationFactory(kind, framing=Lines))
            self.assertEqual(peer.value(), text + b"\n")
            for byte in b"hello there\r\nmore":
                peer.write(bytes([byte]))
            self.assertEqual(peer.messages, [b"hello there"])
            self.assertTrue(peer.ended)

    def test_manners(self) -> None:
        """They keep them."""
        for kind, text in self.kinds:
            checkBehaviour(self, ConversationFactory(kind), b"hi", text)
            checkBehaviour(self, ConversationFactory(kind), b"a long message " * 1_000, text)
