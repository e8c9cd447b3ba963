"""Tests for ``examples/recipe.py``."""

from __future__ import annotations

from tcplab.protocols import ConversationFactory
from tcplab.testing import checkBehaviour, connected
from tests.support.terminal_input import Typed, example


class RecipeTests(Typed):
    def test_asItsDocstringSays(self) -> None:
        said = self.typed("recipe", b"Ada\n")
        self.assertEqual(said, ["What is your name?\nHello, Ada!\n"])
        self.assertIn("[Recipe,1,127.0.0.1] Got the message:Ada\n", self.log())

    def test_theNameMayComeInPieces(self) -> None:
        peer = connected(example("recipe").Recipe())
        peer.write(b"A")
        self.assertEqual(peer.value(), b"What is your name?\n")
        peer.write(b"da\n")
        self.assertEqual(peer.value(), b"What is your name?\nHello, Ada!\n")
        self.assertTrue(peer.ended)
        self.assertEqual(peer.messages, [b"Ada"])

    def test_whoIsSilentIsAStranger(self) -> None:
        peer = connected(example("recipe").Recipe())
        peer.clock.advance(59)
        self.assertFalse(peer.ended)
        peer.clock.advance(1)
        self.assertEqual(peer.value(), b"What is your name?\nHello, stranger!\n")
        self.assertTrue(peer.ended)

    def test_itKeepsItsManners(self) -> None:
        recipes = ConversationFactory(example("recipe").Recipe)
        checkBehaviour(self, recipes, b"Ada", b"What is your name?\nHello, Ada!\n")
