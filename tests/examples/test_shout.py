"""Tests for ``examples/shout.py``."""

from __future__ import annotations

from tcplab.protocols import ConversationFactory
from tcplab.testing import checkBehaviour, connected
from tests.support.terminal_input import Typed, example


class ShoutTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        self.assertEqual(self.typed("shout", b"hi\nthere\n"), ["say something\nHI\nTHERE\n"])
        self.assertIn("[Shout,1,127.0.0.1] server: got connection", self.log())

    def test_inMemory(self) -> None:
        peer = connected(example("shout").Shout())
        peer.write(b"hi\nthe")
        self.assertEqual(peer.value(), b"say something\nHI\n")
        peer.write(b"re\n")
        self.assertEqual(peer.value(), b"say something\nHI\nTHERE\n")

    def test_itKeepsItsManners(self) -> None:
        shouts = ConversationFactory(example("shout").Shout)
        checkBehaviour(self, shouts, b"hi\nthere", b"say something\nHI\nTHERE\n")
