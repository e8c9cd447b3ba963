"""Tests for `tcplab.protocols.greeting`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.protocols.factory import ConversationFactory
from tcplab.protocols.greeting import Ack, Greeting
from tcplab.testing import checkBehaviour, connected
from tcplab.wire.framing import Lines

KINDS = ((Greeting, b"Hello from server!"), (Ack, b"You are connected!"))


class GreetingTests(SynchronousTestCase):
    """Both send their text first, report the first message, and close."""

    def test_firstMessage(self) -> None:
        """It is reported as it was received; nothing after it is reported or answered."""
        for kind, text in KINDS:
            checkBehaviour(ConversationFactory(kind), b"a long message " * 1_000, text)
            peer = connected(kind())
            peer.write(b"hi\n")
            self.assertEqual((peer.ended, peer.connected), (True, True))
            peer.write(b"hi again")
            peer.finish()
            self.assertEqual((peer.messages, peer.value()), ([b"hi\n"], text))
            assert peer.ending is not None
            self.assertEqual(peer.ending[:2], ("server", "fin"))
            self.assertEqual((peer.ending.received, peer.ending.sent), (11, 18))

    def test_waits(self) -> None:
        """18 bytes without a newline are sent at once; then the peer has all the time it wants."""
        for kind, text in KINDS:
            peer = connected(kind())
            self.assertEqual((peer.value(), len(text)), (text, 18))
            peer.clock.pump([1.0] * 3600)
            self.assertEqual((peer.value(), peer.ended), (text, False))
            peer.finish()  # without a message
            self.assertEqual((peer.messages, peer.value(), peer.ended), ([], text, True))
            self.assertFalse(peer.connected)

    def test_settings(self) -> None:
        """The text and the framing may be others: with lines, the first line is the message."""
        for kind, _ in KINDS:
            peer = connected(ConversationFactory(kind, greeting=b"Welcome", framing=Lines))
            for byte in b"hello there\r\nmore":
                peer.write(bytes([byte]))
            self.assertEqual((peer.value(), peer.messages), (b"Welcome\n", [b"hello there"]))
            self.assertTrue(peer.ended)
